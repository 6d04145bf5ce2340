"""Signals to the launcher: what they mean to the job, and when."""

import os
import signal

import pytest

from asrpar.launch import forward
from asrpar.launch.forward import Forwarding


class Process:
    """A job that only remembers what it was sent."""

    def __init__(self):
        self.got = []

    def send_signal(self, number):
        self.got.append(number)

    def terminate(self):
        self.got.append(signal.SIGTERM)


@pytest.fixture
def now(monkeypatch):
    """A clock that a test moves."""
    times = [100.0]
    monkeypatch.setattr(forward.time, "monotonic", lambda: times[0])
    monkeypatch.setattr(forward.time, "sleep", lambda seconds: None)
    return times


def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


def test_a_signal_that_comes_twice_at_once_is_one_wish(now):
    for _ in range(10):
        process = Process()
        with Forwarding(process, grace=60) as it:
            send(signal.SIGTERM, signal.SIGTERM)  # `timeout`: the child, and its group
            now[0] += 1.5
            send(signal.SIGINT)
            it.enforce()
            assert process.got == [signal.SIGUSR1] and not it.forced
            assert it.received == signal.SIGTERM
        now[0] += 100


def test_a_second_signal_later_ends_the_job_at_once(now):
    process = Process()
    with Forwarding(process, grace=60) as it:
        send(signal.SIGTERM)
        now[0] += 3
        send(signal.SIGTERM)
        it.enforce()
    assert process.got == [signal.SIGUSR1, signal.SIGTERM] and it.forced


def test_the_announcement_of_an_end_does_not_hurry_but_the_end_does(now):
    process = Process()
    with Forwarding(process, grace=60) as it:
        send(signal.SIGUSR1)
        now[0] += 100
        it.enforce()
        assert process.got == [signal.SIGUSR1]
        send(signal.SIGTERM, signal.SIGTERM)
        now[0] += 59
        it.enforce()
        assert process.got == [signal.SIGUSR1] * 2
        now[0] += 2
        it.enforce()
        assert process.got[2:] == [signal.SIGTERM]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2, signal.SIGINT, signal.SIGTERM])
def test_whatever_asks_for_an_end_lets_the_ranks_save(now, monkeypatch, number):
    process, before = Process(), signal.signal(number, signal.SIG_DFL)
    try:
        with Forwarding(process, grace=60) as it:
            send(number)
            assert process.got == [signal.SIGUSR1] and it.received == number and it.deadline == 160.0
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_nohup_holds():
    process, before = Process(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Forwarding(process, grace=60):
            send(signal.SIGHUP)
            assert process.got == []
    finally:
        signal.signal(signal.SIGHUP, before)
