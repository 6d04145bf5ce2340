import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from asrpar.files.lock import BusyError, Holder, alone, busy, ending_on_sigterm, holder, short, try_lock
from asrpar.launch.guard import JOB

HOLD = """
import sys
from pathlib import Path
from asrpar.files.lock import try_lock
sys.argv = ["/opt/venv/bin/asrpar", "extract-features", "--jobs", "1"]
lock = try_lock(Path(sys.orig_argv[-1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_one_is_told_who_holds_the_folder_and_a_killed_holder_holds_nothing(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BusyError) as told, alone(tmp_path):
            pass
        said = f"{tmp_path} is being written by asrpar extract-features (process {process.pid} on {os.uname().nodename}"
        assert str(told.value).startswith(said + " since ")
        assert str(told.value).endswith("): wait for it, end it, or choose another folder")
        assert holder(tmp_path).pid == process.pid, "the one that failed left the record alone"
        process.kill()
        process.wait()
        with alone(tmp_path):
            assert holder(tmp_path).pid == os.getpid()


def test_a_lock_that_outlives_its_process_says_so(tmp_path):
    ended, process = subprocess.Popen(["true"]), subprocess.Popen(["sleep", "600"], env={JOB: f"{tmp_path}/gone"})
    ended.wait()
    with alone(tmp_path) as lock:
        lock.truncate(0)
        lock.write(f'{{"pid": {ended.pid}, "host": "{os.uname().nodename}", "command": "asrpar study", "since": 0}}')
        lock.flush()
        assert "is being written by what is left of asrpar study" in busy(tmp_path)
        lock.truncate(0)
        assert "is being written by another process: wait" in busy(tmp_path)
        rank = Holder(process.pid, os.uname().nodename, "asrpar train", 0, f"{tmp_path}/gone")
        lock.write(json.dumps(asdict(rank)))
        lock.flush()
        assert f", whose launcher has gone: end it (kill -9 {process.pid}) and start again" in busy(tmp_path)
        other = replace(rank, pid=os.getpid())  # such as a process of another container: nothing is known of its job
        assert not other.orphaned() and rank.orphaned()
        process.kill()
        process.wait()


def test_readers_share_and_keep_a_writer_out(tmp_path):
    with alone(tmp_path):
        assert try_lock(tmp_path, shared=True) is None
    with try_lock(tmp_path, shared=True), try_lock(tmp_path, shared=True):
        assert try_lock(tmp_path) is None
    with alone(tmp_path):
        pass


def test_a_holder_in_words():
    assert short("/x/.venv/bin/asrpar train --set 'a=b c'") == "asrpar train"
    assert short("/x/asrpar/__main__.py launch") == "asrpar launch"
    assert short("python 'unfinished") == "python"
    assert short("/v/bin/python -m mpi4py -m asrpar train --config c") == "asrpar train"
    assert str(Holder(7, "h", "asrpar train", time.time() - 864000)).startswith("asrpar train (process 7 on h since 20")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_sigterm_that_comes_twice_does_not_interrupt_the_cleaning_up(number):
    done = []
    with pytest.raises(SystemExit) as ended, ending_on_sigterm():
        try:
            os.kill(os.getpid(), number)
            time.sleep(60)
        finally:
            os.kill(os.getpid(), number)
            done.append("whole")
    assert (done, ended.value.code) == (["whole"], 128 + number)
    assert signal.getsignal(number) == signal.SIG_DFL
