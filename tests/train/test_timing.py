"""What the training time went to, from spans to train.json."""

import json

import pytest
from minidata import ranks, train_options

from asrpar.cpu import cpu
from asrpar.parallel.comm import LocalComm
from asrpar.train.config import TraceConfig
from asrpar.train.timing import Timing, fractions, table


class Transport(LocalComm):
    """One clock for everything; ``others`` answer as if they had done the same."""

    def __init__(self, others=0):
        super().__init__()
        self.now, self.others = 0.0, others

    def clock(self):
        return self.now

    def allgather_object(self, value):
        return [value] * (1 + self.others)


@pytest.fixture
def make(tmp_path):
    def of(others=0, **config):
        comm = Transport(others)
        timing = Timing(comm, tmp_path / "trace", TraceConfig(**config))
        timing.trace.clock = lambda: int(comm.now * 1e9)
        assert comm.trace is timing.trace
        return timing

    return of


def spend(timing, name, seconds, **arguments):
    with timing.trace.span(name, **arguments):
        timing.comm.now += seconds


def test_fractions():
    spans = {
        "learner/compute": [4, 4.0, 0],
        "learner/straggle": [1, 1.0, 0],
        "learner/apply": [4, 0.5, 0],
        "learner/data": [4, 0.25, 0],
        "learner/allreduce": [4, 2.0, 400],
        "learner/wait": [4, 1.0, 0],
        "hidden/exchange": [2, 3.0, 80],
        "hidden/wait": [9, 8.0, 0],  # for somebody to come
    }
    assert fractions(spans, 10.0, 500.0) == {
        "frames_per_second": 50.0,
        "compute": 0.5,
        "apply": 0.05,
        "data": 0.025,
        "waiting": 0.3,
        "hidden": 0.3,
        "other": pytest.approx(0.125),
        "bytes_sent": 480.0,
        "messages": 6.0,
    }


def test_only_training_counts(make):
    timing = make()
    spend(timing, "broadcast", 7.0, sent=8)
    timing.begin()
    spend(timing, "compute", 3.0)
    spend(timing, "allreduce", 1.0, sent=8)
    assert timing.lap() == 4.0
    spend(timing, "allreduce", 100.0, sent=8)  # a dev set
    timing.begin()
    spend(timing, "compute", 3.0)
    timing.comm.now += 1.0
    assert timing.lap() == 4.0
    found = timing.summary()["mean"]
    assert (found["seconds"], found["compute"], found["waiting"], found["other"]) == (8.0, 0.75, 0.125, 0.125)
    assert (found["bytes_sent"], found["messages"]) == (8.0, 1.0)


def test_epochs_are_told_apart_and_a_resumed_run_adds_up(make):
    timing = make(others=1)
    timing.begin()
    spend(timing, "compute", 2.0)
    timing.frames += 100
    timing.trace.count("staleness", 2)
    timing.lap()
    first = timing.end_epoch()
    assert (first["time/compute"], first["time/frames_per_second"], first["time/staleness"]) == (1.0, 50.0, 2.0)

    state = timing.state_dict()
    timing = make(others=1)
    timing.load_state_dict(state)
    timing.begin()
    spend(timing, "compute", 1.0)
    spend(timing, "data", 3.0)
    timing.trace.count("staleness", 0)
    timing.trace.count("staleness", 1)
    timing.lap()
    second = timing.end_epoch()
    assert (second["time/compute"], second["time/frames_per_second"], second["time/staleness"]) == (0.25, 0.0, 0.5)
    found = timing.summary()
    assert (found["mean"]["seconds"], found["mean"]["compute"], found["mean"]["frames"]) == (6.0, 0.5, 100.0)
    assert found["staleness"] == {
        "number": 6,
        "mean": 1.0,
        "max": 2,
        "last": 1,
        "histogram": {"0": 2, "1": 2, "2": 2},
    }


def test_an_epoch_in_which_a_run_was_resumed_is_counted_whole(make):
    timing = make(others=1)
    timing.begin()
    timing.trace.count("staleness", 1)
    timing.lap()
    timing.end_epoch()
    for value in (2, 4):
        timing.trace.count("staleness", value)
        spend(timing, "compute", value)
        timing.lap()
        state = timing.state_dict()
        timing = make(others=1)
        timing.load_state_dict(state)
        timing.begin()
    timing.trace.count("staleness", 6)
    timing.lap()
    assert timing.end_epoch()["time/staleness"] == 4.0


def test_the_table_shows_the_extremes_of_many_ranks(make):
    timing = make(others=39)
    timing.begin()
    spend(timing, "compute", 2.0)
    timing.trace.count("consensus_distance", 0.125)
    timing.lap()
    lines = table(timing.summary()).splitlines()
    assert len(lines) == 1 + 16 + 1 + 1
    assert lines[-2].split()[:3] == ["mean", "0", "100.0"]
    assert lines[-1] == "consensus distance: mean 0.125, greatest 0.125, last 0.125"


@pytest.mark.mpi
def test_a_training_says_what_its_time_went_to(mini, tmp_path):
    settings = {"strategy": "ssgd", "trace__enabled": "true", "epochs": 2, "tensorboard_every_steps": 2}
    done = ranks(2, "train", *train_options(mini, tmp_path, **settings))
    assert f"training time by rank on {cpu()}, fractions" in done.stderr
    summary = json.loads((tmp_path / "train.json").read_text())
    found = summary["time"]
    assert [r["rank"] for r in found["ranks"]] == [0, 1]
    assert sum(r["frames"] for r in found["ranks"]) == summary["frames"]
    for rank in (*found["ranks"], found["mean"]):
        assert sum(rank[k] for k in ("compute", "apply", "data", "waiting", "other")) == pytest.approx(1.0)
        assert rank["compute"] > 0
        # A step's message is P + 1 numbers, of which a ring of two sends one half twice; and small ones besides. That
        # all data are used up is found in one more step of each epoch.
        steps = summary["steps"] + summary["epochs"]
        assert rank["bytes_sent"] == pytest.approx(steps * 4 * (summary["parameters"] + 1), rel=0.05)
        assert rank["messages"] >= steps
    assert found["ranks"][0]["spans"]["learner/compute"]["number"] >= summary["steps"]
    for rank in (0, 1):
        names = {e["name"] for e in json.loads((tmp_path / "trace" / f"rank-{rank}.json").read_text())}
        assert {"data", "compute", "apply", "allreduce"} <= names

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"time/compute", "time/waiting", "time/bytes_sent"} <= set(scalars.Tags()["scalars"])
    assert len(scalars.Scalars("time/compute")) == 2
    for name in ("loss", "lr", "grad_norm", "frames_per_second"):
        points = scalars.Scalars(f"step/{name}")
        assert len(points) == summary["steps"] // 2 and all(p.value > 0 for p in points)
        assert [p.step for p in points] == sorted({p.step for p in points}) and points[-1].step <= summary["frames"]
