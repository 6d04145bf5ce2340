"""Timing only: the real strategies take the time that can be worked out by hand."""

import pytest

from asrpar.errors import ConfigError
from asrpar.parallel.look import Look
from asrpar.parallel.strategies import STRATEGIES
from asrpar.parallel.virtual.cluster import Cluster, Compute, Jitter, Link, Links, Straggler
from asrpar.parallel.virtual.failures import Failures
from asrpar.parallel.virtual.timing import simulate_timing

# 100 MB in fp32.
PARAMETERS = 25e6


def cluster(nodes=4, devices=2, *, jitter=0.0, stragglers=(), collective="ring", **more) -> Cluster:
    compute = Compute(frames_per_second=1000.0, jitter=Jitter("uniform", jitter), stragglers=list(stragglers))
    links = Links(Link(0.0, 10e9), Link(0.0, 1e9, shared=True))
    return Cluster("test", "", nodes, devices, compute, links, collective, **more)


def timing(strategy, settings=None, learners=8, steps=20, description=None, **more):
    return simulate_timing(
        description or cluster(),
        strategy,
        settings,
        learners=learners,
        batch_frames=1000,
        steps=steps,
        **{"parameters": PARAMETERS} | more,
    )


def test_alone():
    found = timing("single", learners=1, frames=3.6e9)
    assert found["hours"] == pytest.approx(1000.0)
    assert found["speedup"] == pytest.approx(1.0)
    assert found["exposed_share"] == pytest.approx(0.0, abs=1e-9)
    assert found["bytes_sent"] == 0 and found["staleness"] is None


def test_ssgd_is_a_gradient_and_a_sum():
    found = timing("ssgd")
    # 14 steps of a ring with 1/8 of 100 MB at 1 GB/s; one number more than elements.
    step = 1.0 + 14 / 8 * 0.1 * (1 + 1 / 512)
    assert found["seconds"] == pytest.approx(20 * step)
    assert found["efficiency"] == pytest.approx(1 / step)
    assert found["exposed_share"] == pytest.approx(1 - 1 / step)
    assert found["bytes_per_step"] == pytest.approx(2 * 7 / 8 * 1e8, rel=0.01)


def test_ssgd_hides_buckets_behind_backward():
    found = timing("ssgd", {"bucket_mb": 5.9})
    # All but the last bucket (6.25 MB, one sixteenth) are summed while backward goes on.
    assert found["seconds"] == pytest.approx(20 * (1.0 + 14 / 8 * 0.1 / 16), rel=0.002)


@pytest.mark.parametrize(("parameters", "overlap", "waits"), [(25e6, 1, 0.0), (250e6, 1, 0.75), (250e6, 2, 0.0)])
def test_blocks_wait_for_what_their_overlap_does_not_hide(parameters, overlap, waits):
    found = timing("model_averaging", {"sync_steps": 4, "overlap_steps": overlap}, parameters=parameters)
    # Five blocks, and the steps behind which the last one's sum is hidden; it takes 1.75 steps with 1 GB.
    assert found["seconds"] == pytest.approx(20 + overlap + 5 * waits, rel=0.003)


def test_ssgd_waits_for_the_slowest():
    slow = timing("ssgd", description=cluster(stragglers=[Straggler(3, 5.0)]))
    assert slow["seconds"] == pytest.approx(20 * (5.0 + 14 / 8 * 0.1), rel=0.001)
    # Speed-ups refer to a learner that is not slow.
    assert slow["speedup"] == pytest.approx(8 / 5.175, rel=0.001)


def test_adpsgd_hides_its_exchanges():
    found = timing("adpsgd", steps=50)
    assert found["exposed_share"] == pytest.approx(0.0, abs=1e-9)
    assert found["efficiency"] == pytest.approx(1.0, abs=0.01)
    # An exchange of an odd with an even one after each step of the odd one: 100 MB a learner and step.
    assert found["bytes_per_step"] == pytest.approx(1e8, rel=0.05)
    assert found["staleness"]["mean"] == pytest.approx(1.0, abs=0.1)


def test_adpsgd_does_not_wait_for_the_slowest():
    found = timing("adpsgd", steps=50, description=cluster(stragglers=[Straggler(3, 5.0)]))
    # Seven at full speed and one at a fifth.
    assert found["speedup"] == pytest.approx(7.2, rel=0.02)
    # With equal shares of the data the slowest is the last one all the same.
    assert found["seconds_equal_shares"] == pytest.approx(50 * 5, rel=0.05)


def seconds_of_blocks(monkeypatch, step):
    """Virtual seconds of blocks of 40 steps where learners look for stop signals in this way."""
    monkeypatch.setattr(Look, "step", step)
    settings, wide = {"sync_steps": 40}, cluster(nodes=4, devices=1, jitter=1.0)
    found = [timing("bmuf", settings, 4, 400, wide, parameters=1e6, seed=seed) for seed in range(3)]
    return sum(f["seconds"] for f in found)


def test_a_look_for_stop_signals_makes_nobody_wait_within_a_block(monkeypatch):
    def barrier(look, wish):
        look.steps += 1
        if look.steps % 10 == 0:
            look.comm.allreduce(look.wishes)

    looking = Look.step
    without = seconds_of_blocks(monkeypatch, lambda look, wish: False)
    assert seconds_of_blocks(monkeypatch, looking) < 1.001 * without
    assert seconds_of_blocks(monkeypatch, barrier) > 1.02 * without


