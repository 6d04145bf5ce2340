"""Acoustic models: shapes, independence of padding, gradients, factored layers."""

import dataclasses

import pytest
import torch
from torch import nn

from asrpar.errors import ConfigError
from asrpar.nn import ModelConfig, build_model
from asrpar.nn.models.blstm import BlstmLayer, flip_by_length

CONFIGS = {
    "tdnn": ModelConfig(type="tdnn", channels=16, dilations=[1, 2], conv_maps=4),
    "tdnn with a linear front end": ModelConfig(type="tdnn", channels=16, dilations=[1, 2], conv_maps=0),
    "tdnn of stride 4": ModelConfig(type="tdnn", channels=16, dilations=[1], conv_maps=4, subsampling=4),
    "linear, stride 2": ModelConfig(type="tdnn", channels=16, dilations=[1], conv_maps=0, subsampling=2),
    "tdnn with a recurrent layer": ModelConfig(type="tdnn", channels=16, dilations=[1], conv_maps=4, lstm_cells=8),
    "the same, projected": ModelConfig(type="tdnn", channels=16, dilations=[1], conv_maps=4, lstm_cells=6),
    "tdnnf": ModelConfig(type="tdnnf", channels=16, dilations=[1, 2], bottleneck=8, conv_maps=4),
    "blstm": ModelConfig(type="blstm", cells=8, num_layers=2, conv_maps=4),
    "blstm with bottleneck": ModelConfig(type="blstm", cells=8, num_layers=1, bottleneck=4, conv_maps=0),
}


@pytest.fixture(params=CONFIGS, ids=list(CONFIGS))
def model(request):
    torch.manual_seed(0)
    return build_model(CONFIGS[request.param], num_features=10, num_classes=7).eval()


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


def test_every_parameter_gets_a_gradient(model):
    model.train()
    log_probs, _ = model(*padded([60, 25]))
    (log_probs * torch.randn_like(log_probs)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_constraint_makes_first_factors_semi_orthogonal():
    torch.manual_seed(1)
    model = build_model(CONFIGS["tdnnf"], 10, 7)
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
    ("settings", "message"),
    [
        ({"type": "transformer"}, "known: tdnn, tdnnf, blstm"),
        ({"type": "tdnnf"}, "bottleneck"),
        ({"kernel": 4}, "odd"),
        ({"channels": 0}, "at least 1"),
        ({"dropout": 1.0}, "dropout"),
        ({"dilations": [0]}, "dilations"),
        ({"conv_maps": -1}, "conv_maps"),
    ],
)
def test_refuses_impossible_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_model(ModelConfig(**settings), 10, 7)


def test_training_sees_every_phase_of_the_subsampling():
    torch.manual_seed(0)
    model = build_model(CONFIGS["tdnn"], 10, 7).train()
    x, lens = padded([31])
    model.layers = torch.nn.ModuleList()
    seen = {tuple(model(x, lens)[0][0, 3].tolist()) for _ in range(30)}
    assert len(seen) == 3
    assert len({tuple(model.eval()(x, lens)[0][0, 3].tolist()) for _ in range(5)}) == 1


@pytest.mark.parametrize("name", list(CONFIGS))
def test_even_start(name):
    torch.manual_seed(0)
    model = build_model(dataclasses.replace(CONFIGS[name], init="even"), num_features=40, num_classes=7).eval()
    x, lens = padded([60, 41], 40)
    log_probs, _ = model(x, lens)
    assert torch.equal(log_probs, torch.full_like(log_probs, log_probs[0, 0, 0].item()))
    assert 0.25 < model.input(x, lens)[0][0].pow(2).mean().sqrt() < 2.0


def test_unknown_start():
    with pytest.raises(ConfigError, match=r"model\.init is 'odd'; known: torch, even"):
        build_model(ModelConfig(init="odd"), num_features=10, num_classes=7)
