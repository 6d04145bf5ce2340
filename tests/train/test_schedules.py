"""Learning rates as functions of frames."""

import pytest

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.train.config import TrainConfig
from asrpar.train.schedules import SCHEDULES


def schedule(name, **settings):
    """Of ten epochs of 100 frames each, with a peak of 1."""
    return SCHEDULES.load(name)(SCHEDULES.settings_class(name)(**settings), 1.0, 100.0, 10)


def test_one_cycle_begins_peaks_and_ends_where_it_says():
    c = schedule("one_cycle", warmup=0.2, start=0.04, final=0.001)
    assert c.rate(0) == pytest.approx(0.04)
    assert c.rate(100) == pytest.approx(0.52)
    assert c.rate(200) == pytest.approx(1.0)
    assert c.rate(600) == pytest.approx(0.5005)
    assert c.rate(1000) == pytest.approx(0.001)
    assert c.rate(2000) == pytest.approx(0.001)


def test_constant_after_warmup():
    c = schedule("constant", warmup=0.1, start=0.0)
    assert [c.rate(f) for f in (0, 50, 100, 999)] == pytest.approx([0.0, 0.5, 1.0, 1.0])


def test_exponential_decays_once_an_epoch():
    c = schedule("exponential", warmup=0.0, decay=0.5)
    assert [c.rate(f) for f in (0, 99, 100, 250)] == pytest.approx([1.0, 1.0, 0.5, 0.25])


@pytest.mark.parametrize(
    ("name", "key", "value"), [("one_cycle", "start", 4.0), ("one_cycle", "final", 5.0), ("exponential", "decay", 70.0)]
)
def test_percentages_are_no_fractions(name, key, value):
    with pytest.raises(ConfigError, match=rf"schedules\.{name}\.{key} is {value}: it is a fraction, from 0 to 1"):
        load_config(TrainConfig, None, [f"schedule={name}", f"schedules.{name}.{key}={value}"])
