from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrpar.errors import ConfigError
from asrpar.feats.config import BatchConfig
from asrpar.feats.pool_plan import PoolPlan


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], BatchConfig, int, int]:
    lengths = draw(st.lists(st.integers(1, 300), min_size=1, max_size=40))
    pieces, per = draw(st.sampled_from(["windows", "frames"])), draw(st.sampled_from(["global", "learner"]))
    window = draw(st.integers(2, 30)) if pieces == "windows" else 1
    total = sum(-(-n // window) for n in lengths)
    learners = draw(st.integers(1, min(4, total)))
    count = draw(st.integers(learners, 400))
    unit = "windows" if pieces == "windows" and draw(st.booleans()) else "frames"
    config = BatchConfig(
        pieces=pieces,
        window=window,
        unit=unit,
        per=per,
        size=count if unit == "windows" else count * window + draw(st.integers(0, window - 1)),
        pool_frames=count * window * (learners if per == "learner" else 1) * draw(st.integers(1, 5)),
    )
    return lengths, config, draw(st.integers(0, 2**31)), learners


def frames_of(plan: PoolPlan, epoch: int, step: int, rank: int) -> list[tuple[int, int]]:
    """(utterance, frame) of all frames of a share."""
    pieces = plan.share(epoch, step, rank)
    utterances = plan.utterances(epoch, plan.pool_of(epoch, step))[pieces.utterance]
    each = zip(utterances.tolist(), pieces.begin.tolist(), pieces.frames.tolist(), strict=True)
    return [(u, t) for u, begin, frames in each for t in range(begin, begin + frames)]


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 3))
def test_each_frame_once_and_learners_agree(problem: tuple, epoch: int):
    lengths, config, seed, learners = problem
    plan = PoolPlan(lengths, config, seed, learners, 0)
    shares = [[frames_of(plan, epoch, s, r) for r in range(learners)] for s in range(plan.steps(epoch))]
    assert sorted(chain.from_iterable(chain(*shares))) == [(u, t) for u, n in enumerate(lengths) for t in range(n)]
    assert plan.global_frames(epoch) == [sum(map(len, step)) for step in shares] and all(plan.global_frames(epoch))
    assert plan.share_frames(epoch) == [len(share) for step in shares for share in step]
    window = config.piece_frames
    pieces = [[len(plan.share(epoch, s, r)) for r in range(learners)] for s in range(plan.steps(epoch))]
    most = (config.size // window if config.unit == "frames" else config.size) * (
        learners if config.per == "learner" else 1
    )
    assert all(sum(step) <= most and max(step) - min(step) <= 1 for step in pieces)
    other = PoolPlan(lengths, config, seed, learners, learners - 1)
    other.steps(epoch + 1)  # what it was asked before makes no difference
    last = plan.steps(epoch) - 1
    assert frames_of(other, epoch, last, 0) == shares[last][0]


def test_batches_do_not_depend_on_the_number_of_learners_and_have_frames_of_many_utterances():
    lengths = [50 + 7 * (i * 37 % 101) for i in range(300)]
    config = BatchConfig(pieces="frames", size=1000, pool_frames=30000)
    whole = PoolPlan(lengths, config, 3, 1, 0)
    batches = [set(frames_of(whole, 2, s, 0)) for s in range(whole.steps(2))]
    assert min(len({u for u, _ in batch}) for batch in batches) > 40
    sizes = whole.global_frames(2)
    assert max(sizes) <= 1000 and min(sizes) > 950, "no batch is a remnant"
    for learners in (2, 3):
        plan = PoolPlan(lengths, config, 3, learners, 0)
        shares = [[frames_of(plan, 2, s, r) for r in range(learners)] for s in range(plan.steps(2))]
        assert [set(chain(*step)) for step in shares] == batches
    assert frames_of(whole, 2, 0, 0) != frames_of(whole, 1, 0, 0)


def test_who_gets_one_more_takes_turns():
    plan = PoolPlan([100] * 10, BatchConfig(pieces="frames", size=50, pool_frames=1000), 0, 4, 0)
    counts = np.array(plan.share_frames(0)).reshape(-1, 4)
    assert counts.sum() == 1000 and counts.max() == 13 and np.ptp(counts.sum(axis=0)) == 0


@pytest.mark.parametrize(
    ("config", "learners", "message"),
    [
        ({"pieces": "windows", "size": 50}, 3, r"batch of 2 windows \(50 frames, frames of window 21\) is too small"),
        ({"pieces": "windows", "max_frames_per_learner": 20}, 1, "batch of 0 windows .* batch.max_frames_per_learner"),
        ({"pieces": "frames", "pool_frames": 10000}, 1, "pool_frames is 10000, less than a global batch of 20000"),
        ({"pieces": "frames", "size": 400}, 301, "301 learners are more than the 300 frames"),
        ({"pieces": "frames", "unit": "utterances"}, 1, "unit is utterances: it cannot count utterances where pieces"),
        ({"unit": "windows"}, 1, "unit is windows: it cannot count windows where pieces: utterances"),
        ({"pieces": "windows", "context": [1]}, 1, "context is .1.: it must be two numbers"),
        ({"pieces": "windows", "context": [0, 100_000]}, 1, "must be two numbers .* of at most 10000"),
        ({"pieces": "window"}, 1, "did you mean 'windows'"),
        ({"pieces": "frames", "size": "auto"}, 1, "batch.size is auto, which asrpar train alone finds"),
    ],
)
def test_wrong_settings(config: dict, learners: int, message: str):
    with pytest.raises(ConfigError, match=message):
        PoolPlan([100] * 3, BatchConfig(**config), 0, learners, 0)


def test_memory_is_bounded_with_what_is_shown_around():
    config = BatchConfig(pieces="windows", size=21 * 40, context=[10, 11], max_frames_per_learner=42 * 8)
    plan = PoolPlan([210] * 20, config, 0, 2, 0)
    assert max(len(plan.share(0, s, r)) for s in range(plan.steps(0)) for r in range(2)) == 8
