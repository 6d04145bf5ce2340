"""Curves of single steps in TensorBoard."""

import math
from types import SimpleNamespace

import pytest

from asrpar.train.progress import Progress


def progress(every, first_frame=0):
    found, written = Progress(1, None, 400, every), []
    found.open(first_frame)
    found.writer = SimpleNamespace(add_scalar=lambda *point: written.append(point), close=lambda: None)
    return found, written


def run(found, learner, losses, frames=0, seconds=0.0):
    """Steps of 100 frames of all learners in half a second each; half of the frames are rank 0's."""
    for loss in losses:
        learner.loss_sum += 50 * loss
        learner.loss_frames += 50.0
        frames, seconds = frames + 100, seconds + 0.5
        found.step(100, learner, frames, seconds)
    return frames, seconds


def of(written, name):
    return [(at, value) for tag, value, at in written if tag == f"step/{name}"]


def test_a_point_is_the_mean_of_its_steps_also_across_epochs():
    learner = SimpleNamespace(loss_sum=0.0, loss_frames=0.0, grad_norm=2.5, lr=0.1)
    found, written = progress(3)
    at = run(found, learner, [6, 4, 2, 8])
    found.end_epoch()
    learner.loss_sum = learner.loss_frames = 0.0  # the trainer has reported on the epoch
    run(found, learner, [1, 3, 9], *at)
    assert of(written, "loss") == [(300, 4.0), (600, 4.0)]
    assert of(written, "grad_norm") == [(300, 2.5), (600, 2.5)] and of(written, "lr")[0] == (300, 0.1)
    assert [value for _, value in of(written, "frames_per_second")] == pytest.approx([200.0, 200.0])


def test_a_run_that_goes_on_within_an_epoch_does_not_count_twice():
    learner = SimpleNamespace(loss_sum=5e6, loss_frames=5e3, grad_norm=1.0, lr=0.1)
    found, written = progress(2, first_frame=1000)
    run(found, learner, [7, 3, 4, 6], frames=1000, seconds=60.0)
    assert of(written, "loss") == [(1200, 3.0), (1400, 5.0)]


def test_steps_without_loss_have_none_and_no_steps_are_shown_at_0():
    learner = SimpleNamespace(loss_sum=0.0, loss_frames=0.0, grad_norm=math.nan, lr=0.1)
    found, written = progress(1)
    found.step(100, learner, 100, 1.0)
    assert of(written, "loss") == of(written, "grad_norm") == [] and of(written, "lr") == [(100, 0.1)]
    found, written = progress(0)
    run(found, learner, [1, 2])
    assert written == []
