"""Descriptions of clusters: presets, files, mistakes, and the time of a gradient."""

import itertools
import math
import statistics

import pytest

from asrpar.config import save_config
from asrpar.errors import ConfigError
from asrpar.parallel.virtual.cluster import Compute, ComputeTime, Intermittent, Jitter, Straggler
from asrpar.parallel.virtual.failures import Failures
from asrpar.parallel.virtual.network import Network
from asrpar.parallel.virtual.presets import FOLDER, load_cluster, presets


def test_presets_are_there():
    assert {"v100_ethernet", "p100", "h200", "cpu_10gbe", "laptop"} <= set(presets())


@pytest.mark.parametrize("name", presets())
def test_each_preset_is_sound_and_says_where_it_comes_from(name):
    cluster = load_cluster(name)
    assert cluster.name == name and len(cluster.source) > 40
    assert (FOLDER / f"{name}.yaml").read_text().startswith("# ")
    inside, between = cluster.links.inside, cluster.links.between
    # Software takes microseconds, and no link is faster than memory.
    assert 1e-6 <= inside.latency <= between.latency * 2 <= 1e-3
    assert between.bandwidth > 1e8 and inside.bandwidth < 1e12
    # 165 MB over a node and over all take between a millisecond and a second or two.
    network, size = Network(cluster), cluster.nodes * cluster.devices_per_node
    node = network.allreduce(range(cluster.devices_per_node), 165e6)
    assert 5e-4 < node <= network.allreduce(range(size), 165e6) < 2


def test_v100_preset_takes_192_hours_alone():
    compute = load_cluster("v100_ethernet").compute
    frames = 16 * 1975 * 360000
    batch = 256 * 21
    hours = ComputeTime(compute, 0, 0).least(batch) * frames / batch / 3600
    assert hours == pytest.approx(192, rel=1e-3)


def test_files_and_overrides(tmp_path):
    cluster = load_cluster("cpu_10gbe", ["nodes=3", "compute.stragglers=[{rank: 1, factor: 5}]"])
    assert cluster.nodes == 3 and cluster.compute.stragglers == [Straggler(1, 5.0)]
    save_config(cluster, tmp_path / "mine.yaml")
    assert load_cluster(tmp_path / "mine.yaml") == cluster


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("v100_ethernett", [], "did you mean 'v100_ethernet'?.*laptop"),
        ("laptop", ["node=3"], "--set-cluster node=3: key 'node' is unknown; did you mean 'nodes'"),
        ("laptop", ["nodes=0"], "at least 1"),
        ("laptop", ["collective=star"], "known: ring, tree, hierarchical"),
        ("laptop", ["collective_efficiency=0"], "greater than 0"),
        ("laptop", ["compute.table=[[100, 1.0]]"], "compute.table or frames_per_second is needed, one of"),
        ("laptop", ["compute.frames_per_second=0", "compute.table=[[200, 1.0], [100, 2.0]]"], "sorted"),
        ("laptop", ["compute.jitter.kind=normal"], "did you mean 'lognormal'"),
        ("laptop", ["links.inside.bandwidth=0"], "links.inside.bandwidth is 0"),
        ("laptop", ["compute.stragglers=[{rank: 0, factor: 0.5}]"], "at least 1"),
        ("laptop", ["failures.mean_seconds=-1"], "failures.mean_seconds is -1"),
        ("laptop", ["failures.at=[{rank: 0, second: -1}]"], r"failures.at.0.second is -1"),
        ("laptop", ["failures.restart_seconds=3"], "are for learners that die: set mean_seconds or at"),
    ],
)
def test_mistakes(name, changes, said):
    with pytest.raises(ConfigError, match=said):
        load_cluster(name, changes)


def test_too_few_nodes():
    with pytest.raises(ConfigError, match="too few for 3 learners"):
        load_cluster("laptop").check_size(3)


def test_those_who_die_are_among_the_learners():
    frail = load_cluster("laptop", ["failures.at=[{rank: 1, second: 3}]"])
    frail.check_size(2)
    with pytest.raises(ConfigError, match="1 is no rank of 1 learners"):
        frail.check_size(1)


def test_without_failures_a_description_is_as_before():
    # Digests of studies that were paid for are made of it.
    assert "failures" not in load_cluster("laptop").values()
    assert load_cluster("laptop", ["failures.mean_seconds=60"]).values()["failures"]["mean_seconds"] == 60


def test_lives_are_as_long_as_they_say():
    failures = Failures(mean_seconds=60.0)
    lives = [list(itertools.islice(failures.lives(rank), 2000)) for rank in (0, 1)]
    assert [statistics.mean(x) for x in lives] == pytest.approx([60, 60], rel=0.07)
    assert lives[0] != lives[1] and lives[0] == list(itertools.islice(failures.lives(0), 2000))
    assert not list(Failures().lives(0))


def test_time_of_a_batch():
    line = ComputeTime(Compute(frames_per_second=100.0, overhead_seconds=0.5), 0, 0)
    assert line.seconds(50) == 1.0
    table = ComputeTime(Compute(table=[[100, 1.0], [200, 1.5]]), 0, 0)
    assert [table.seconds(f) for f in (50, 100, 150, 200, 400)] == [1.0, 1.0, 1.25, 1.5, 3.0]


def test_slow_learners():
    compute = Compute(frames_per_second=100.0, stragglers=[Straggler(1, 5.0)])
    assert [ComputeTime(compute, rank, 0).seconds(100) for rank in (0, 1)] == [1.0, 5.0]
    compute.intermittent = Intermittent(0.25, 3.0)
    times = [t := ComputeTime(compute, 0, 0)] and [t.seconds(100) for _ in range(4000)]
    assert set(times) == {1.0, 3.0}
    assert times.count(3.0) / 4000 == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    ("kind", "mean"), [("uniform", 1.1), ("exponential", 1.2), ("lognormal", math.exp(0.02)), ("none", 1.0)]
)
def test_jitter_is_as_large_as_it_says(kind, mean):
    time = ComputeTime(Compute(frames_per_second=100.0, jitter=Jitter(kind, 0.2)), 3, 7)
    assert statistics.mean(time.seconds(100) for _ in range(20000)) == pytest.approx(mean, rel=0.01)


def test_each_learner_has_its_own_random_numbers_the_same_each_time():
    compute = Compute(frames_per_second=100.0, jitter=Jitter("uniform", 0.2))

    def draw(rank, seed):
        time = ComputeTime(compute, rank, seed)
        return [time.seconds(100) for _ in range(5)]

    assert draw(0, 1) == draw(0, 1)
    assert len({tuple(draw(rank, seed)) for rank in range(3) for seed in range(3)}) == 9
