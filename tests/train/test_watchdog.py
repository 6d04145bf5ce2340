"""A training that stands still ends by itself, and says which rank was behind."""

import json
import os
import threading
import time
from types import SimpleNamespace

import pytest
from minidata import asrpar, train_options

from asrpar.parallel.comm import LocalComm
from asrpar.parallel.comm.threads import FailuresEndTheRun
from asrpar.parallel.trace import RecordingTrace
from asrpar.train import watchdog
from asrpar.train.watchdog import Watchdog


@pytest.fixture
def make(tmp_path):
    def of(size=1, timeout=20.0, rank=0, **options):
        comm = LocalComm()
        comm.size, comm.rank = size, rank
        (tmp_path / "beats").mkdir(exist_ok=True)
        return Watchdog(tmp_path, comm, RecordingTrace(), timeout, **options)

    return of


def at(step, doing="allreduce", idle=21.0):
    return {"step": step, "doing": doing, "idle": idle}


@pytest.mark.parametrize(
    ("answers", "blamed", "says"),
    [
        (
            [at(18), at(18), at(17, "compute"), at(18)],
            2,
            "rank 2 is at step 17 (compute), the others at step 18 (allreduce)",
        ),
        # Equally far: whoever does not wait for the others.
        ([at(5), at(5, "data")], 1, "rank 1 is at step 5 (data), rank 0 at step 5 (allreduce)"),
        ([at(5), at(5)], 0, "ranks 0, 1 are at step 5 (allreduce)"),
        # Going at their own pace: a slow learner that comes on is not to blame, nor are those that wait for it.
        (
            [at(3, "compute", 1.0), at(9, "compute"), at(30, "wait")],
            1,
            "rank 1 is at step 9 (compute), the others at step 3 to 30 (compute, wait)",
        ),
        ([at(18), None, at(18)], 0, "rank 1 did not answer (stopped, or the machine is gone; last words in "),
        ([at(2, "compute")], 0, "rank 0 is at step 2 (compute)"),
    ],
)
def test_diagnoses(make, tmp_path, answers, blamed, says):
    dog = make(len(answers))
    rank, message = dog.diagnosis({r: a for r, a in enumerate(answers) if a})
    assert rank == blamed
    assert message.startswith(f"no progress for 20 s: {says}")
    assert message.endswith(f"; stack traces in {tmp_path}/train.{blamed}.log")


def test_at_their_own_pace_whoever_has_stood_still_longest_is_to_blame(make):
    answers = [at(30, "wait"), at(9, "compute", 40.0), at(3, "compute", 12.0)]
    assert make(3).diagnosis(dict(enumerate(answers)))[0] == 2, "together, whoever is behind"
    rank, message = make(3, lockstep=False).diagnosis(dict(enumerate(answers)))
    assert rank == 1 and "rank 1 is at step 9 (compute), the others at step 3 to 30" in message


def test_nobody_ends_before_the_diagnosis_however_long_it_has_waited(make, monkeypatch, tmp_path):
    told = []

    def looks(dog, seconds):
        monkeypatch.setattr(dog, "_end", lambda message, **_: told.append(message))
        monkeypatch.setattr(watchdog.os, "_exit", lambda code: pytest.fail("ended without a diagnosis"))
        dog._idle = 500.0
        dog._waiting = True
        return Days(monkeypatch, dog, seconds)

    marker, diagnosis = tmp_path / "stalled", tmp_path / "beats" / "diagnosis"
    marker.write_text("rank 2 123.0")
    dog = make(3, lockstep=False)
    assert looks(dog, 19).alarms == [] and told == []
    assert '"idle": 5' in (tmp_path / "beats" / "0.json").read_text()
    diagnosis.write_text("1 no progress: rank 1 is at fault")
    looks(dog, 10)
    assert set(told) == {"no progress: rank 1 is at fault"}, "it was somebody else's to end the job, for 20 s"
    diagnosis.write_text("0 no progress: rank 0 is at fault")
    dog = make(3, lockstep=False)
    looks(dog, 3)
    assert told[-1:] == ["no progress: rank 0 is at fault"]
    # Whoever noticed saw the others go on: nobody is to blame.
    diagnosis.unlink()
    dog = make(3, lockstep=False)
    looks(dog, 3)
    marker.unlink()
    looks(dog, 3)
    assert dog._answered == ""


def test_a_lost_learner_is_not_asked(make):
    dog = make(3)
    survivors = LocalComm()
    survivors.allgather_object = lambda mine: [(0, mine[1]), (2, mine[1])]
    dog.regroup(survivors)
    assert "rank 2 is at step 3 (compute), rank 0 at" in dog.diagnosis({0: at(4), 2: at(3, "compute")})[1]


class Days:
    """Time that passes only while a watchdog sleeps: each look takes its pause, and what else is planned."""

    def __init__(self, monkeypatch, dog, looks, each=None):
        self.now, self.looks, self.each, self.alarms, self.dog = 0.0, looks, each or (lambda n: 0.0), [], dog
        monkeypatch.setattr(watchdog.time, "monotonic", lambda: self.now)
        dog._stop.wait = self.wait
        dog._alarm = lambda: self.alarms.append(self.now)
        dog._watch()

    def wait(self, pause):
        self.looks -= 1
        self.now += pause + self.each(self.looks)
        return self.looks < 0 or bool(self.alarms)


