"""Progress bars: on the terminal, also through `asrpar launch`, and nowhere else."""

import os
import subprocess
import sys

import pytest

from asrpar.launch import rank

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
from asrpar.launch.job import LaunchSpec, build_command
from asrpar.launch.launchers import Launcher
job = build_command(LaunchSpec(1), ["info"], launcher=Launcher("srun", "srun", pmi="pmix"))
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
    monkeypatch.delenv(rank.TERMINAL, raising=False)
    if terminal:
        monkeypatch.setenv(rank.TERMINAL, str(tmp_path / terminal))
    done = subprocess.run([sys.executable, "-c", DRAW], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")
    assert (tmp_path / "plain file").read_text() == "kept"
    assert not (tmp_path / "missing").exists()
