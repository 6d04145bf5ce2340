"""A model knows its features, units and data: what differs is refused where it is used."""

import dataclasses
import gzip
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
import yaml
from minidata import train_options

from asrpar.config import load_config
from asrpar.errors import AsrparError
from asrpar.feats.config import FeatureConfig
from asrpar.feats.extract import extract_features
from asrpar.feats.front_end import extraction, front_end
from asrpar.parallel.comm import LocalComm
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train
from asrpar.train.identity import Identity
from asrpar.train.model_io import load_acoustic_model, save_atomically

TINY = {"epochs": 2, "models__tdnn__channels": 8, "models__tdnn__dilations": "[1]", "ema__enabled": "false"}


def run(data, exp, feats=None, lang=None, **settings):
    """`asrpar train` in this process, in the data folder or with parts of it elsewhere."""
    options = [o.removeprefix("--set=") for o in train_options(data, exp, **TINY | settings)]
    options += [f"data.feats={feats or data / 'feats'}", f"data.lang={lang or data / 'lang'}"]
    return train(load_config(TrainConfig, None, options), LocalComm())


@pytest.fixture(scope="module")
def half(mini, tmp_path_factory):
    """A training stopped after its first epoch."""
    exp = tmp_path_factory.mktemp("half") / "exp"
    run(mini, exp, stop_after_epochs=1)
    return exp


def extracted(mini, folder, **settings):
    """The features of ``mini`` once more, with other settings."""
    given = {"fbank": {"num_filters": 20}, "speeds": [1.0]} | settings
    extract_features(FeatureConfig(**given), mini / "manifests", folder, ["train", "dev", "test"])
    return folder


def fewer(mini, folder, count=20):
    """The features of ``mini`` without its last training utterances."""
    shutil.copytree(mini / "feats", folder)
    path = folder / "cuts_train.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(gzip.decompress(path.read_bytes()).splitlines(True)[:count])))
    return folder


def renamed(mini, folder):
    """The language folder of ``mini`` with its last unit under another name."""
    shutil.copytree(mini / "lang", folder)
    (folder / "files.sha256").unlink(missing_ok=True)  # as if it was made so
    units = [line.split()[0] for line in (folder / "tokens.txt").read_text().splitlines() if line[0] != "#"]
    for name in ("tokens.txt", "lexicon.txt", "targets_lexicon.txt"):
        if (folder / name).exists():
            text = (folder / name).read_text().splitlines()
            text = [" ".join("QQ" if word == units[-1] else word for word in line.split()) for line in text]
            (folder / name).write_text("\n".join(text) + "\n")
    return folder, units[-1]


def test_a_model_holds_what_new_recordings_need(mini, half):
    identity = load_acoustic_model(half / "final.pt")[1]["identity"]
    written = load_config(FeatureConfig, mini / "feats" / "feats.yaml")
    assert identity.features == front_end(written)
    assert identity.features["fbank.sampling_rate"] == 16000 and identity.features["fbank.frame_shift"] == 0.01
    assert front_end(extraction(identity.features)) == identity.features
    statistics = torch.load(mini / "feats" / "stats.pt", weights_only=True)["global"]
    assert torch.equal(identity.mean, statistics["mean"]) and torch.equal(identity.std, statistics["std"])
    tokens = [line.split()[0] for line in (mini / "lang" / "tokens.txt").read_text().splitlines()]
    assert identity.units == [t for t in tokens if t[0] != "#"] and identity.unit_kind == "phones"
    assert identity.data["train"]["utterances"] == 24
    checkpoint = torch.load(next(half.glob("checkpoints/*/rank-0.pt")), weights_only=True)
    assert Identity.from_state(checkpoint["identity"]).digest() == identity.digest()
    assert json.loads((half / "train.json").read_text())["data_digest"] == identity.digest()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m, f: {"feats": fewer(m, f)}, r"train: 24 utterances of \d+ frames -> 20 utterances of \d+ frames"),
        (lambda m, f: {"feats": extracted(m, f, normalize="speaker")}, r"normalize: global -> speaker"),
        (lambda m, f: {"feats": extracted(m, f, fbank={"num_filters": 20, "frame_shift": 0.02})}, r"0\.01 -> 0\.02"),
        (lambda m, f: {"feats": extracted(m, f, fbank={"num_filters": 20, "low_freq": 60.0})}, r"20\.0 -> 60\.0"),
        (lambda m, f: {"lang": renamed(m, f)[0]}, r"unit \d+: \S+ -> QQ"),
    ],
    ids=["fewer", "normalize", "shift", "low_freq", "unit"],
)
def test_a_training_goes_on_with_its_own_data_only(mini, half, tmp_path, change, says):
    exp = shutil.copytree(half, tmp_path / "exp")
    changed = change(mini, tmp_path / "changed")
    # Under the same path, as after a stage that was run again: settings would give the change away.
    data = tmp_path / "data"
    data.mkdir()
    for name in ("feats", "lang"):
        (data / name).symlink_to(changed.get(name, mini / name))
    config = yaml.safe_load((exp / "config.yaml").read_text())
    config["data"] |= {"feats": str(data / "feats"), "lang": str(data / "lang")}
    (exp / "config.yaml").write_text(yaml.safe_dump(config))
    before = (exp / "final.pt").read_bytes()
    with pytest.raises(AsrparError, match=r"holds a training on other data \(.*" + says) as e:
        run(data, exp)
    assert "\n" not in str(e.value)
    assert (exp / "final.pt").read_bytes() == before