@pytest.mark.parametrize(
    ("strategy", "learners"), [("ssgd", 4), ("delayed", 4), ("easgd", 4), ("dpsgd", 12), ("sgp", 12)]
)
def test_a_look_is_a_message_for_which_nobody_waits(strategy, learners, monkeypatch):
    wide = cluster(nodes=learners, devices=1, jitter=0.5)
    looking = timing(strategy, None, learners, 100, wide)
    monkeypatch.setattr(Look, "step", lambda look, wish: False)
    without = timing(strategy, None, learners, 100, wide)
    assert looking["seconds"] == pytest.approx(without["seconds"], rel=1e-4)
    looks = round((looking["bytes_per_step"] - without["bytes_per_step"]) * 100 / (2 * 8 * (1 - 1 / learners)))
    assert looks == 100 // max(5, min(learners, 20)) if strategy in ("dpsgd", "sgp") else looks == 20


def test_hadpsgd_waits_inside_a_node_only():
    found = timing("hadpsgd", steps=50, description=cluster(collective="hierarchical", stragglers=[Straggler(3, 5.0)]))
    # Inside: a sum and a broadcast of 100 MB at 10 GB/s over 2 learners: 10 + 5 ms; one node of four is slow.
    assert found["speedup"] == pytest.approx(6 / 1.015 + 2 / 5.015, rel=0.02)


def test_a_server_is_a_bottleneck():
    found = timing("asgd", {"server": "dedicated"}, learners=5, description=cluster(nodes=5, devices=1), steps=100)
    # Four learners push and pull 100 MB each through one port of 1 GB/s in both directions: 0.4 s of each second.
    assert 0.1 < found["exposed_share"] < 0.4
    wide = timing("asgd", {"server": "dedicated"}, learners=3, description=cluster(nodes=3, devices=1), steps=100)
    assert wide["exposed_share"] < found["exposed_share"]
    assert found["staleness"]["mean"] == pytest.approx(3.0, abs=0.3)


def test_bmuf_sends_once_in_a_block():
    found = timing("bmuf", {"sync_steps": 10}, steps=15)
    assert found["steps"] == 20  # whole blocks
    assert found["bytes_per_step"] == pytest.approx(2 * 7 / 8 * 1e8 / 10, rel=0.1)


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if s != "single"])
def test_every_strategy_runs_and_the_same_each_time(strategy):
    description = cluster(jitter=0.2)
    runs = [timing(strategy, steps=5, description=description, seed=s) for s in (0, 0, 1)]
    for run in runs:
        del run["wall_seconds"]
    assert runs[0] == runs[1]
    assert runs[0]["trace_checksum"] != runs[2]["trace_checksum"]
    assert 0 < runs[0]["efficiency"] <= 1.05


def test_a_smaller_type_on_the_wire():
    full, half = timing("ssgd"), timing("ssgd", bytes_per_parameter=2.0)
    assert half["bytes_per_step"] == pytest.approx(full["bytes_per_step"] / 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learners": 9}, "too few for 9 learners"),
        ({"steps": 0}, "steps is 0"),
        ({"batch_frames": 0}, "batch_frames is 0"),
        ({"parameters": -1}, "parameters is -1"),
        ({"strategy": "sgdd"}, "strategy 'sgdd' is unknown"),
        ({"strategy": "bmuf", "settings": {"sync_step": 4}}, r"did you mean .strategies\.bmuf\.sync_steps"),
        ({"strategy": "bmuf", "settings": {"sync_steps": 0}}, r"strategies\.bmuf\.sync_steps is 0"),
    ],
)
def test_mistakes(change, said):
    asked = {"strategy": "ssgd", "learners": 2, "batch_frames": 1000, "parameters": 1e6, "steps": 2} | change
    with pytest.raises(ConfigError, match=said):
        simulate_timing(cluster(), asked.pop("strategy"), **asked)


def test_hundreds_of_learners():
    found = timing("adpsgd", learners=512, steps=2, description=cluster(nodes=256))
    assert found["steps"] == 2 and found["learners"] == 512


def frail(**failures) -> Cluster:
    described = cluster(nodes=16, devices=1, jitter=0.2)
    described.compute.frames_per_second = 1e4
    described.failures = Failures(mean_seconds=20.0, **failures)
    return described


def test_what_is_left_where_learners_die_and_come_back():
    once, again = [
        timing("adpsgd", learners=16, steps=300, description=frail(restart_seconds=1.0), parameters=1e6)
        for _ in range(2)
    ]
    assert once["trace_checksum"] == again["trace_checksum"]
    told = once["failures"]
    assert 15 < told["losses"] < 40 and told["losses"] - told["returns"] < 5
    # A second of some 21 is lost with each death, and at each return some wait for a step.
    assert 0.9 < told["present_share"] < 0.97
    assert 0.85 < told["goodput"] < told["present_share"]


def test_learners_that_do_not_come_back_are_missed():
    told = timing("adpsgd", learners=16, steps=100, description=frail(), parameters=1e6)["failures"]
    assert told["returns"] == 0 and told["losses"] > 2
    assert told["goodput"] == pytest.approx(told["present_share"], abs=0.05)


def test_who_is_not_timed_where_learners_die():
    with pytest.raises(ConfigError, match="strategy 'ssgd' is not timed where learners die"):
        timing("ssgd", learners=16, description=frail())
    with pytest.raises(ConfigError, match="server is dedicated: set it to sharded"):
        timing("asgd", {"server": "dedicated"}, learners=16, description=frail())
