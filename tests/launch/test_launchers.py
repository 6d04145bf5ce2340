"""Which launcher belongs to the MPI library of this machine."""

import io
import os
import sys
from pathlib import Path

import pytest

from asrpar.errors import ConfigError, LaunchError
from asrpar.launch import launchers
from asrpar.launch.diagnosis import failed
from asrpar.launch.job import build_command
from asrpar.launch.launchers import LAUNCHERS, choose_launcher, mpi_flavour, openmpi, srun
from asrpar.launch.output import Ranks
from asrpar.launch.spec import LaunchSpec


def test_launcher_of_another_mpi_is_refused(monkeypatch):
    monkeypatch.setattr(launchers, "mpi_library", lambda: ("MPICH", "MPICH 5"))
    with pytest.raises(LaunchError, match="mpi4py uses MPICH, whose launcher is 'mpich'"):
        choose_launcher("openmpi")
    monkeypatch.setattr(launchers, "mpi_library", lambda: ("", "not usable: no libmpi"))
    with pytest.raises(LaunchError, match="finds no MPI library"):
        choose_launcher()


def _fake_program(folder: Path, name: str, output: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{output}\nEOF\n")
    path.chmod(0o755)


def test_auto_takes_srun_in_an_allocation_that_speaks_pmix(monkeypatch, tmp_path):
    _fake_program(tmp_path, "srun", "MPI plugin types are...\n\tnone\n\tpmi2\n\tpmix")
    _fake_program(tmp_path, "mpirun", "mpirun (Open MPI) 5.0.11")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(launchers, "mpi_library", lambda: ("Open MPI", "5"))
    # No MPI of its own in the Python environment: the site's Open MPI.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "python"))
    assert choose_launcher() == srun.Launcher(str(tmp_path / "srun"), pmi="pmix")
    _fake_program(tmp_path, "srun", "MPI plugin types are...\n\tnone")
    assert choose_launcher() == openmpi.Launcher(str(tmp_path / "mpirun"), major=5)
    with pytest.raises(LaunchError, match="no PMI plugin of this Slurm"):
        choose_launcher("srun")


def test_flavours(tmp_path):
    for name, output, kind in [
        ("a", "mpirun (Open MPI) 4.1.4", "openmpi"),
        ("b", "HYDRA build details:\n    Version: 4.2", "mpich"),
        ("c", "Intel(R) MPI Library for Linux* OS, Version 2021.9", "mpich"),
        ("d", "something else", None),
    ]:
        _fake_program(tmp_path, name, output)
        assert mpi_flavour(str(tmp_path / name)) == kind
    assert mpi_flavour(str(tmp_path / "missing")) is None


def test_launchers_are_found_by_their_files():
    assert set(LAUNCHERS) >= {"mpich", "openmpi", "srun"}
    assert [LAUNCHERS.load(name)("x").kind for name in LAUNCHERS] == list(LAUNCHERS)
    with pytest.raises(ConfigError, match="launcher 'openmp' is unknown; did you mean 'openmpi'"):
        choose_launcher("openmp")


GRID = """
import os, re
from dataclasses import dataclass
from asrpar.launch.program import Program


@dataclass(frozen=True)
class Launcher(Program):
    label = re.compile(r"^(\\d+): ")

    @classmethod
    def find(cls, vendor):
        return cls("/opt/bin/gridrun")

    @classmethod
    def serves(cls, vendor):
        return True

    @classmethod
    def in_allocation(cls):
        return "GRID_JOB" in os.environ

    def command(self, spec, variables):
        return [self.path, "run", "-n", str(spec.learners), "--label-io"], dict(variables)
"""


def test_a_launcher_of_another_scheduler_is_one_file(monkeypatch, tmp_path):
    (tmp_path / "grid.py").write_text(GRID)
    monkeypatch.setattr(launchers, "__path__", [*launchers.__path__, str(tmp_path)])
    monkeypatch.setitem(LAUNCHERS._files, "grid", tmp_path / "grid.py")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(launchers, "mpi_library", lambda: ("MPICH", "5"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "python"))
    monkeypatch.setenv("GRID_JOB", "local:")
    job = build_command(LaunchSpec(2), ["info"])
    assert job.launcher.kind == "grid"
    assert job.argv[:5] == ("/opt/bin/gridrun", "run", "-n", "2", "--label-io")
    ranks = Ranks(job, out := io.StringIO(), io.StringIO())
    ranks.read(io.BytesIO(b"1: hello\ngridrun: all is well\n"), False)
    assert (out.getvalue(), ranks.noise, failed(ranks, 0)) == ("hello\n", ["gridrun: all is well"], None)
    del sys.modules["asrpar.launch.launchers.grid"], launchers.grid
