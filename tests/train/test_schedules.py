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


def test_annealing_holds_then_falls_with_each_epoch():
    c = schedule("anneal", hold=3, factor=0.5)
    assert [c.rate(f) for f in (0, 299, 300, 399, 400, 999)] == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.5**7])


def test_annealing_after_a_warm_up_that_ends_where_it_begins():
    c = schedule("anneal", hold=5, factor=0.5, warmup=0.5, start=0.0)
    assert [c.rate(f) for f in (0, 250, 500, 600)] == pytest.approx([0, 0.5, 0.5, 0.25])


def after(name, *losses, **settings):
    """Rates after epochs with these dev losses, and the last verdict."""
    c, rates, verdict = schedule(name, **settings), [], None
    for epoch, loss in enumerate(losses, 1):
        verdict = c.epoch_ended(epoch, loss, 100.0 * epoch)
        rates.append(c.rate(100.0 * epoch))
    return rates, verdict


def test_newbob_keeps_its_rate_until_the_gain_is_small_and_halves_from_then_on():
    rates, verdict = after("newbob", 2.0, 1.5, 1.49, 1.2, 1.0)
    assert rates == pytest.approx([1, 1, 0.5, 0.25, 0.125])
    assert verdict == (True, False, False)


def test_newbob_goes_back_and_ends():
    # Of Kaldi's nnet1: what was taken back is no measure of the next gain.
    rates, verdict = after("newbob", 2.0, 2.5, 1.9)
    assert (rates, verdict) == (pytest.approx([1, 0.5, 0.25]), (True, False, False))
    assert after("newbob", 2.0, 2.5)[1] == (False, True, False)
    assert after("newbob", 2.0, float("nan"))[1] == (False, True, False)
    assert after("newbob", 2.0, 1.99, 1.9899)[1] == (True, False, True)
    assert after("newbob", 2.0, 1.99, 2.5)[1] == (False, True, True)


def test_plateaus_of_their_own():
    assert after("plateau", 2.0, 2.0, 1.0, 1.0, factor=0.5, each_epoch=False)[0] == pytest.approx([1, 0.5, 0.5, 0.25])
    rates, verdict = after("plateau", 2.0, 2.1, 1.0)
    assert (rates, verdict) == (pytest.approx([1, 0.7071, 0.5], rel=1e-3), (False, False, False))


def test_neither_warm_up_nor_held_epochs_lower_the_rate():
    rates, _ = after("plateau", 2.0, 2.0, 2.0, 2.0, warmup=0.2, hold=3, factor=0.5)
    assert rates == pytest.approx([0.52, 1, 1, 0.5])


def test_what_dev_losses_have_taught_is_kept():
    c = schedule("newbob")
    for epoch, loss in enumerate((2.0, 2.5), 1):
        c.epoch_ended(epoch, loss, 100.0 * epoch)
    other = schedule("newbob")
    other.load_state_dict(c.state_dict())
    assert other.rate(200.0) == 0.5
    assert other.epoch_ended(3, 1.0, 300.0) == c.epoch_ended(3, 1.0, 300.0)
    assert schedule("one_cycle").state_dict() is None
