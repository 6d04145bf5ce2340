"""tools/bench/straggler.py: what is measured, and what it is compared with. Speeds themselves are not tested."""

import importlib
import json
from types import SimpleNamespace

import pytest


@pytest.fixture
def straggler(repo, monkeypatch):
    monkeypatch.syspath_prepend(repo / "tools/bench")
    return importlib.import_module("straggler")


@pytest.mark.mpi
def test_a_slow_rank_of_three(mpirun, repo, tmp_path):
    program, output = repo / "tools/bench/straggler.py", tmp_path / "table.json"
    variants = "alone,ssgd,bmuf:sync_steps=2,adpsgd,hadpsgd:super_learner_size=3,asgd:server=dedicated"
    variants += ",sgp:topology=matrix"
    options = ["--ranks", 3, "--compute", "sleep:0.01", "--model", "dnn4x8", "--seconds", 0.1, "--repeats", 1]
    done = mpirun(3, program, "--as-rank", *options, "--strategies", variants, "--output", output)
    found = json.loads(output.read_text())
    assert (found["ranks"], found["factor"], found["frames_per_rank_and_step"]) == (3, 3.0, 4)
    assert list(found["missing"]) == ["sgp:topology=matrix"]
    rates = {name: x["frames_per_second_by_rank"][0] for name, x in found["strategies"].items()}
    # Sleeping takes no less than its time: 4 frames in 10 ms, on the slow rank in 30 ms.
    fast, slow = 4 / 0.01, 4 / 0.03
    for name, by_rank in rates.items():
        served = name == "asgd:server=dedicated"
        assert all(0 < x <= fast for x in by_rank[: 2 if served else 3]), name
        assert by_rank[1 if served else 2] <= slow, name
        assert not served or by_rank[2] == 0
    for name in ("ssgd", "bmuf:sync_steps=2"):
        assert len(set(rates[name])) == 1 and rates[name][0] <= slow
    # All learners of one super-learner.
    assert max(rates["hadpsgd:super_learner_size=3"]) <= slow * 1.5
    assert found["strategies"]["alone"]["share_kept"] == 1.0
    assert "adpsgd" in done.stdout and f"would keep {3 / 3 / (2 + 1 / 3):.3f}" in done.stdout


def test_own_speeds_of_fewer_learners_keep_the_slow_one(straggler):
    args = SimpleNamespace(slow=None)
    assert straggler.own_speeds([3.0, 3.0, 6.0, 1.0], 4, args) == 13.0
    assert straggler.own_speeds([3.0, 3.0, 6.0, 1.0], 3, args) == 1.0 + 8.0
    assert straggler.own_speeds([1.0, 3.0, 6.0, 3.0], 3, SimpleNamespace(slow=0)) == 1.0 + 8.0


def test_what_waiting_for_the_slowest_keeps(straggler):
    assert straggler.slowest(4, 1.0) == 1.0
    assert straggler.slowest(4, 3.0) == pytest.approx(0.4)


def test_ways_to_compute(straggler):
    assert straggler.sleep_of("sleep:0.25") == 0.25
    assert straggler.sleep_of("real") == 0.0
    for wrong in ("sleep", "sleep:", "sleep:0", "real:1", "think:1"):
        with pytest.raises(ValueError):
            straggler.sleep_of(wrong)
