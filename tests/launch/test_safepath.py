"""No module is taken from the folder in which a command happens to run."""

import os
import subprocess
import sys

import pytest
from traps import set_traps

from asrpar.launch import safepath
from asrpar.launch.safepath import ROOT, environment, inherited, users_environment

WORK = """
import sys
from asrpar.launch.safepath import inherited
from asrpar.workers import Workers

if __name__ == "__main__":
    with inherited(), Workers(1, sys.argv[1]) as pool:
        print(pool.submit(abs, -3).result())
"""


@pytest.fixture
def variables():
    """The environment of a user who has set neither variable, whatever the tests run in."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONSAFEPATH", "PYTHONPATH")} | {
        "PYTHONPATH": str(ROOT)
    }


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_take_no_modules_from_the_current_folder(tmp_path, variables, method):
    marker = set_traps(tmp_path / "cwd", "asrpar")
    (tmp_path / "work.py").write_text(WORK)
    command = [sys.executable, tmp_path / "work.py", method]
    done = subprocess.run(command, cwd=tmp_path / "cwd", env=variables, capture_output=True, text=True)
    assert done.stdout == "3\n", done.stderr
    assert not marker.exists(), marker.read_text()


def test_python_m_asrpar_takes_none_either(tmp_path, variables):
    marker = set_traps(tmp_path / "cwd")
    command = [sys.executable, "-m", "asrpar", "launch", "--learners", "2", "--dry-run", "--", "train"]
    done = subprocess.run(command, cwd=tmp_path / "cwd", env=variables, capture_output=True, text=True)
    assert "mpi4py -m asrpar train" in done.stdout, done.stderr
    assert not marker.exists(), marker.read_text()


def test_an_empty_entry_of_the_path_is_a_slip(tmp_path, variables):
    marker = set_traps(tmp_path / "cwd", "asrpar", "torch", "lhotse")
    code = "import sys; del sys.path[0]; from asrpar.cli import main; main(['info'])"  # as the script `asrpar`
    variables["PYTHONPATH"] += ":"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "cwd", env=variables, capture_output=True, text=True
    )
    assert "lhotse" in done.stdout, done.stderr
    assert not marker.exists(), marker.read_text()


def test_the_path_of_what_is_started(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":/x::/y")
    monkeypatch.setattr(safepath, "_is_installed", lambda: True)
    assert environment() == {"PYTHONSAFEPATH": "1", "PYTHONPATH": "/x:/y"}
    monkeypatch.setattr(safepath, "_is_installed", lambda: False)
    assert environment()["PYTHONPATH"] == f"{ROOT}:/x:/y", "this copy of the program, and no other"
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:/x")
    assert environment()["PYTHONPATH"] == f"{ROOT}:/x"


def test_commands_of_the_user_have_the_users_environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ":/x")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    before = dict(os.environ)
    with inherited():
        assert os.environ["PYTHONSAFEPATH"] == "1"
        assert users_environment() == before
    assert dict(os.environ) == before
