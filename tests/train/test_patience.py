"""A time-out that is learned from the times between two signs of progress."""

from asrpar.train.patience import ENOUGH, FIRST, KEPT, LEAST, LONGEST, USUAL, Patience


def after(*times, saved=True):
    patience = Patience(None)
    patience.saved = saved
    for time in times:
        patience.learn(time)
    return patience.seconds


def test_nothing_is_learned_of_few_times_or_before_a_checkpoint():
    assert after(*[1.0] * (ENOUGH - 1)) == FIRST
    assert after(*[1.0] * ENOUGH, saved=False) == FIRST
    assert after(*[1.0] * ENOUGH) == LEAST < FIRST


def test_a_multiple_of_the_99th_percentile():
    assert after(*[10.0] * ENOUGH) == USUAL * 10
    assert after(*[40.0] * ENOUGH) == USUAL * 40 > FIRST, "long steps make it longer than it was at first"
    # One in a hundred is above the percentile, but not forgotten: it was no stall.
    assert after(*[4.0] * 99, 7.0) == USUAL * 4
    assert after(*[4.0] * 99, 100.0) == LONGEST * 100
    assert after(*[4.0] * 98, 6.0, 6.0) == USUAL * 6


def test_what_it_has_learned_follows_the_run():
    assert after(*[10.0] * KEPT, *[20.0] * KEPT) == USUAL * 20
    assert after(*[20.0] * KEPT, *[10.0] * KEPT) == USUAL * 10


def test_a_stated_time_out_stays():
    for fixed in (0.0, 5.0):
        patience = Patience(fixed)
        patience.saved = True
        for _ in range(KEPT):
            patience.learn(30.0)
        assert patience.seconds == patience.least == fixed
