"""Acoustic models: shapes, independence of padding, gradients, factored layers."""

import pytest
import torch
from torch import nn

from asrpar.errors import ConfigError
from asrpar.nn.layers import BlstmLayer, LstmLayer, flip_by_length
from asrpar.nn.models import MODELS, build_model

SMALL_LSTMS = {"cells": 8, "projection": 4, "connected": [6, 5]}
CASES = {
    "tdnn": ("tdnn", {"channels": 16, "dilations": [1, 2], "conv_maps": 4}),
    "tdnn with a linear front end": ("tdnn", {"channels": 16, "dilations": [1, 2], "conv_maps": 0}),
    "tdnn of stride 4": ("tdnn", {"channels": 16, "dilations": [1], "conv_maps": 4, "subsampling": 4}),
    "linear, stride 2": ("tdnn", {"channels": 16, "dilations": [1], "conv_maps": 0, "subsampling": 2}),
    "more convolutions": ("tdnn", {"channels": 16, "dilations": [1], "conv_maps": 4, "conv_layers": 1}),
    "tdnnf": ("tdnnf", {"channels": 16, "dilations": [1, 2], "bottleneck": 8, "conv_maps": 4}),
    "cldnn": ("cldnn", {"channels": 16, "dilations": [1], "conv_maps": 4, "cells": 8}),
    "cldnn, projected": ("cldnn", {"channels": 16, "dilations": [1], "conv_maps": 4, "cells": 6}),
    "blstm": ("blstm", {"cells": 8, "num_layers": 2, "conv_maps": 4}),
    "blstm on features as they are": ("blstm", {"cells": 8, "num_layers": 2, "front_end": "none", "subsampling": 2}),
    "lstm": ("lstm", {"cells": 8, "projection": 4, "num_layers": 2, "conv_maps": 4}),
    "lstm without projections": ("lstm", {"cells": 8, "projection": 0, "num_layers": 1, "front_end": "none"}),
    "dnn of sigmoids": ("dnn", {"width": 8, "num_layers": 2, "activation": "sigmoid", "before": 2, "after": 0}),
    "dnn of single frames": ("dnn", {"width": 8, "num_layers": 1, "before": 0, "after": 0, "subsampling": 2}),
    "cldnn of papers": ("cldnn_lstmp", {"maps": 4, "patch": 2, "pool": 2, "streams": 2, "linear": 8} | SMALL_LSTMS),
    "conformer": ("conformer", {"width": 8, "heads": 2, "num_layers": 2, "kernel": 5, "conv_maps": 0}),
    "blstm with bottleneck": ("blstm", {"cells": 8, "num_layers": 1, "bottleneck": 4, "conv_maps": 0}),
}


def make(case, num_features=10, **more):
    name, settings = CASES[case]
    return build_model(name, MODELS.settings(name, {name: settings | more}), num_features, num_classes=7)


@pytest.fixture(params=CASES, ids=list(CASES))
def model(request):
    torch.manual_seed(0)
    return make(request.param).eval()


def padded(lens, features=10):
    x = torch.randn(len(lens), max(lens), features)
    for n, t in enumerate(lens):
        x[n, t:] = 0
    return x, torch.tensor(lens)


@pytest.mark.parametrize("lens", [[31], [30, 29, 28], [90, 12, 50]])
def test_shapes_and_probabilities(model, lens):
    log_probs, out = model(*padded(lens))
    assert out.tolist() == [-(-t // model.subsampling) for t in lens]
    assert log_probs.shape == (len(lens), int(out.max()), 7)
    assert log_probs.dtype == torch.float32
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]), atol=1e-5)


def test_result_does_not_depend_on_the_batch(model):
    x, lens = padded([60, 25, 41])
    together, out = model(x, lens)
    for n, t in enumerate(lens.tolist()):
        alone, _ = model(x[n : n + 1, :t], lens[n : n + 1])
        assert torch.allclose(together[n, : out[n]], alone[0], atol=1e-5)


def test_probabilities_are_those_of_the_scores(model):
    x, lens = padded([60, 25, 41])
    (log_probs, of_probabilities), (scores, of_scores) = model(x, lens), model.scores(x, lens)
    assert torch.equal(scores.log_softmax(-1), log_probs) and torch.equal(of_scores, of_probabilities)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.scores(x, lens)[0].dtype == torch.bfloat16 and model(x, lens)[0].dtype == torch.float32


