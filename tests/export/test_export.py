"""Models as ONNX and for sherpa-onnx: the same numbers, the same text."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from asrpar.cli import cli
from asrpar.errors import ConfigError, DataError
from asrpar.export import graph
from asrpar.export.formats.sherpa import Format as Sherpa
from asrpar.export.graph import ExportError, check_equal, to_onnx
from asrpar.export.model import FromFilterBanks, GlobalNorm, Trained, UtteranceNorm, load_trained
from asrpar.feats.stats import Moments, Normalizer
from asrpar.nn.models import MODELS, build_model
from asrpar.parallel.rank_files import load_saved
from asrpar.train.config import DataConfig
from asrpar.train.identity import Identity
from asrpar.train.model_io import save_acoustic_model, save_atomically

onnx = pytest.importorskip("onnx", reason="the export extra is not installed: pip install -e '.[export]'")
runtime = pytest.importorskip("onnxruntime", reason="the export extra is not installed: pip install -e '.[export]'")

# Small sizes for whatever model has such settings.
SMALL = {"channels": 16, "cells": 12, "num_layers": 2, "conv_maps": 4, "bottleneck": 8, "projection": 8, "hidden": 16}


def small(name, **more):
    """A model of the family, in evaluation mode, of 20 features and 7 classes."""
    default = MODELS.settings(name)
    settings = {key: value for key, value in (SMALL | more).items() if hasattr(default, key)}
    torch.manual_seed(1)
    model = build_model(name, MODELS.settings(name, {name: settings}), 20, 7).eval()
    with torch.no_grad():
        for p in model.parameters():  # also what begins at zero
            p.add_(0.1 * torch.randn_like(p))
    return model


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_gives_equal_outputs_under_onnxruntime(name):
    model = small(name)
    found = to_onnx(FromFilterBanks(model, None), 20, {"a": 1})
    assert check_equal(FromFilterBanks(model, None), found, 20) < 1e-4
    loaded = onnx.load_from_string(found)
    assert {entry.key: entry.value for entry in loaded.metadata_props} == {"a": "1"}
    shapes = [[d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] for x in loaded.graph.input]
    assert shapes == [["N", "T", 20], ["N"]]


@pytest.mark.parametrize("settings", [{"subsampling": 1}, {"subsampling": 4, "conv_maps": 0}, {"conv_layers": 1}])
def test_front_ends(settings):
    model = FromFilterBanks(small("tdnn", **settings), None)
    assert check_equal(model, to_onnx(model, 20, {}), 20) < 1e-4


def test_normalisation_is_inside():
    x = torch.randn(2, 50, 20) * 3 + 5
    x[1, 40:] = 99  # padding
    lens = torch.tensor([50, 40])
    own = Moments.of(x[0].numpy()).tensors()
    mean_std = (own["mean"], own["std"])
    for norm, kind in ((GlobalNorm(mean_std), "global"), (UtteranceNorm(), "utterance")):
        right = Normalizer(Path(), "", kind, mean_std)
        found = norm(x, lens)
        for i, length in enumerate(lens.tolist()):
            wanted = right(x[i, :length].numpy(), None)
            np.testing.assert_allclose(found[i, :length].numpy(), wanted, atol=1e-4)
        module = FromFilterBanks(small("tdnn"), norm)
        assert check_equal(module, to_onnx(module, 20, {}), 20) < 1e-3


def test_whatever_others_pad_with_changes_nothing():
    module = FromFilterBanks(small("tdnn"), GlobalNorm((torch.ones(20), torch.full((20,), 2.0))))
    session = runtime.InferenceSession(to_onnx(module, 20, {}), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((2, 30, 20), dtype=np.float32)
    x[0, 21:] = -23.0
    both, _ = session.run(None, {"x": x, "x_lens": np.array([21, 30])})
    alone, _ = session.run(None, {"x": x[:1, :21], "x_lens": np.array([21])})
    np.testing.assert_allclose(both[0, :7], alone[0], atol=1e-5)


def test_another_graph_is_noticed():
    model, other = (FromFilterBanks(small("tdnn", channels=n), None) for n in (16, 12))
    with pytest.raises(ExportError, match="log-probabilities differ from the model's by"):
        check_equal(model, to_onnx(other, 20, {}), 20)


def test_what_is_not_installed_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"this needs the package onnxruntime .*\.\[export\]"):
        graph.need("onnxruntime")


@pytest.fixture(scope="module")
def exp(mini, tmp_path_factory):
    """A model of features normalised by the training set's statistics, whose weights say something at all times."""
    folder = tmp_path_factory.mktemp("export") / "exp"
    folder.mkdir()
    identity = Identity.of_data(DataConfig(mini / "feats", mini / "lang"))
    settings = MODELS.settings("tdnn", {"tdnn": {"channels": 24, "dilations": [1, 2], "conv_maps": 4}})
    torch.manual_seed(3)
    module = build_model("tdnn", settings, 20, len(identity.units))
    with torch.no_grad():
        module.output.weight.normal_()
        module.output.bias[0] += 4
    facts = {"num_features": 20, "num_classes": len(identity.units), "identity": identity}
    save_acoustic_model(folder / "final.pt", module, model="tdnn", settings=settings, **facts)
    return folder


