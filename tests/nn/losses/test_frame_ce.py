"""Cross-entropy of frames: against sums by hand and torch's own; masks, delays, subsampling, labels that do not fit."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from asrpar.errors import ConfigError, DataError
from asrpar.nn.losses import LOSSES
from asrpar.nn.losses.frame_ce import Loss, Settings, log_priors
from asrpar.nn.objective import FrameLabels, Misfit, Sources


def frame_ce(labels, delay=0, subsampling=1, classes=5, smoothing=0.0, share=1.0, counts=None, silences=()):
    labels = {name: np.array(of) for name, of in labels.items()}
    given = FrameLabels(classes, labels, counts=None if counts is None else np.array(counts), silences=silences)
    return Loss(Settings(delay, smoothing, share), Sources(labels=given, subsampling=subsampling))


def spoken(frames, name="u"):
    return SimpleNamespace(id=name, text="", num_frames=frames)


def targets(labels, frames=None, shown=None, **settings):
    return frame_ce({"u": labels}, **settings).targets(spoken(frames or len(labels)), shown).tolist()


def test_the_sum_by_hand():
    probabilities = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], [[0.25, 0.25, 0.5], [0.3, 0.3, 0.4]]])
    one = frame_ce({}, classes=3)
    # Of the second utterance one frame is padding; one frame of the first has no label.
    loss, used = one.loss(probabilities.log(), torch.tensor([2, 1]), [np.array([1, -1]), np.array([2])])
    assert loss.item() == pytest.approx(-math.log(0.25) - math.log(0.5)) and used == [True, True]
    assert one.errors(probabilities.log(), torch.tensor([2, 1]), [np.array([1, -1]), np.array([2])]) == (1, 2)


def test_value_and_gradient_are_those_of_torch():
    torch.manual_seed(0)
    x, lens = torch.randn(3, 9, 5, requires_grad=True), torch.tensor([9, 4, 7])
    labels = [np.random.default_rng(n).integers(-1, 5, int(frames)) for n, frames in enumerate(lens)]
    frame_ce({}).loss(x.log_softmax(-1), lens, labels)[0].backward()
    y = x.detach().clone().requires_grad_()
    rows = torch.cat([y[n, :t] for n, t in enumerate(lens)])
    F.cross_entropy(rows, torch.from_numpy(np.concatenate(labels)), ignore_index=-1, reduction="sum").backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert all(x.grad[n, t:].abs().sum() == 0 for n, t in enumerate(lens))


def test_utterances_without_labels_are_left_out():
    one = frame_ce({"u": [1, 1], "masked": [-1, -1], "all": [-7, 3]})
    each = [one.targets(spoken(2, name)) for name in ("u", "masked", "absent", "all")]
    output = torch.zeros(4, 2, 5).log_softmax(-1).requires_grad_()
    loss, used = one.loss(output, torch.full((4,), 2), each)
    loss.backward()
    assert used == [True, False, False, True] and loss.item() == pytest.approx(3 * math.log(5))
    assert one.errors(output, torch.full((4,), 2), each) == (3, 3)
    nothing, used = one.loss(output[1:3], torch.full((2,), 2), each[1:3])
    assert (nothing.item(), used) == (0.0, [False, False])
    assert one.errors(output[1:3], torch.full((2,), 2), each[1:3]) == (0, 0)


def test_labels_of_input_frames_are_those_where_output_frames_begin():
    assert targets([0, 1, 2, 3, 4, 0, 1], subsampling=3) == [0, 3, 1]
    # The batch begins at the third frame: output frames begin at 2 and 5.
    assert targets([0, 1, 2, 3, 4, 0, 1], subsampling=3, shown=np.arange(2, 7)) == [2, 0]
    # Time is warped.
    assert targets([0, 1, 2, 3], shown=np.array([0, 0, 1, 3])) == [0, 0, 1, 3]


def test_labels_of_output_frames_are_taken_from_the_nearest():
    assert targets([4, 2, 1], 7, subsampling=3) == [4, 2, 1]
    assert targets([4, 2, 1], 9, subsampling=3, shown=np.arange(1, 9)) == [4, 2, 1]
    assert targets([4, 2, 1], 9, subsampling=3, shown=np.arange(2, 9)) == [2, 1, 1]


def test_a_late_answer():
    assert targets([0, 1, 2, 3], delay=2) == [-1, -1, 0, 1]
    assert targets([0, 1, 2, 3, 4, 0, 1], delay=1, subsampling=3) == [-1, 0, 3]
    assert targets([0, 1], delay=5) == [-1, -1]
    one = frame_ce({"u": [0, 1]}, delay=2)
    assert (
        one.misfit(spoken(2), 2) == Misfit(frames=3) and frame_ce({"u": [0, 1]}, delay=1).misfit(spoken(2), 2) is None
    )
    with pytest.raises(ConfigError, match=r"losses\.frame_ce\.label_delay is -1"):
        LOSSES.settings("frame_ce", {"frame_ce": {"label_delay": -1}})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2, 3], r"labels of utterance u are int64 of shape \(4,\): 7 integers .* or 3, .* every 3"),
        ([0.5] * 7, "float64"),
        ([[0] * 7], r"shape \(1, 7\)"),
        ([0, 1, 5], "utterance u has label 5, but there are 5 classes"),
    ],
)
def test_labels_that_do_not_fit(labels, message):
    one = frame_ce({"u": labels}, subsampling=3)
    for find in (lambda: one.targets(spoken(7)), lambda: one.misfit(spoken(7), 3)):
        with pytest.raises(DataError, match=message):
            find()


def test_a_model_of_other_output_frames_than_its_labels():
    with pytest.raises(DataError, match="3 output frames where there are 2 labels"):
        frame_ce({}).loss(torch.zeros(1, 3, 5), torch.tensor([3]), [np.array([0, 1])])


def test_there_must_be_labels():
    assert frame_ce({}).misfit(spoken(2), 2) == Misfit(missing=("u",))
    with pytest.raises(ConfigError, match="needs labels of frames"):
        Loss(Settings(), Sources())


def test_the_mean_over_frames_with_labels_is_that_of_the_utterances_joined():
    torch.manual_seed(1)
    scores, lens = torch.randn(3, 8, 5), torch.tensor([8, 3, 6])
    labels = [np.random.default_rng(n).integers(-1, 5, int(frames)) for n, frames in enumerate(lens)]
    one = frame_ce({})
    mean = one.loss(scores, lens, labels)[0] / one.frames_in(labels)
    joined, classes = torch.cat([x[:n] for x, n in zip(scores, lens, strict=True)]), np.concatenate(labels)
    torch.testing.assert_close(mean, F.cross_entropy(joined[classes >= 0], torch.from_numpy(classes[classes >= 0])))
    # Whatever else is in a batch.
    alone = sum(one.loss(scores[n : n + 1, : lens[n]], lens[n : n + 1], labels[n : n + 1])[0] for n in range(3))
    torch.testing.assert_close(alone / one.frames_in(labels), mean)
    assert one.frames_in([np.array([-1, -1]), np.empty(0, np.int64)]) == 0


def test_smoothed_labels_are_trained_on_and_plain_ones_measured():
    scores, lens, labels = torch.randn(1, 6, 5), torch.tensor([6]), [np.array([0, 4, -1, 2, 2, 1])]
    trained, _ = frame_ce({}, smoothing=0.1).loss(scores, lens, labels)
    expected = F.cross_entropy(scores[0], torch.from_numpy(labels[0]), ignore_index=-1, label_smoothing=0.1) * 5
    torch.testing.assert_close(trained, expected)
    with torch.no_grad():
        measured, _ = frame_ce({}, smoothing=0.1).loss(scores, lens, labels)
    assert measured == frame_ce({}).loss(scores, lens, labels)[0] != trained


def test_frames_that_are_context_have_no_label():
    shown = np.array([-1, 1, 2, 3, -1, -1])
    assert targets([0, 1, 2, 3, 4], shown=shown) == [-1, 1, 2, 3, -1, -1]
    # A late answer comes while the context behind is shown.
    assert targets([0, 1, 2, 3, 4], shown=shown, delay=2) == [-1, -1, -1, 1, 2, 3]


def test_less_silence():
    labels = [4, 4, 4, 4, 1, 3, 2, 4]
    assert targets(labels, share=0.5, silences=(3, 4)) == [-1, 4, -1, 4, 1, -1, 2, 4]
    assert targets(labels, share=0.5, silences=(0,)) == targets(labels) == labels
    # Of the output frames as of the input frames, whatever their ratio is and wherever a batch begins.
    for subsampling, share in ((2, 0.5), (3, 1 / 3), (3, 0.5)):
        for first in range(subsampling):
            found = targets([3] * 72, share=share, silences=(3,), subsampling=subsampling, shown=np.arange(first, 72))
            assert abs(found.count(3) - share * len(found)) <= 1
    kept = frame_ce({}, classes=3, share=0.5, silences=(2,), counts=[3, 1, 8])
    np.testing.assert_allclose(np.exp(kept.log_priors), np.array([4, 2, 5]) / 11, rtol=1e-6)


def test_priors():
    np.testing.assert_allclose(np.exp(log_priors(np.array([3, 1, 0]))), [4 / 7, 2 / 7, 1 / 7], rtol=1e-6)
    assert frame_ce({}).log_priors is None
    assert frame_ce({}, classes=3, counts=[3, 1, 0]).log_priors.dtype == np.float32


@pytest.mark.parametrize(("key", "value"), [("label_smoothing", 1.0), ("silence_share", 0.0), ("silence_share", 1.5)])
def test_settings_out_of_range(key, value):
    with pytest.raises(ConfigError, match=rf"losses\.frame_ce\.{key} is {value}"):
        LOSSES.settings("frame_ce", {"frame_ce": {key: value}})


def test_lengths_of_labels_tell_who_may_be_left_out():
    lengths = {"whole": 9, "every third": 3, "none": 0, "other": 5, "short": 1}
    given = FrameLabels(5, {}, lengths=lambda ids: np.array([lengths[x] for x in ids]))
    one = Loss(Settings(label_delay=1), Sources(labels=given, subsampling=3))
    doubtful = one.doubtful(list(lengths), np.array([9, 9, 9, 9, 3]))
    assert doubtful.tolist() == [False, False, True, True, True]
    assert frame_ce({}).doubtful(["u"], np.array([9])) is None
