"""An activity that fails ends the run, wherever the learner is waiting."""

import queue
import threading
import time

import pytest

from asrpar.parallel.comm import LearnerLost, LocalComm
from asrpar.parallel.comm import threads as module
from asrpar.parallel.comm.threads import FailuresEndTheRun

pytestmark = pytest.mark.timeout(30)


def fail(error):
    # The learner has begun to wait by then.
    time.sleep(0.05)
    raise error


def never(error):
    pytest.fail("ended by force")


@pytest.mark.parametrize("wait", ["message", "event", "queue", "thread", "sleep"])
def test_the_learner_hears_of_it_wherever_it_waits(wait):
    comm = LocalComm()
    waits = {
        "message": comm.receive,
        "event": comm.event().wait,
        "queue": queue.Queue().get,
        "thread": threading.Thread(target=threading.Event().wait, args=(20,), daemon=True),
        "sleep": lambda: time.sleep(20),
    }
    begin = time.monotonic()
    with pytest.raises(ArithmeticError, match="the eighth update"), FailuresEndTheRun(never):
        comm.spawn(lambda: fail(ArithmeticError("the eighth update")), "server")
        if wait == "thread":
            waits[wait].start()
            waits[wait].join()
        else:
            waits[wait]()
    assert time.monotonic() - begin < 5


def test_a_learner_that_nothing_reaches_is_ended_by_force(monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.1)
    ended = []
    with pytest.raises(ArithmeticError), FailuresEndTheRun(ended.append):
        LocalComm().spawn(lambda: fail(ArithmeticError("no update")), "server")
        try:
            time.sleep(20)
        finally:
            while not ended:  # as if in a call that does not return
                time.sleep(0.01)
    assert str(ended[0]) == "no update"


def test_a_failure_at_the_very_end_is_not_lost():
    with pytest.raises(ArithmeticError), FailuresEndTheRun(never) as block:
        block._first.acquire()
        block.error = ArithmeticError("late")


def test_a_lost_learner_ends_nothing():
    with FailuresEndTheRun(never):
        activity = LocalComm().spawn(lambda: fail(LearnerLost("rank 1")), "server")
        time.sleep(0.2)
        with pytest.raises(LearnerLost):
            activity.join()
