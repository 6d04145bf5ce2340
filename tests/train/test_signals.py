"""Which signals a trainer takes for the wish to stop."""

import os
import signal

import pytest

from asrpar.parallel.comm import LocalComm
from asrpar.train.signals import StopRequest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP])
def test_a_signal_is_remembered_until_the_next_step(number):
    stop = StopRequest(LocalComm(), 0.0)
    stop.listen()
    try:
        assert not stop.noticed()
        os.kill(os.getpid(), number)
        assert stop.noticed() and stop.agreed() == number
    finally:
        stop.close()
    assert signal.getsignal(number) == signal.SIG_DFL


def test_what_nohup_has_switched_off_stays_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = StopRequest(LocalComm(), 0.0)
        stop.listen()
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.noticed()
        stop.close()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_a_stop_says_why():
    stop = StopRequest(LocalComm(), 1e-9, signals=())
    assert stop.cause(signal.SIGUSR1) == "SIGUSR1"
    stop.listen()
    assert stop.agreed() == signal.SIGUSR1
    assert stop.cause(signal.SIGUSR1) == "its time limit of 1e-09 minutes"
    assert stop.cause(signal.SIGTERM) == "SIGTERM"


def test_newcomers_are_a_reason_to_meet_but_a_signal_comes_first():
    comm = LocalComm()
    comm.newcomers = lambda: [1]
    stop = StopRequest(comm, 0.0, signals=())
    assert stop.noticed() and stop.agreed() == 0 and stop.joining
    comm.newcomers = list
    assert not stop.noticed() and stop.agreed() == 0 and not stop.joining
    comm.newcomers = lambda: [1]
    stop.number = int(signal.SIGTERM)
    assert stop.agreed() == signal.SIGTERM and not stop.joining
