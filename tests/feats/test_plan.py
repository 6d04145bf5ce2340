from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrpar.errors import ConfigError
from asrpar.feats.config import BatchConfig
from asrpar.feats.plan import BatchPlan


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], BatchConfig, int, int]:
    lengths = draw(st.lists(st.integers(1, 400), min_size=1, max_size=120))
    learners = draw(st.integers(1, min(5, len(lengths))))
    unit = draw(st.sampled_from(["frames", "utterances"]))
    config = BatchConfig(
        unit=unit,
        size=draw(st.integers(1, 3000) if unit == "frames" else st.integers(5, 40)),
        per=draw(st.sampled_from(["global", "learner"])),
        max_frames_per_learner=draw(st.sampled_from([0, max(lengths), 2 * max(lengths), 1000 + max(lengths)])),
        num_buckets=draw(st.integers(1, 12)),
    )
    return lengths, config, draw(st.integers(0, 2**31)), learners


def shares(problem: tuple, epoch: int = 0) -> list[list[list[int]]]:
    """For each rank its steps."""
    lengths, config, seed, learners = problem
    return [BatchPlan(lengths, config, seed, learners, rank).epoch(epoch) for rank in range(learners)]


@settings(max_examples=200, deadline=None)
@given(problems(), st.integers(0, 3))
def test_each_utterance_exactly_once_and_learners_agree(problem: tuple, epoch: int):
    lengths, config, seed, learners = problem
    by_rank = shares(problem, epoch)
    assert len({len(steps) for steps in by_rank}) == 1, "as many steps on each learner"
    everything = list(chain.from_iterable(chain.from_iterable(by_rank)))
    assert sorted(everything) == list(range(len(lengths)))
    frames = [sum(lengths[i] for steps in by_rank for i in steps[s]) for s in range(len(by_rank[0]))]
    for rank in range(learners):
        assert BatchPlan(lengths, config, seed, learners, rank).global_frames(epoch) == frames
    assert all(frames), "no global batch is empty"


@settings(max_examples=200, deadline=None)
@given(problems())
def test_sizes_and_memory_are_kept(problem: tuple):
    lengths, config, _, learners = problem
    by_rank = shares(problem)
    limit = config.size * (learners if config.per == "learner" else 1)
    sizes = []
    for steps in zip(*by_rank, strict=True):
        batch = list(chain(*steps))
        sizes.append(len(batch) if config.unit == "utterances" else sum(lengths[i] for i in batch))
        assert sizes[-1] <= limit or len(batch) == 1
        for share in filter(None, steps):
            assert not config.max_frames_per_learner or (
                len(share) * max(lengths[i] for i in share) <= config.max_frames_per_learner
            )
    if config.unit == "utterances" and not config.max_frames_per_learner:
        assert all(size == limit for size in sizes[:-1]), "only the last batch may be smaller"


@settings(max_examples=100, deadline=None)
@given(problems())
def test_learners_get_like_numbers_of_frames(problem: tuple):
    lengths, config, _, _ = problem
    if config.max_frames_per_learner:
        return
    for steps in zip(*shares(problem), strict=True):
        frames = [sum(lengths[i] for i in share) for share in steps]
        assert max(frames) - min(frames) <= max(lengths[i] for share in steps for i in share)


@settings(max_examples=50, deadline=None)
@given(problems())
def test_the_plan_follows_from_its_arguments_alone(problem: tuple):
    lengths, config, seed, learners = problem
    plan = BatchPlan(lengths, config, seed, learners, 0)
    order = [plan.epoch(e) for e in (3, 0, 3)]
    assert order[0] == order[2] == BatchPlan(lengths, config, seed, learners, 0).epoch(3)
    assert order[1] == BatchPlan(lengths, config, seed, learners, 0).epoch(0)


def test_the_global_batches_do_not_depend_on_the_number_of_learners():
    lengths = [50 + 7 * (i * 37 % 101) for i in range(300)]
    config = BatchConfig(size=4000)
    whole = [set(batch) for batch in BatchPlan(lengths, config, 3, 1, 0).epoch(2)]
    for learners in (2, 3, 4):
        plans = [BatchPlan(lengths, config, 3, learners, rank).epoch(2) for rank in range(learners)]
        assert [set(chain(*steps)) for steps in zip(*plans, strict=True)] == whole


def test_epochs_seeds_and_batches_differ():
    lengths = [100 + i for i in range(400)]
    plan = BatchPlan(lengths, BatchConfig(size=6000), 1, 1, 0)
    assert plan.epoch(0) != plan.epoch(1)
    assert plan.epoch(0) != BatchPlan(lengths, BatchConfig(size=6000), 2, 1, 0).epoch(0)
    assert {frozenset(b) for b in plan.epoch(0)}.isdisjoint({frozenset(b) for b in plan.epoch(1)})
    # Batches of short and of long utterances take turns: their mean lengths neither rise nor fall all along.
    means = [sum(lengths[i] for i in b) / len(b) for b in plan.epoch(0)]
    rises = sum(b > a for a, b in pairwise(means))
    assert 0.2 * len(means) < rises < 0.8 * len(means)


def test_buckets_keep_padding_low():
    lengths = [100 + 3 * (i * 997 % 400) for i in range(2000)]
    padded = {}
    for buckets in (1, 20):
        plan = BatchPlan(lengths, BatchConfig(size=20000, num_buckets=buckets), 0, 1, 0)
        padded[buckets] = sum(len(b) * max(lengths[i] for i in b) for b in plan.epoch(0)) / sum(lengths)
    assert padded[1] > 1.5 and padded[20] < 1.12


def test_all_learners_have_work_in_full_batches():
    plans = [BatchPlan([100] * 1000, BatchConfig(unit="utterances", size=8), 0, 4, r).epoch(0) for r in range(4)]
    assert all(len(share) == 2 for plan in plans for share in plan)
    # An uneven tail: the last global batch has one utterance, so three learners get an empty share.
    plans = [BatchPlan([100] * 81, BatchConfig(unit="utterances", size=8), 0, 4, r).epoch(0) for r in range(4)]
    assert sorted(len(plan[-1]) for plan in plans) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("lengths", "config", "learners", "message"),
    [
        ([100] * 3, BatchConfig(), 4, "4 learners are more than the 3 utterances"),
        ([100] * 9, BatchConfig(unit="utterances", size=3), 4, "batch of 3 utterances is too small for 4 learners"),
        ([100, 900], BatchConfig(max_frames_per_learner=800), 1, "longest utterance has 900 frames"),
        ([100], BatchConfig(unit="frame"), 1, "did you mean 'frames'"),
        ([100], BatchConfig(per="rank"), 1, "per 'rank' is unknown"),
        ([100], BatchConfig(size=0), 1, "batch.size is 0: it must be at least 1"),
        ([100, 0], BatchConfig(), 1, "no frames"),
        ([], BatchConfig(), 1, "more than the 0 utterances"),
    ],
)
def test_wrong_settings(lengths: list[int], config: BatchConfig, learners: int, message: str):
    with pytest.raises(ConfigError, match=message):
        BatchPlan(lengths, config, 0, learners, 0)


def test_a_rank_outside_the_world():
    with pytest.raises(ConfigError, match="rank 2 is not one of 2 learners"):
        BatchPlan([1, 2, 3], BatchConfig(), 0, 2, 2)
