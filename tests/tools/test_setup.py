"""tools/setup.sh, as far as it goes without installing anything."""

import os
import shutil
import subprocess

import pytest

# Stands for a Python without ensurepip: it makes half of an environment.
PYTHON = """#!/usr/bin/env bash
case $* in
  *' venv '*)
    mkdir -p "${@: -1}/bin"
    cp "$0" "${@: -1}/bin/python"
    echo "ensurepip is not available"
    exit 1 ;;
  *pip*) exit 1 ;;
esac
"""


@pytest.fixture
def setup(repo, tmp_path):
    (tmp_path / "clone" / "tools").mkdir(parents=True)
    script = shutil.copy(repo / "tools" / "setup.sh", tmp_path / "clone" / "tools")
    python = tmp_path / "python3"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run():
        return subprocess.run([script], env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True)

    return run


def test_half_an_environment_is_removed(setup, tmp_path):
    for _ in range(2):  # the second run must find the same fault, and blame nothing else
        done = setup()
        assert done.returncode == 1
        assert done.stderr.endswith(
            "cannot make a virtual environment (Debian, Ubuntu: apt-get install python3-venv)\n"
        )
        assert not (tmp_path / "clone" / ".venv").exists()


def test_an_environment_that_an_interrupted_run_left_is_made_anew(setup, tmp_path):
    left = tmp_path / "clone" / ".venv" / "bin"
    left.mkdir(parents=True)
    shutil.copy(tmp_path / "python3", left / "python")
    done = setup()
    assert "ensurepip is not available" in done.stdout
    assert "cannot make a virtual environment" in done.stderr
    assert left.exists()  # not made by this run
