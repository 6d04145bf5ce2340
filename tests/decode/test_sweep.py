import numpy as np
import pytest

from asrpar.config import load_config
from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import make_decoder
from asrpar.decode.engines import ENGINES, jobs_of_engines
from asrpar.decode.scales import AXES, SearchPoint
from asrpar.decode.sweep import choose, grid, sweep
from asrpar.errors import ConfigError


def test_grid_is_the_product_and_greedy_chooses_the_blank_penalty_alone():
    config = DecodeConfig(lm_scales=[1.0, 0.5, 1.0], beams=[8, 12], word_penalties=[0, 1], blank_penalties=[2, 0, 1])
    assert len(grid(config, AXES)) == 24
    axes = ENGINES.load("greedy").axes
    assert grid(config, axes) == [SearchPoint(blank_penalty=v) for v in (0, 1, 2)]
    assert grid(DecodeConfig(engine="greedy"), axes) == [SearchPoint()]
    assert grid(DecodeConfig(engine="greedy"), []) == [SearchPoint()]


@pytest.mark.parametrize("name", ["word_penalties", "blank_penalties", "lm_scales", "beams"])
def test_values_of_no_search(name):
    for value in (float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=name):
            DecodeConfig(**{name: [1.0, value]}).validate()


def test_ties():
    points = [SearchPoint(lm, beam, p) for beam in (8.0, 12.0) for lm in (0.5, 0.7, 0.9, 1.1) for p in (0.0, -0.5)]

    def best(*equal):
        return points[choose(points, [0 if p in equal else 1 for p in points])]

    assert best(SearchPoint(0.7, 12.0, 0.0)) == SearchPoint(0.7, 12.0, 0.0)
    # the smallest beam, then the smallest penalty, then the middle scale
    assert best(SearchPoint(0.7, 12.0, 0.0), SearchPoint(0.5, 8.0, -0.5)).beam == 8.0
    assert best(SearchPoint(0.5, 8.0, -0.5), SearchPoint(1.1, 8.0, 0.0)).word_penalty == 0.0
    assert best(*points[:8:2]).lm_scale == 0.9
    assert best(*points[:6:2]).lm_scale == 0.7
    assert choose([SearchPoint(blank_penalty=b) for b in (2.0, 1.0, 3.0)], [5, 5, 5]) == 1


def test_sweep_chooses_on_errors(graph, one_job, noise):
    utterances = [(f"u{i}", noise(i, 12)) for i in range(10)]
    points = [SearchPoint(lm) for lm in (0.1, 1.0, 4.0)]
    with make_decoder(one_job, graph, 0.03) as engine:
        # As if the references had no words: each word is an error.
        result = sweep(engine, utterances, points, lambda words: {"errors": sum(map(len, words.values())), "wer": 0.0})
    errors = [row["errors"] for row in result.table]
    assert errors[0] > errors[2]
    assert result.point == points[int(np.argmin(errors))]
    assert sum(len(h.words) for h in result.hypotheses) == min(errors)
    assert "lm_scale, 4.0, lies at the edge" in result.warnings[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "cup"}, "did you mean 'cpu'"),
        ({"word_penalties": []}, "at least one value"),
        ({"lm_scales": [0.0]}, "above 0"),
        ({"beams": [float("nan")]}, "above 0"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(ConfigError, match=message):
        DecodeConfig(**change).validate()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["engine=kalid"], "engine 'kalid' is unknown; did you mean 'kaldi'"),
        (["engines.kaldi.jbos=1"], "did you mean 'engines.kaldi.jobs'"),
        (["engine=k2", "engines.k2.output_beam=0"], "engines.k2.output_beam is 0.0: it must be greater than 0"),
        (["engines.kaldi.max_active=0"], "must be greater than 0"),
        ([f"engines.kaldi.max_active={2**31}"], "less than"),
        (["engines.kaldi.min_active=9000"], r"must be below max_active \(4000\)"),
        (["engines.kaldi.jobs=-1"], "must not be negative"),
        (["jobs=1"], "'jobs' is now 'engines.kaldi.jobs'"),
        (["max_active=7000"], "'max_active' is now 'engines.NAME.max_active'"),
        (["k2_output_beam=7"], "'k2_output_beam' is now 'engines.k2.output_beam'"),
    ],
)
def test_settings_of_engines_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_config(DecodeConfig, None, settings)


def test_options_reach_every_engine_that_has_them():
    assert jobs_of_engines(3) == ["engines.kaldi.jobs=3"]
    assert jobs_of_engines(None) == []