def test_every_parameter_gets_a_gradient(model):
    model.train()
    log_probs, _ = model(*padded([60, 25]))
    (log_probs * torch.randn_like(log_probs)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_constraint_makes_first_factors_semi_orthogonal():
    torch.manual_seed(1)
    model = make("tdnnf")
    for _ in range(30):
        model.constrain()
    for layer in model.layers:
        m = layer.linear.weight.flatten(1)
        p = m @ m.T
        assert torch.allclose(p / (p.trace() / len(p)), torch.eye(len(p)), atol=1e-4)


def test_flip_is_its_own_inverse():
    x, lens = padded([7, 3, 1])
    assert torch.equal(flip_by_length(flip_by_length(x, lens), lens), x)
    assert torch.equal(flip_by_length(x, lens)[1, :3], x[1, :3].flip(0))
    assert torch.equal(flip_by_length(x, torch.tensor([7, 7, 7])), x.flip(1))


def test_blstm_layer_equals_torch_on_packed_sequences():
    torch.manual_seed(0)
    layer, reference = BlstmLayer(10, 6), nn.LSTM(10, 6, batch_first=True, bidirectional=True)
    for name, p in layer.ahead.named_parameters():
        getattr(reference, name).data.copy_(p)
    for name, p in layer.back.named_parameters():
        getattr(reference, name + "_reverse").data.copy_(p)
    x, lens = padded([9, 5, 2])
    packed = nn.utils.rnn.pack_padded_sequence(x, lens, batch_first=True)
    expected, _ = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    actual = layer(x, lens)
    for n, t in enumerate(lens.tolist()):
        assert torch.allclose(actual[n, :t], expected[n, :t], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("tdnn", {"kernel": 4}, r"models\.tdnn\.kernel is 4: it must be odd"),
        ("tdnn", {"channels": 0}, "at least 1"),
        ("tdnn", {"dropout": 1.0}, r"models\.tdnn\.dropout is 1\.0: it must be in \[0, 1\)"),
        ("tdnn", {"dilations": [1, 0]}, r"dilations is \[1, 0\]"),
        ("tdnn", {"conv_maps": -1}, "conv_maps"),
        ("tdnn", {"conv_maps": 0, "conv_layers": 1}, "a linear front end"),
        ("tdnn", {"bottleneck": 8}, r"'models\.tdnn\.bottleneck' is unknown"),
        ("tdnn", {"init": "odd"}, r"models\.tdnn\.init 'odd' is unknown; known: torch, even"),
        ("tdnnf", {"bottleneck": 0}, r"models\.tdnnf\.bottleneck is 0"),
        ("cldnn", {"cells": 0}, r"models\.cldnn\.cells is 0"),
        ("blstm", {"bottleneck": -1}, "must be at least 0"),
        ("blstm", {"channels": 8}, r"'models\.blstm\.channels' is unknown"),
        ("blstm", {"front_end": "bare"}, r"models\.blstm\.front_end 'bare' is unknown; known: layers, none"),
        ("lstm", {"cells": 8, "projection": 8}, r"models\.lstm\.projection is 8: it must be less than cells"),
        ("dnn", {"conv_maps": 8}, r"'models\.dnn\.conv_maps' is unknown"),
        ("dnn", {"activation": "tanh"}, "activation 'tanh' is unknown; known: sigmoid, relu"),
        ("dnn", {"before": -1}, r"before is -1: it must be at least 0"),
        ("cldnn_lstmp", {"connected": [0]}, r"connected is \[0\]"),
        ("conformer", {"kernel": 4}, r"models\.conformer\.kernel is 4: it must be odd"),
        ("conformer", {"width": 20, "heads": 4}, "width is 20: it must be a multiple of twice the heads, 4"),
        ("cldn", {}, "model 'cldn' is unknown; did you mean 'cldnn'"),
    ],
)
def test_refuses_impossible_settings(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        MODELS.settings(name, {name: settings})


@pytest.mark.parametrize("settings", [{}, {"patch": 2, "streams": 3}])
def test_a_convolution_that_does_not_fit_the_features(settings):
    with pytest.raises(ConfigError, match=r"models\.cldnn_lstmp: 10 features in \d streams"):
        build_model("cldnn_lstmp", MODELS.settings("cldnn_lstmp", {"cldnn_lstmp": settings}), 10, 7)


def test_an_lstm_with_projection_equals_a_plain_one_of_folded_weights():
    torch.manual_seed(0)
    layer, x = LstmLayer(5, 8, 3).double(), torch.randn(2, 9, 5, dtype=torch.float64)
    torch.testing.assert_close(layer.folded(x), layer(x), rtol=1e-12, atol=1e-14)


def test_an_lstm_does_not_look_ahead():
    model = make("lstm without projections").eval()
    x, lens = padded([30])
    before = model(x, lens)[0]
    x[0, 15:] += 1.0
    after = model(x, lens)[0]
    assert torch.equal(before[0, :5], after[0, :5]) and not torch.equal(before[0, 5], after[0, 5])


def test_training_and_evaluation_look_at_the_same_frames():
    torch.manual_seed(0)
    model, (x, lens) = make("tdnn", dropout=0.0), padded([31])
    seen = {tuple(model.train(training)(x, lens)[0][0, 3].tolist()) for training in (True, False) for _ in range(5)}
    assert len(seen) == 1


@pytest.mark.parametrize("case", list(CASES))
def test_even_start(case):
    torch.manual_seed(0)
    model = make(case, num_features=40, init="even").eval()
    x, lens = padded([60, 41], 40)
    log_probs, _ = model(x, lens)
    assert torch.equal(log_probs, torch.full_like(log_probs, log_probs[0, 0, 0].item()))
    assert 0.25 < model.input(x, lens)[0][0].pow(2).mean().sqrt() < 2.0