def export(exp, *options):
    return CliRunner().invoke(cli, ["export", str(exp), *map(str, options)])


def changed(exp, folder, **features):
    """A model like that of ``exp``, of other features."""
    folder.mkdir()
    value = load_saved(exp / "final.pt")
    value["identity"]["features"] |= {key.replace("__", "."): new for key, new in features.items()}
    save_atomically(value, folder / "final.pt")
    return folder


def test_the_onnx_folder(exp, tmp_path):
    result = export(exp, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    session = runtime.InferenceSession(str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta().custom_metadata_map
    tokens = [line.split()[0] for line in (tmp_path / "out" / "tokens.txt").read_text().splitlines()]
    assert json.loads(meta["classes"]) == tokens
    assert (meta["subsampling_factor"], meta["feature_dim"], meta["normalize"]) == ("3", "20", "none")
    assert json.loads(meta["features"])["normalize"] == "global"
    assert meta["blank"] == "0"
    # Again; but not in place of something else.
    assert export(exp, "--output", tmp_path / "out").exit_code == 0
    refused = export(exp, "--output", exp)
    assert refused.exit_code
    assert "holds something else than an exported model" in str(refused.exception)
    assert (exp / "final.pt").exists()


def test_features_that_sherpa_onnx_does_not_compute_are_refused(exp, tmp_path):
    def refusal(name, **features):
        with pytest.raises(DataError) as e:
            Sherpa(load_trained(changed(exp, tmp_path / name, **features) / "final.pt"))
        return str(e.value)

    assert "fbank.high_freq is 7000.0, in sherpa-onnx -400.0" in refusal("high", fbank__high_freq=7000.0)
    two = refusal("two", fbank__snip_edges=True, fbank__window_type="hamming")
    assert "fbank.window_type is hamming, in sherpa-onnx povey; fbank.snip_edges is True" in two
    assert "of whom sherpa-onnx knows nothing: give --normalize utterance" in refusal("speaker", normalize="speaker")
    # The same edge, said in another way.
    rate = load_trained(exp / "final.pt").features["fbank.sampling_rate"]
    Sherpa(load_trained(changed(exp, tmp_path / "same", fbank__high_freq=rate / 2 - 400.0) / "final.pt"))
    with pytest.raises(ConfigError, match="was trained with features normalised by 'global'"):
        load_trained(exp / "final.pt", "utterance")
    trained = load_trained(exp / "final.pt")
    trained.facts["blank"] = None
    with pytest.raises(DataError, match="sherpa-onnx decodes CTC models"):
        Sherpa(Trained(trained.path, trained.module, trained.facts, trained.identity, "none"))


@pytest.mark.parametrize("normalize", ["global", "utterance", "speaker", "none"])
def test_sherpa_onnx_gives_the_text_of_greedy_decoding(exp, mini, tmp_path, normalize):
    sherpa = pytest.importorskip("sherpa_onnx", reason="the export extra is not installed: pip install -e '.[export]'")
    exp = changed(exp, tmp_path / "exp", normalize=normalize)
    options = ["--normalize", "utterance"] if normalize == "speaker" else []
    result = export(exp, "--format", "sherpa", *options)
    assert result.exit_code == 0, result.output
    rate = load_trained(exp / "final.pt").features["fbank.sampling_rate"]
    recogniser = sherpa.OfflineRecognizer.from_zipformer_ctc(
        *(str(exp / "sherpa" / name) for name in ("model.onnx", "tokens.txt")), sample_rate=rate, feature_dim=20
    )
    audio = sorted((mini / "corpus").rglob("*.wav"))[::6]
    words = CliRunner().invoke(cli, ["transcribe", "--exp", str(exp), *map(str, audio)])
    ours = dict(line.split("\t") for line in words.stdout.splitlines())
    streams = []
    for path in audio:
        samples, found = soundfile.read(path, dtype="float32")
        streams.append(recogniser.create_stream())
        streams[-1].accept_waveform(found, samples)
    recogniser.decode_streams(streams)
    theirs = {path.stem: stream.result.text.strip() for path, stream in zip(audio, streams, strict=True)}
    assert theirs == ours
    assert sum(map(len, ours.values())) > 50
