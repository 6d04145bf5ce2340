"""Ending a learner's process."""

import signal
import subprocess
import sys

from asrpar.launch.guard import identity
from asrpar.parallel.comm import LocalComm
from asrpar.train.neighbours import Neighbours


def test_a_stopped_process_of_this_host_is_ended_and_no_later_one_of_its_number():
    found = Neighbours()
    assert found.meet(LocalComm(), 7) == [7]
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process.send_signal(signal.SIGSTOP)
    name = identity(process.pid)
    host, rest = name.split(maxsplit=1)
    found.processes = {0: name, 1: f"other{host} {rest}", 2: f"{name}1"}
    # Of another host, of nobody, of one that has ended and whose number is another's now.
    assert (found.end(1), found.end(5), found.end(2)) == (False, False, True)
    assert process.poll() is None
    assert found.end(0)
    assert process.wait() == -signal.SIGKILL
