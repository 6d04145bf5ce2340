"""Learning rates as functions of frames."""

import pytest

from asrpar.errors import ConfigError
from asrpar.train.config import DataConfig, ScheduleConfig, TrainConfig, check_config
from asrpar.train.schedules import learning_rate


def rate(config, frames):
    return learning_rate(config, 1.0, frames, frames_per_epoch=100.0, epochs=10)


def test_one_cycle_begins_peaks_and_ends_where_it_says():
    c = ScheduleConfig("one_cycle", warmup=0.2, start=0.04, final=0.001)
    assert rate(c, 0) == pytest.approx(0.04)
    assert rate(c, 100) == pytest.approx(0.52)
    assert rate(c, 200) == pytest.approx(1.0)
    assert rate(c, 600) == pytest.approx(0.5005)
    assert rate(c, 1000) == pytest.approx(0.001)
    assert rate(c, 2000) == pytest.approx(0.001)


def test_constant_after_warmup():
    c = ScheduleConfig("constant", warmup=0.1, start=0.0)
    assert [rate(c, f) for f in (0, 50, 100, 999)] == pytest.approx([0.0, 0.5, 1.0, 1.0])


def test_exponential_decays_once_an_epoch():
    c = ScheduleConfig("exponential", warmup=0.0, decay=0.5)
    assert [rate(c, f) for f in (0, 99, 100, 250)] == pytest.approx([1.0, 1.0, 0.5, 0.25])


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("schedule", "start", 4.0),
        ("schedule", "final", 5.0),
        ("schedule", "decay", 70.0),
    ],
)
def test_percentages_are_no_shares(section, key, value):
    config = TrainConfig(exp="x", data=DataConfig("feats", "lang"))
    check_config(config)
    setattr(getattr(config, section), key, value)
    with pytest.raises(ConfigError, match=rf"{section}\.{key} is {value}: it is a fraction, from 0 to 1"):
        check_config(config)
