"""The choice on dev by lattices: that of searching everywhere, in at most three searches."""

from dataclasses import replace

import numpy as np
import pytest

from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import make_decoder
from asrpar.decode.rescaling import middle, sweep_lattices
from asrpar.decode.scales import AXES, SearchPoint
from asrpar.decode.sweep import grid, sweep

WIDE = 80.0


@pytest.fixture(scope="module")
def utterances(noise):
    return [(f"u{i}", noise(i, 4 + i)) for i in range(10)] + [("none", np.zeros((0, 4), dtype=np.float32))]


class Counted:
    """A decoder that counts how often each utterance is searched."""

    def __init__(self, decoder):
        self._decoder, self.searches, self.lattice_searches = decoder, 0, 0

    def __getattr__(self, name):
        return getattr(self._decoder, name)

    def search(self, utterances, point):
        self.searches += 1
        return self._decoder.search(utterances, point)

    def lattices(self, *args):
        self.searches += 1
        self.lattice_searches += 1
        return self._decoder.lattices(*args)


def errors_against(said):
    """Errors that are lowest where an engine says what it says in ``said``."""

    def count(words):
        return {"errors": sum(words[u] != w for u, w in said.items()), "wer": 0.0}

    return count


@pytest.mark.parametrize(("beams", "most"), [([WIDE], 2), ([WIDE - 10, WIDE], 2), ([WIDE - 10, WIDE], 1)])
def test_where_beams_do_not_matter_the_choice_and_the_words_are_those_of_all_searches(
    graph, one_job, utterances, beams, most
):
    config = DecodeConfig(
        lm_scales=[0.3, 0.8, 1.5, 4.0], word_penalties=[-1.0, 0.0, 1.0], blank_penalties=[0.0, 1.5, 3.0], beams=beams
    )
    points = grid(config, AXES)
    chosen = set()
    with make_decoder(one_job, graph, 0.03) as decoder:
        for truth in points[:: 7 * len(beams)]:
            count = errors_against(decoder.words(decoder.search(utterances, truth)))
            everywhere = sweep(decoder, utterances, points, count)
            counted = Counted(decoder)
            found = sweep_lattices(counted, utterances, points, count, WIDE, most)
            assert counted.lattice_searches <= most
            assert counted.searches == found.searches <= 3
            assert found.point == everywhere.point
            for a, b in zip(found.hypotheses, everywhere.hypotheses, strict=True):
                assert a.score == pytest.approx(b.score, abs=1e-4)
                assert replace(a, score=0.0) == replace(b, score=0.0)
            errors = {SearchPoint(*(row[axis] for axis in AXES)): row["errors"] for row in everywhere.table}
            for row in found.table:
                assert row["errors"] == errors[SearchPoint(*(row[axis] for axis in AXES))]
            chosen.add(found.point)
    assert len(chosen) > 3


def test_narrow_lattices_end_with_words_of_the_engine_itself(graph, one_job, utterances):
    points = grid(DecodeConfig(lm_scales=[0.2, 0.5, 1.0, 3.0], blank_penalties=[0, 2, 4], beams=[6, 12]), AXES)
    with make_decoder(one_job, graph, 0.03) as decoder:
        for truth in points[::5]:
            count = errors_against(decoder.words(decoder.search(utterances, truth)))
            found = sweep_lattices(decoder, utterances, points, count, 0.5)
            here = decoder.decode(utterances, found.point)
            assert [h.words for h in found.hypotheses] == [h.words for h in here]
            assert found.searches <= 3


def test_processes_change_nothing(graph, one_job, utterances):
    points = grid(DecodeConfig(lm_scales=[0.3, 1.0, 3.0], blank_penalties=[0, 2], beams=[16.0]), AXES)
    count = errors_against({u: [] for u, _ in utterances})
    results = []
    for jobs in (1, 2):
        with make_decoder(DecodeConfig(engines={"kaldi": {"jobs": jobs}}), graph, 0.03) as decoder:
            found = sweep_lattices(decoder, utterances, points, count, 8.0)
            results.append((found.point, found.hypotheses, found.table))
    assert results[0] == results[1]


def test_the_middle_of_a_grid():
    points = grid(DecodeConfig(lm_scales=[0.1, 0.5, 2.0], blank_penalties=[0, 1, 2, 3], beams=[16.0]), AXES)
    assert points[middle(points)] == SearchPoint(0.5, blank_penalty=2)
    assert middle(points[:1]) == 0
