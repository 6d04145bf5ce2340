import numpy as np
import pytest

from asrpar.errors import DataError
from asrpar.hmm.segments import Segments
from asrpar.hmm.statistics import Counter, Statistics, count, log_likelihood


def utterances(seed=3):
    draw = np.random.default_rng(seed)
    for _ in range(7):
        phones = draw.integers(1, 4, size=6)
        lengths = draw.integers(2, 6, size=6)
        classes = np.concatenate([np.sort(draw.integers(0, 2, size=n)) for n in lengths])
        yield Segments(phones, lengths, classes.astype(np.uint8)), draw.normal(size=(len(classes), 3))


@pytest.mark.parametrize("width", [1, 2, 3])
def test_statistics_are_sums_over_frames_of_equal_context(width):
    found = count(utterances(), width)
    wanted: dict[tuple, np.ndarray] = {}
    for segments, features in utterances():
        frames = np.repeat(np.arange(6), segments.lengths)
        padded = [0, *segments.phones.tolist(), 0]
        for i, k, x in zip(frames, segments.classes, features, strict=True):
            key = (*padded[i : i + 3][{1: slice(1, 2), 2: slice(0, 2), 3: slice(0, 3)}[width]], int(k))
            wanted[key] = wanted.get(key, 0) + np.concatenate([[1], x, x * x])
    assert list(map(tuple, found.keys.tolist())) == sorted(wanted)
    assert found.rows == pytest.approx(np.stack([wanted[k] for k in sorted(wanted)]))
    assert found.frames == sum(len(s.classes) for s, _ in utterances())


def test_parts_of_roots():
    whole = count(utterances(), 3)
    parts = whole.by_root()
    assert sum(len(part.keys) for part in parts.values()) == len(whole.keys) and list(parts) == sorted(parts)
    for (phone, k), part in parts.items():
        wanted = (whole.keys[:, 1] == phone) & (whole.keys[:, 3] == k)
        assert np.array_equal(part.keys, whole.keys[wanted]) and np.array_equal(part.rows, whole.rows[wanted])
    assert whole.nothing.by_root() == {} and whole.nothing.frames == 0


def test_shards_add_up_and_memory_is_bounded(tmp_path):
    whole = count(utterances(), 3)
    counter = Counter(3, frames_at_once=10)
    for utterance in utterances():
        counter.add(*utterance)
        assert counter._held < 10
    assert np.array_equal(counter.total().keys, whole.keys)
    assert counter.total().rows == pytest.approx(whole.rows)
    parts = list(utterances())
    first, second = count(parts[:3], 3), count(parts[3:], 3)
    first.save(tmp_path / "1.npz")
    added = Statistics.load(tmp_path / "1.npz") + second
    assert np.array_equal(added.keys, whole.keys) and added.rows == pytest.approx(whole.rows)


def test_likelihoods_are_those_of_gaussians():
    x = np.random.default_rng(1).normal(size=(9, 2))
    rows = np.concatenate([[9], x.sum(0), (x * x).sum(0)])
    v = x.var(axis=0)
    wanted = -0.5 * (((x - x.mean(0)) ** 2 / v).sum() + 9 * np.log(2 * np.pi * v).sum())
    assert log_likelihood(rows, 1e-9) == pytest.approx(wanted)
    assert log_likelihood(np.zeros(5), 0.01) == 0


def test_what_does_not_go_together():
    segments, features = next(utterances())
    with pytest.raises(DataError, match="frames of features, and segments of"):
        Counter(3).add(segments, features[1:])
    with pytest.raises(DataError, match="no frames"):
        Counter(3).total()
    with pytest.raises(DataError, match="different sizes"):
        count(utterances(), 3) + count(utterances(), 2)
