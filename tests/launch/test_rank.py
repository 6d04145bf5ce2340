"""What a rank knows: its world, its number on its machine, and the terminal for progress bars, if there is one."""

import os
import subprocess
import sys

import pytest

from asrpar.errors import LaunchError
from asrpar.launch.rank import SEAT, TERMINAL, WORLD_SIZE, check_world, local_rank

DRAW = """
import sys
from asrpar.launch.rank import progress_stream
stream = progress_stream()
print(stream.isatty() if stream else None, file=sys.stdout)
if stream:
    print("half way", file=stream, flush=True)
"""
AS_A_RANK = """
import os, subprocess, sys
from asrpar.launch.job import build_command
from asrpar.launch.launchers import srun
from asrpar.launch.spec import LaunchSpec
job = build_command(LaunchSpec(1), ["info"], launcher=srun.Launcher("srun", pmi="pmix"))
rank = subprocess.run([sys.executable, "-c", sys.argv[1]], env={**os.environ, **job.env}, stderr=subprocess.PIPE)
sys.exit(rank.returncode)
"""


@pytest.mark.parametrize("args", [[DRAW], [AS_A_RANK, DRAW]], ids=["on the terminal", "under a launcher on it"])
def test_progress_is_drawn_on_the_terminal(args):
    ours, theirs = os.openpty()
    try:
        done = subprocess.run([sys.executable, "-c", *args], stderr=theirs, stdout=subprocess.PIPE, text=True)
        assert (done.returncode, done.stdout) == (0, "True\n")
        assert os.read(ours, 1000) == b"half way\r\n"
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("terminal", [None, "plain file", "missing"])
def test_no_terminal_no_progress(monkeypatch, tmp_path, terminal):
    (tmp_path / "plain file").write_text("kept")
    monkeypatch.delenv(TERMINAL, raising=False)
    if terminal:
        monkeypatch.setenv(TERMINAL, str(tmp_path / terminal))
    done = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")
    assert (tmp_path / "plain file").read_text() == "kept"
    assert not (tmp_path / "missing").exists()


def test_check_world(monkeypatch):
    monkeypatch.delenv(WORLD_SIZE, raising=False)
    check_world(1)  # started by hand: nothing to compare with
    monkeypatch.setenv(WORLD_SIZE, "2")
    with pytest.raises(LaunchError, match="2 learners were asked for, but this rank sees a world of 1"):
        check_world(1)


def test_local_rank(monkeypatch):
    for name in ("SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"):
        monkeypatch.delenv(name, raising=False)
    assert local_rank(5) == 5
    monkeypatch.setenv("SLURM_LOCALID", "0")
    assert local_rank(5) == 0
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1")
    assert local_rank(5) == 1


def test_a_rank_that_mpirun_does_not_label_does_it_itself():
    program = (
        "import sys; from asrpar.launch.rank import begin; begin(); print('a', 1, file=sys.stderr); print('b\\nc')"
    )
    environment = {**os.environ, SEAT: "2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    begun, *said, end = done.stderr.rstrip("\n").split("\n")
    assert "[asrpar,2]<stderr>: \x1easrpar-rank begin" in begun and end.endswith("done")
    assert said == ["[asrpar,2]<stderr>: a 1"]
    assert done.stdout == "[asrpar,2]<stdout>: b\n[asrpar,2]<stdout>: c\n"
