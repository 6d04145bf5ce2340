"""Shares of an epoch: each is used once, by whoever is ready where learners go at their own pace."""

import json

import pytest
from minidata import asrpar, ranks, stop_after, train_options
from virtual import on_virtual

from asrpar.config import load_config
from asrpar.feats import BatchLoader
from asrpar.feats.config import BatchConfig
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.virtual.cluster import Cluster, Compute, Straggler
from asrpar.simulate.training import simulate
from asrpar.train.config import TrainConfig
from asrpar.train.dealing import Dealer, DealtPart, reached
from asrpar.train.epochs import Due, Intervals


def summary(exp):
    return json.loads((exp / "train.json").read_text())


def frames_by_rank(exp):
    return [rank["frames"] for rank in summary(exp)["time"]["ranks"]]


def simulated(mini, exp, strategy, learners, **settings):
    """Train with learner 1 five times slower than the others."""
    compute = Compute(frames_per_second=2e4, stragglers=[Straggler(rank=1, factor=5.0)])
    cluster = Cluster("slow", devices_per_node=learners, compute=compute)
    options = train_options(mini, exp, strategy=strategy, **settings)
    options = [option.removeprefix("--set=") for option in options]
    simulate(load_config(TrainConfig, None, options), cluster, learners)
    return summary(exp)


@pytest.mark.parametrize("strategy", ["adpsgd", "asgd", "easgd_async"])
def test_a_slow_learner_takes_less_and_holds_nobody_up(mini, tmp_path, strategy):
    # Of 24 utterances most shares hold one.
    settings = {"epochs": 2, "batch__size": 400, "ema__enabled": "false"}
    equal = simulated(mini, tmp_path / "equal", strategy, 4, batch__deal="equal", **settings)
    dealt = simulated(mini, tmp_path / "dealt", strategy, 4, **settings)
    assert equal["frames"] == dealt["frames"] == sum(frames_by_rank(tmp_path / "dealt"))
    # It takes two or three shares of 24 in place of six.
    assert dealt["train_seconds"] < 0.7 * equal["train_seconds"]
    by_rank = frames_by_rank(tmp_path / "dealt")
    assert by_rank[1] < 0.7 * min(by_rank[0], *by_rank[2:])
    assert dealt["history"][-1]["train_loss"] < dealt["history"][0]["train_loss"]


@pytest.mark.mpi
@pytest.mark.parametrize("strategy", ["adpsgd", "asgd"])
def test_a_run_that_is_stopped_within_an_epoch_uses_each_share_once(mini, tmp_path, strategy):
    server = {"strategies__asgd__server": "dedicated"} if strategy == "asgd" else {}
    settings = {"epochs": 20, "strategy": strategy, "batch__size": 700, "dev_every_steps": 4, **server}
    exp = tmp_path / "exp"
    options = train_options(mini, exp, checkpoint__every_steps=7, **settings)
    done = stop_after(exp, "epoch-0001-*", "launch", "--learners", 3, "--", "train", *options)
    assert "stopped by signal" in done.stderr
    epoch = BatchLoader(mini / "feats", "train", BatchConfig(), 0).frames_per_epoch
    stopped = summary(exp)
    assert not stopped["complete"] and stopped["frames"] == sum(frames_by_rank(exp)) < 20 * epoch
    ranks(3, "train", *options)
    finished = summary(exp)
    assert finished["complete"] and finished["frames"] == sum(frames_by_rank(exp)) == 20 * epoch
    assert finished["steps"] == 20 * BatchLoader(mini / "feats", "train", BatchConfig(size=700), 0).steps(0)


def test_steps_taken_together_are_not_dealt_on_demand(mini, tmp_path):
    for strategy in ("ssgd", "hadpsgd"):
        options = train_options(mini, tmp_path / strategy, strategy=strategy, batch__deal="on_demand")
        done = asrpar("train", *options, check=False)
        assert done.returncode != 0 and "batch.deal is on_demand" in done.stderr.strip().splitlines()[-1]
        assert "Traceback" not in done.stderr and not (tmp_path / strategy / "config.yaml").exists()


@pytest.mark.parametrize(
    ("begin", "end", "everies", "expected"),
    [(0, 10, [0, 0], 10), (0, 10, [4, 0], 4), (4, 10, [4, 6], 6), (8, 10, [4, 0], 10), (7, 20, [4, 7], 8)],
)
def test_parts_of_an_epoch_end_where_something_is_due(begin, end, everies, expected):
    assert Intervals(*everies).next_stop(begin, end) == expected


def test_shares_of_later_parts_that_are_done_stay_done():
    # Two learners, a part from step 2 to step 4, which is shares 4 to 7; 9 was consumed when parts were longer.
    assert reached({5, 9}, {4}, 2, 4, 2, whole=False) == (2, [4, 5, 9])
    assert reached({5, 9}, {4, 6, 7}, 2, 4, 2, whole=True) == (4, [9])
    assert reached({5}, {4, 6, 7}, 2, 4, 2, whole=True) == (4, [])


def test_what_a_learner_did_in_an_earlier_part_is_not_done_in_this_one():
    dealer = Dealer(LocalComm(), 1)
    for share in ([(7, 300), (8, 600), (9, 900)], [(0, 200)]):
        part = DealtPart(dealer, share, lambda dealt: ([number] for number, _ in dealt), Due())
        assert dealer.done_by([0]) == set()
        with part as batches:
            assert [number for (number,) in batches] == [number for number, _ in share]
        assert dealer.done_by([0]) == {number for number, _ in share}


def test_what_the_dealing_learner_did_is_known_when_it_is_lost():
    shares = [(number, 100 * (number + 1)) for number in range(40)]
    taken, known = [[] for _ in range(3)], {}

    def run(comm):
        part = DealtPart(Dealer(comm, 3), shares, lambda dealt: ([number] for number, _ in dealt), Due())
        with part as batches:
            for (number,) in batches:
                comm.sleep(1.0 if comm.rank else 0.4)
                taken[comm.rank].append(number)
        known[comm.rank] = part.dealer.done_by([0]), part.dealer.done_by([2])

    on_virtual(3, run)
    # Two that ask less often have heard, together, of all but what it was just doing.
    told = known[1][0] | known[2][0]
    assert told <= set(taken[0]) and len(told) >= len(taken[0]) - 2 > 10
    assert known[1][1] == set() and known[0][1] == set(taken[2])
