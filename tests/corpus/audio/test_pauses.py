"""Where long recordings are cut."""

from itertools import pairwise

import numpy as np
import pytest

from asrpar.corpus.audio.pauses import FRAME, MARGIN, Levels, limits, pieces

RATE = 8000


def recording(*parts, noise=0.001, seed=0):
    """Noise of a room, and louder noise in it: alternating seconds of pause and speech, the first a pause."""
    rng, out = np.random.default_rng(seed), []
    for i, seconds in enumerate(parts):
        samples = noise * rng.standard_normal(round(seconds * RATE))
        out.append(samples + 0.1 * rng.standard_normal(len(samples)) * (i % 2))
    return np.concatenate(out).astype(np.float32)


def levels_of(samples, blocks=1000):
    levels = Levels(RATE)
    for begin in range(0, len(samples), blocks):
        levels.add(samples[begin : begin + blocks])
    return levels.decibels()


def cut(samples, min_pause=0.3, max_seconds=30.0):
    return [(begin * FRAME, end * FRAME) for begin, end in pieces(levels_of(samples), min_pause, max_seconds)]


def test_levels_do_not_depend_on_blocks():
    samples = recording(0.5, 1.0, 0.333)
    found = levels_of(samples)
    assert len(found) == 183
    np.testing.assert_array_equal(found, levels_of(samples, 77))
    assert found[:45].mean() == pytest.approx(-60, abs=1)
    assert found[60:140].mean() == pytest.approx(-20, abs=1)


def test_pauses_part_pieces_that_keep_some_of_them():
    found = cut(recording(2.0, 3.0, 0.4, 2.0, 1.0, 1.0, 5.0))
    assert len(found) == 3
    edges = [(2.0, 5.0), (5.4, 7.4), (8.4, 9.4)]
    for (begin, end), (first, last) in zip(found, edges, strict=True):
        assert first - MARGIN - 0.02 <= begin <= first
        assert last <= end <= last + MARGIN + 0.02
    # Half of a short pause to each; nothing twice.
    assert found[0][1] == pytest.approx(5.2, abs=0.02)
    assert all(a[1] <= b[0] for a, b in pairwise(found))


def test_shorter_pauses_lie_within_a_piece():
    samples = recording(1.0, 3.0, 0.2, 2.0, 1.0)
    assert len(cut(samples)) == 1
    assert len(cut(samples, min_pause=0.15)) == 2


def test_a_piece_without_pauses_is_cut_where_it_is_quietest():
    samples = recording(1.0, 25.0, 1.0)
    samples[14 * RATE : 14 * RATE + 2000] *= 0.4  # no pause, but quieter
    found = cut(samples, max_seconds=20.0)
    assert len(found) == 2
    assert found[0][1] == found[1][0]
    assert 13.9 < found[0][1] < 14.4
    pieces = cut(samples, max_seconds=5.0)
    assert all(end - begin <= 5.0 + 1e-9 for begin, end in pieces)
    # Where nothing is a pause all is recognised.
    assert sum(end - begin for begin, end in pieces) == pytest.approx(27.0)


def test_what_is_quiet_may_change():
    """A whisper in a silent room, then a loud room in which somebody shouts."""
    quiet, loud = recording(2, 3, 2, 3, 60, noise=1e-4) * 0.05, recording(60, 3, 2, 3, 2, noise=0.01)
    found = cut(np.concatenate([quiet, loud]))
    # The louder room itself is taken for speech as long as the quieter one is near; nothing is lost for it.
    assert {2, 7, 130, 135} <= {round(begin) for begin, _ in found}
    assert all(68 <= begin < 101 for begin, _ in found if round(begin) not in (2, 7, 130, 135))


@pytest.mark.parametrize("samples", [np.zeros(3 * RATE), 1e-3 * np.random.default_rng(0).standard_normal(60 * RATE)])
def test_nothing_is_cut_out_of_silence(samples):
    assert cut(samples.astype(np.float32)) == []


def test_digital_silence_between_recordings_is_no_room():
    parts = [recording(0.5, 2.0, 0.5, noise=0.002), np.zeros(20 * RATE, dtype=np.float32)]
    assert len(cut(np.concatenate(parts * 4))) == 4
    assert np.isinf(limits(np.full(10, -120.0))).all()


def test_a_recording_shorter_than_a_level():
    assert cut(np.zeros(10, dtype=np.float32)) == []