def test_features_extracted_again_with_the_same_settings_are_the_same_data(mini, half, tmp_path):
    exp = shutil.copytree(half, tmp_path / "exp")
    config = (exp / "config.yaml").read_text()
    (exp / "config.yaml").write_text(config.replace(str(mini / "feats"), str(tmp_path / "feats")))
    feats = extracted(mini, tmp_path / "feats", storage="kaldi")
    run(mini, exp, feats=feats)
    whole = tmp_path / "whole"
    run(mini, whole)
    result = [json.loads((folder / "train.json").read_text()) for folder in (exp, whole)]
    assert result[0]["complete"] and result[0]["checksum"] == result[1]["checksum"]
    # A finished training is one on these data, or it is refused.
    run(mini, exp, feats=feats)
    shutil.rmtree(feats)
    fewer(mini, feats)
    with pytest.raises(AsrparError, match="holds a training on other data"):
        run(mini, exp, feats=feats)


def test_a_checkpoint_of_an_earlier_version_is_taken_with_a_warning(mini, half, tmp_path, capfd):
    exp = shutil.copytree(half, tmp_path / "exp")
    path = next(exp.glob("checkpoints/*/rank-0.pt"))
    state = torch.load(path, weights_only=True)
    del state["identity"]
    save_atomically(state, path)
    run(mini, exp)
    assert capfd.readouterr().err.count("does not say which data it is of") == 1


def test_weights_to_begin_with_are_of_the_same_features_and_units(mini, half, tmp_path):
    lang, unit = renamed(mini, tmp_path / "lang")
    with pytest.raises(AsrparError, match=rf"init_from: .*other features or units .*: {unit} -> QQ"):
        run(mini, tmp_path / "a", lang=lang, init_from=half)
    feats = extracted(mini, tmp_path / "feats", normalize="utterance")
    with pytest.raises(AsrparError, match=r"init_from: .*\(normalize: global -> utterance\)"):
        run(mini, tmp_path / "b", feats=feats, init_from=half)
    # As it is with other shapes, too.
    shutil.rmtree(feats)
    extracted(mini, feats, fbank={"num_filters": 24})
    with pytest.raises(AsrparError, match=r"init_from: .*\(fbank.num_filters: 20 -> 24\)"):
        run(mini, tmp_path / "b", feats=feats, init_from=half)
    # Other data are what one begins with a trained model for.
    assert run(mini, tmp_path / "c", feats=fewer(mini, tmp_path / "fewer"), init_from=half, stop_after_epochs=1) == 0


def test_what_changes_is_named():
    features = front_end(FeatureConfig(fbank={"sampling_rate": 8000}))
    one = Identity(
        features, "phones", ["<blk>", "a", "b"], "x", {"train": {"utterances": 1}}, torch.zeros(2), torch.ones(2)
    )
    again = dataclasses.replace(one, mean=torch.tensor([1e-5, 0.0]))
    assert one.other_data(again) == [] and again.digest() == one.digest()
    assert one.other_data(dataclasses.replace(one, mean=torch.ones(2))) == ["other values of the features"]
    assert one.other_data(dataclasses.replace(one, mean=None, std=None)) == ["other values of the features"]
    assert one.other_data(dataclasses.replace(one, pronunciations="y")) == ["other pronunciations"]
    assert one.other_units(["<blk>", "a"]) == ["number of units: 3 -> 2"]
    assert one.other_units(["<blk>", "b", "a"]) == ["unit 1: a -> b and 1 more"]
    half_precision = front_end(FeatureConfig(fbank={"sampling_rate": 8000}, storages={"shards": {"dtype": "float16"}}))
    assert one.other_features(half_precision) == []
    assert one.other_data(dataclasses.replace(one, features=half_precision)) == ["dtype: float32 -> float16"]
    kaldi = front_end(FeatureConfig(fbank={"sampling_rate": 8000, "num_filters": 80}, from_kaldi=True))
    assert "from_kaldi: False -> True" in one.other_features(kaldi)
    assert SimpleNamespace(**one.state()).units_digest == SimpleNamespace(**again.state()).units_digest
