"""Too few learners are left while others are being started."""

from types import SimpleNamespace

import pytest

from asrpar.errors import TrainingError
from asrpar.parallel.comm import LocalComm
from asrpar.train.company import GRACE, Company


class Group(LocalComm):
    """So many learners; after each wait another one may be ready."""

    recalls = True

    def __init__(self, size, ready=()):
        super().__init__()
        self.size, self.ready, self.now = size, list(ready), 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def survivors(self):
        return Group(1, self.ready)

    def grown(self):
        if not self.ready or self.now < self.ready[0]:
            return self
        grown = Group(self.size + 1, self.ready[1:])
        grown.now = self.now
        return grown


def recover(monkeypatch, ready):
    company = Company(Group(3))
    trainer = SimpleNamespace(
        comm=Group(3, ready), shares=SimpleNamespace(abandon=int), watchdog=SimpleNamespace(beat=int)
    )
    monkeypatch.setattr(company, "meet", lambda trainer, comm: setattr(trainer, "comm", comm))
    company.recover(trainer)
    return trainer.comm


def test_too_few_wait_until_enough_are_back(monkeypatch):
    monkeypatch.setenv("ASRPAR_QUORUM", "2")
    left = recover(monkeypatch, [5.0, 9.0])
    # Not for the third one.
    assert left.size == 2 and 5.0 <= left.now < 6.0


def test_but_not_for_ever(monkeypatch):
    monkeypatch.setenv("ASRPAR_QUORUM", "2")
    with pytest.raises(TrainingError, match="1 of 3 learners are left, fewer than --quorum 2"):
        recover(monkeypatch, [GRACE + 1])
    monkeypatch.setattr(Group, "recalls", False)
    with pytest.raises(TrainingError, match="1 of 3 learners are left"):
        recover(monkeypatch, [0.0])
