"""Versions: for `asrpar info`, and at the top of each log."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asrpar import __version__, info


@pytest.fixture(autouse=True)
def fresh():
    info.git_hash.cache_clear()
    info.mpi_library.cache_clear()
    yield
    info.git_hash.cache_clear()
    info.mpi_library.cache_clear()


def test_info_prints_everything(asrpar_cli):
    found = json.loads(asrpar_cli("info", "--json").stdout)
    expected = ["asrpar", "git", "host", "system", "CPU", "python", "torch", "lhotse", "mpi4py", "MPI", "kaldifst"]
    expected += ["kaldi_decoder", "k2", "CUDA devices", "OpenMP threads"]
    assert list(found) == expected
    assert all(found.values())
    assert found["asrpar"] == __version__
    assert found["OpenMP threads"] == "1"
    plain = asrpar_cli("info").stdout.splitlines()
    assert [line.split("  ")[0] for line in plain] == expected


def test_mpi_is_named_without_starting_it():
    vendor, version = info.mpi_library()
    if not vendor:
        pytest.skip(f"no MPI here: {version}")
    assert vendor.lower().split()[0] in version.lower()
    code = (
        "from asrpar.info import mpi_library; mpi_library()\n"
        "import sys; assert 'mpi4py.MPI' not in sys.modules\n"
        "from mpi4py import MPI; assert MPI.Is_initialized(), 'asking must not switch MPI off for later'"
    )
    env = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def test_a_missing_mpi_is_explained(monkeypatch):
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    monkeypatch.setattr(info, "_ASK_MPI", "raise RuntimeError('cannot load MPI library')")
    assert info.mpi_library() == ("", "not usable: RuntimeError: cannot load MPI library")


def test_k2_that_is_installed_but_broken_is_explained(monkeypatch, tmp_path):
    (tmp_path / "k2").mkdir()
    (tmp_path / "k2" / "__init__.py").write_text("raise ImportError('undefined symbol')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "k2", raising=False)
    found = info.k2_version()
    assert "installed but not usable: ImportError: undefined symbol" in found
    assert "tools/install_k2.sh" in found
    # No distribution of it is known here, as where k2 was built from source.
    (line,) = [line for line in info.banner().splitlines() if line.startswith("# k2 ")]
    assert "not installed" not in found and "not installed" not in line


def test_k2_that_is_missing(monkeypatch):
    monkeypatch.setattr(info.importlib.util, "find_spec", lambda name: None)
    assert info.k2_version().startswith("not installed")


def test_banner_is_light_and_holds_the_facts_of_info(asrpar_cli):
    code = (
        "import sys; from asrpar.info import banner; print(banner())\n"
        "assert not {'torch', 'lhotse', 'numpy', 'mpi4py', 'k2'} & set(sys.modules)"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    lines = done.stdout.splitlines()
    assert all(line.startswith("# ") for line in lines)
    assert " -c (process " in lines[0]
    said = dict(line[2:].split("  ", 1) for line in lines[1:])
    facts = json.loads(asrpar_cli("info", "--json").stdout)
    assert list(said) == list(facts)
    costly = {"MPI", "k2", "CUDA devices"}
    assert {k: v.strip() for k, v in said.items() if k not in costly} == {
        k: v for k, v in facts.items() if k not in costly
    }
    assert "not loaded" in said["MPI"]
    assert "torch is not loaded" in said["CUDA devices"]
    assert ("not installed" in said["k2"]) == facts["k2"].startswith("not installed")


def test_banner_asks_what_is_loaded(monkeypatch, tmp_path):
    (tmp_path / "k2").mkdir()
    (tmp_path / "k2" / "__init__.py").write_text("raise AssertionError('must not be imported')\n")
    code = "import torch; from mpi4py import MPI; from asrpar.info import banner, cuda_devices, mpi_library\n"
    code += "print(banner(), mpi_library()[1], cuda_devices(), sep='\\n')"
    env = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(tmp_path), env.get("PYTHONPATH", "")]))
    if not info.mpi_library()[0]:
        pytest.skip("no MPI here")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    *lines, mpi, devices = done.stdout.splitlines()
    said = {k: v.strip() for k, v in (line[2:].split("  ", 1) for line in lines[1:])}
    assert said["MPI"] == mpi
    assert said["CUDA devices"] == devices
    assert "installed (asrpar info tries it)" in said["k2"]


def git(folder: Path, *args: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_git_hash(monkeypatch, tmp_path):
    package = tmp_path / "clone" / "asrpar"
    package.mkdir(parents=True)
    module = package / "info.py"
    module.write_text("one\n")
    monkeypatch.setattr(info, "__file__", str(module))

    def fresh_hash() -> str:
        info.git_hash.cache_clear()
        return info.git_hash()

    assert fresh_hash() == "unknown"
    clone = tmp_path / "clone"
    git(clone, "init")
    assert fresh_hash() == "unknown"  # no commit yet
    git(clone, "add", ".")
    git(clone, "commit", "-m", "x")
    assert fresh_hash() == git(clone, "rev-parse", "--short=12", "HEAD")
    module.write_text("two\n")
    assert fresh_hash().endswith("-dirty")


def test_git_hash_of_an_installed_copy_is_not_that_of_the_repository_around_it(monkeypatch, tmp_path):
    module = tmp_path / ".venv" / "site-packages" / "asrpar" / "info.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    git(tmp_path, "init")
    git(tmp_path, "add", "-f", ".")
    git(tmp_path, "commit", "-m", "somebody else's")
    monkeypatch.setattr(info, "__file__", str(module))
    assert info.git_hash() == "unknown"