def test_silence_is_noticed_after_the_stated_time(make, monkeypatch):
    assert Days(monkeypatch, make(), 100).alarms == [21.0]


def test_what_is_learned_from_the_run_is_waited_for_and_no_more(make, monkeypatch):
    dog = make(timeout=None)
    dog.saved()

    def beat(n):
        # A sign each ten seconds for half an hour, then silence.
        if n % 10 == 0 and n >= 3200:
            dog.beat()
        return 0.0

    assert dog.timeout == 600
    (alarm,) = Days(monkeypatch, dog, 5000, beat).alarms
    assert 195 <= dog.timeout <= 205 and alarm == pytest.approx(1800 + dog.timeout, abs=12)


def test_at_their_own_pace_learners_tell_often_enough_for_whoever_has_the_least_patience(make, monkeypatch):
    dog, told = make(2, timeout=None, lockstep=False), []
    monkeypatch.setattr(dog, "_tell", lambda: (told.append(dog._silence), setattr(dog, "_silence", 0.0)))
    Days(monkeypatch, dog, 100)
    assert len(told) > 10 and max(told) <= 60 / 6


def test_a_waiting_learner_has_the_patience_of_the_slowest(make, monkeypatch, tmp_path):
    slow = make(2, timeout=400.0, lockstep=False, rank=1)
    slow._tell()
    dog = make(2, timeout=20.0, lockstep=False)
    with dog.waiting():
        # The other is in a step that takes as long as its steps do.
        assert Days(monkeypatch, dog, 300).alarms == []
        assert Days(monkeypatch, dog, 300).alarms != []


def test_a_gradient_or_a_beat_is_progress(make, monkeypatch):
    dog = make()

    def beat(n):
        if n % 15 == 0:
            dog.beat()
        return 0.0

    def gradient(n):
        if n % 15 == 0:
            with dog.trace.span("compute"):
                pass
        return 0.0

    assert Days(monkeypatch, dog, 100, beat).alarms == []
    assert Days(monkeypatch, dog, 100, gradient).alarms == []


def test_a_suspended_process_was_not_idle(make, monkeypatch):
    days = Days(monkeypatch, make(), 15, lambda n: 100_000.0 if n == 5 else 0.0)
    assert days.now > 100_000
    assert days.alarms == []


