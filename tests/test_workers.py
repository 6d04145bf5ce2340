"""Worker processes end with whoever started them."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from asrpar.errors import AsrparError
from asrpar.workers import Workers

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from asrpar.workers import Workers

def work(folder, number):
    (folder / str(os.getpid())).touch()
    time.sleep(0.01 if number < 0 else 600)
    return number

if __name__ == "__main__":
    # A shell lets what it starts in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[2])
    with Workers(2, sys.argv[1], preload=["asrpar.errors"] if sys.argv[1] == "forkserver" else []) as pool:
        print([pool.submit(work, folder, n).result() for n in (-3, -2)], flush=True)
        for future in [pool.submit(work, folder, n) for n in range(4)]:
            future.result()
"""


def test_a_folder_too_long_for_a_socket_is_told(tmp_path):
    folder = tmp_path / ("x" * 80)
    folder.mkdir()
    code = "from asrpar.workers import Workers; Workers(1, 'forkserver')"
    env = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert f"temporary files, {folder}, has a name that is too long for a socket by" in done.stderr
    assert "set TMPDIR to a shorter one" in done.stderr
    assert not list(folder.iterdir())


def end_at_once(number):
    os._exit(number)


def test_a_process_that_dies_is_one_line():
    with Workers(1, "spawn") as pool, pytest.raises(AsrparError, match=r"a process for sums died, .* fewer than 1"):
        pool.result(pool.submit(end_at_once, 3), "sums")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(done):
    # The time limit of a test ends what never comes.
    while not done():
        time.sleep(0.02)


@pytest.fixture
def short_folder():
    """The path of a socket has at most 107 bytes, which tmp_path and what Python adds to it exceed."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
@pytest.mark.parametrize(("number", "group"), [(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGINT, True)])
def test_no_worker_is_left_behind(tmp_path, short_folder, method, number, group):
    (tmp_path / "program.py").write_text(PROGRAM)
    folder = tmp_path / "workers"
    folder.mkdir()
    temporary = short_folder
    process = subprocess.Popen(
        [sys.executable, tmp_path / "program.py", method, folder],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "[-3, -2]\n"
    until(lambda: len(list(folder.iterdir())) == 2)
    # As a terminal does it, or somebody who knows of one process only.
    os.killpg(process.pid, number) if group else process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode != 0
    until(lambda: not any(alive(path.name) for path in folder.iterdir()))
    until(lambda: not any(temporary.iterdir()))
    assert err.count("Traceback") <= (number == signal.SIGINT)


def test_far_more_processes_than_cores_are_refused_before_any_starts(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    with pytest.raises(AsrparError, match="--jobs 33: at most 32 processes"), Workers(33, "spawn"):
        raise AssertionError
    with Workers(32, "spawn"):
        pass  # none is started before there is work
