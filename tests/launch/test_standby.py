"""Programs that a process on standby forks, against those that are started in the usual way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asrpar.launch import standby
from asrpar.launch.standby import PLACE, Standby, program

# What a program sees of itself, and whether a module of the one on standby was there when it began.
SEEN = """
import json, os, resource, sys
loaded = "tqdm" in sys.modules
import signal
facts = {
    "argv": sys.argv[1:], "orig": sys.orig_argv[1:], "name": __name__, "folder": os.getcwd(), "umask": os.umask(0),
    "variables": {k: v for k, v in os.environ.items() if k not in ("_", "PWD", "SHLVL")},
    "limit": resource.getrlimit(resource.RLIMIT_FSIZE), "cores": sorted(os.sched_getaffinity(0)),
    "hup": signal.getsignal(signal.SIGHUP) == signal.SIG_IGN,
    "int": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
}
print(json.dumps([loaded, facts]))
print("and this", file=sys.stderr)
sys.exit(7)
"""
WAIT = """
import signal, sys, time
from asrpar.launch.guard import leave_with_parent
leave_with_parent()
signal.signal(signal.SIGUSR1, lambda *_: (print("told", flush=True)))
print("there", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    (folder / "seen.py").write_text(SEEN)
    (folder / "wait.py").write_text(WAIT)
    with Standby(str(folder), {**os.environ, "PYTHONPATH": str(folder)}):
        until = time.monotonic() + 120
        while not (folder / PLACE).exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        yield folder / PLACE
    with pytest.raises(OSError, match=r"No such file|refused"):
        standby.socket.socket(standby.socket.AF_UNIX).connect(str(folder / PLACE))


def begin(place, *words, **options):
    environment = {**os.environ, "PYTHONPATH": str(place.parent), "SOME": "variable"}
    options = {"env": environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(program(str(place), *words), **options)


def test_a_forked_program_is_like_one_that_was_started(place, tmp_path):
    found = []
    for where in (place, place.with_name("nobody")):
        done = begin(where, "-P", "-m", "seen", "one", "two words", cwd=tmp_path, umask=0o27)
        out, err = done.communicate(timeout=60)
        assert (done.returncode, err) == (7, "and this\n")
        found.append(json.loads(out))
    (loaded, forked), (_, started) = found
    assert loaded and forked == started
    assert forked["argv"] == ["one", "two words"] and forked["umask"] == 0o27


def first_line(process):
    assert process.stdout.readline() == "there\n"


def test_signals_reach_it_and_its_end_by_one_is_told(place):
    process = begin(place, "-m", "wait")
    first_line(process)
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == "told\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM


def of_group(place):
    """Processes, of those that it has forked, that have the module's file or are about to."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().split(b"\0")
                if os.fsencode(place) in line and os.fsencode(standby.SERVE) in line:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_whatever_is_killed_nothing_of_it_is_left(place):
    alone = of_group(place)
    assert len(alone) == 1
    for who in ("who stands for it", "the program", "its keeper"):
        process = begin(place, "-m", "wait")
        first_line(process)
        keeper, child = sorted(set(of_group(place)) - set(alone))
        os.kill({"who stands for it": process.pid, "the program": child, "its keeper": keeper}[who], signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        until = time.monotonic() + 10
        while of_group(place) != alone:
            assert time.monotonic() < until, who
            time.sleep(0.02)


def test_what_cannot_be_forked_is_started_as_ever(place):
    process = begin(place, "-c", "import sys; print(sys.argv)", "word")
    assert process.communicate(timeout=60)[0] == "['-c', 'word']\n"


def test_who_is_on_standby_has_not_begun_mpi(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", object())
    with pytest.raises(RuntimeError, match="MPI must begin in the rank"):
        standby.load(())