def test_patience_with_slower_learners_that_come_on(make, monkeypatch, tmp_path):
    def other(step):
        (tmp_path / "beats" / "1.json").write_text(f'{{"step": {step}}}')
        return 0.0

    dog = make(2, lockstep=False)
    with dog.waiting():
        assert Days(monkeypatch, dog, 200, lambda n: other(n // 10)).alarms == []
        # Once nobody comes on, the same time is given again.
        assert Days(monkeypatch, dog, 200, lambda n: other(0)).alarms[0] <= 2 * 20.0 + 2
    # Who does not wait for others has no such excuse.
    dog = make(2, lockstep=False)
    assert Days(monkeypatch, dog, 200, lambda n: other(n // 10)).alarms == [21.0]
    # Nor has anybody where all go together.
    dog = make(2)
    with dog.waiting():
        assert Days(monkeypatch, dog, 200, lambda n: other(n // 10)).alarms == [21.0]


def test_an_alarm_leaves_stacks_and_one_line(make, monkeypatch, tmp_path):
    told, flushed = [], []
    dog = make(on_stall=lambda: flushed.append(1))
    dog.beat(39)
    with dog.trace.span("compute"):
        pass
    dog._end = lambda message, **_: told.append(message)
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="exchange")
    thread.start()
    with dog.trace.span("data"):
        dog._alarm()
    release.set()
    thread.join()
    assert told == [f"no progress for 20 s: rank 0 is at step 40 (data); stack traces in {tmp_path}/train.0.log"]
    text = (tmp_path / "train.0.log").read_text()
    assert "thread exchange:" in text
    assert text.rindex("thread MainThread:") > text.index("thread exchange:")
    assert "test_an_alarm_leaves_stacks_and_one_line" in text
    assert flushed == [1]
    assert not (tmp_path / "stalled").exists()


def test_a_false_alarm_ends_nothing(make, tmp_path, caplog):
    told = []
    dog = make(on_stall=lambda: dog.beat())
    dog._end = told.append
    with caplog.at_level("WARNING", logger="asrpar"):
        dog._alarm()
    assert told == []
    assert not (tmp_path / "stalled").exists()


def test_where_others_go_on_only_the_one_to_blame_ends(make, monkeypatch, tmp_path):
    def answers(*who):
        for rank in who:
            record = {"step": 5 - rank, "doing": "compute", "idle": 21.0, "marker": (tmp_path / "stalled").read_text()}
            (tmp_path / "beats" / f"{rank}.json").write_text(json.dumps(record))

    killed = []
    monkeypatch.setattr(watchdog, "ANSWER", 0.2)
    monkeypatch.setattr(watchdog, "LEAVE", 1.0)
    monkeypatch.setattr(watchdog.os, "kill", lambda pid, number: killed.append((pid, number)))
    # Rank 1 is at fault, and ends; the others are then made a smaller group.
    dog = make(3, survives=True, on_stall=lambda: answers(1, 2))
    monkeypatch.setattr(dog, "_end", lambda *_, **__: pytest.fail("nobody else ends"))
    diagnosis = tmp_path / "beats" / "diagnosis"
    monkeypatch.setattr(dog._stop, "wait", lambda pause: dog.beat() if diagnosis.exists() else None)
    dog._alarm()
    assert not diagnosis.exists() and not (tmp_path / "stalled").exists()
    # It has not answered: who can ends it.
    dog = make(3, survives=True, on_stall=lambda: answers(2))
    other = make(3, survives=True, rank=2)
    for one in (dog, other):
        monkeypatch.setattr(one, "neighbours", SimpleNamespace(end=killed.append))
    monkeypatch.setattr(dog, "_end", lambda *_, **__: pytest.fail("nobody else ends"))

    def wait(pause):
        if (tmp_path / "beats" / "silent").exists():
            other._obey("marker")
            dog.beat()

    monkeypatch.setattr(dog._stop, "wait", wait)
    (tmp_path / "beats" / "1.json").unlink()
    dog._alarm()
    assert killed == [1, 1]
    assert "rank 1 did not answer" in (tmp_path / "train.0.log").read_text()


def test_a_watchdog_that_fails_does_not_do_so_in_silence(make, monkeypatch):
    dog = make(timeout=0.1)

    def fail(found):
        raise ArithmeticError("no marker")

    monkeypatch.setattr(dog.notices, "read", fail)
    with pytest.raises(ArithmeticError, match="no marker"), FailuresEndTheRun(lambda error: None), dog:
        time.sleep(20)


def test_asleep_without_a_timeout(make, tmp_path):
    before = threading.active_count()
    with make(timeout=0.0) as dog:
        assert threading.active_count() == before
        dog.beat()
    with make(timeout=60.0):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert list((tmp_path / "beats").iterdir()) == []


STOPPED = """
import os, signal, sys, time
from pathlib import Path

from asrpar.parallel.comm import world
from asrpar.parallel.trace import RecordingTrace
from asrpar.train.watchdog import Watchdog

comm = world()
comm.trace = RecordingTrace()
with Watchdog(Path(sys.argv[1]), comm, comm.trace, 2.0, lockstep=False) as dog:
    for _ in range(comm.rank + 1):
        with comm.trace.span("compute"):
            time.sleep(0.01)
    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    with dog.waiting():
        comm.barrier()
"""


@pytest.mark.mpi
def test_a_stopped_process_is_found_by_those_that_wait_for_it(mpirun, tmp_path):
    done = mpirun(3, STOPPED, tmp_path, check=False, timeout=120)
    assert done.returncode != 0
    assert "no progress for 2 s: rank 1 did not answer (stopped, or the machine is gone" in done.stderr
    assert "the others at step 1 to 3 (barrier)" in done.stderr
    for rank in (0, 2):
        assert "in barrier" in (tmp_path / f"train.{rank}.log").read_text()


def faulty(mini, exp, **faults):
    settings = {"strategy": "ssgd", "watchdog__timeout_seconds": 5} | {f"faults__{k}": v for k, v in faults.items()}
    return asrpar("launch", "--learners", 3, "--", "train", *train_options(mini, exp, **settings), check=False)


@pytest.mark.mpi
def test_a_hung_learner_ends_the_training(mini, tmp_path):
    done = faulty(mini, tmp_path, hang_rank=1, hang_step=4)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("asrpar: error: no progress for 5 s: rank 1 is at step 3 (compute), ")
    assert "the others at step 4 (allreduce)" in last
    assert f"stack traces in {tmp_path}/log/train.1.log" in last
    assert "Traceback" not in done.stderr
    logs = [(tmp_path / "log" / f"train.{rank}.log").read_text() for rank in range(3)]
    assert all("thread MainThread:" in text and "train_epoch" in text for text in logs)
    assert ["_stop_answering" in text for text in logs] == [False, True, False]
    assert ["in allreduce" in text for text in logs] == [True, False, True]
    assert not (tmp_path / "final.pt").exists()


@pytest.mark.mpi
def test_a_killed_learner_ends_the_training_at_once(mini, tmp_path):
    done = faulty(mini, tmp_path, die_rank=2, die_step=4)
    ended = time.time()
    assert done.returncode == 137
    last = done.stderr.splitlines()[-1]
    assert last.startswith("asrpar: error: rank 2 of 3 failed: killed by signal 9")
    assert last.endswith(f"its log: {tmp_path}/log/train.2.log")
    # Rank 0 has reported on the first epoch of 2 steps.
    assert ended - os.stat(tmp_path / "log" / "train.0.log").st_mtime < 10
