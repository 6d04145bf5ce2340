"""A model that sees more than features keeps what, and whoever uses it makes the same or says why not."""

import shutil

import kaldiio
import numpy as np
import pytest
import torch
from minidata import train_options

from asrpar.config import load_config
from asrpar.decode.acoustic import run_model
from asrpar.decode.inputs import from_features
from asrpar.decode.sets import batches
from asrpar.errors import AsrparError, ConfigError
from asrpar.export.model import load_trained
from asrpar.feats import eval_batches
from asrpar.feats.store import FeatureStore
from asrpar.parallel.comm import LocalComm
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train
from asrpar.train.model_io import load_acoustic_model

TINY = {"epochs": 1, "models__tdnn__channels": 8, "models__tdnn__dilations": "[1]", "models__tdnn__conv_maps": 4}


def run(data, exp, **more):
    options = train_options(data, exp, **TINY | more)
    return train(load_config(TrainConfig, None, [o.removeprefix("--set=") for o in options]), LocalComm())


@pytest.fixture(scope="module")
def streams(mini, tmp_path_factory):
    """An archive for each set, of three values for each speaker."""
    folder = tmp_path_factory.mktemp("ivectors")
    for split in ("train", "dev"):
        speakers = sorted({u.speaker for u in FeatureStore(mini / "feats", split).utterances})
        entries = {s: np.full(3, len(s) / 10, np.float32) for s in speakers}
        kaldiio.save_ark(str(folder / f"{split}.ark"), entries, scp=str(folder / f"{split}.scp"))
    return folder


@pytest.fixture(scope="module")
def trained(mini, streams, tmp_path_factory):
    exp = tmp_path_factory.mktemp("inputs") / "exp"
    more = {"input__deltas": 2, "input__splice": "[1,1]", "input__streams__ivectors__scp": streams / "{set}.scp"}
    assert run(mini, exp, **more) == 0
    return exp


def test_decoding_sees_what_the_training_saw(mini, trained):
    module, facts = load_acoustic_model(trained / "final.pt")
    identity = facts["identity"]
    assert facts["num_features"] == 3 * 3 * 20 + 3
    assert identity.inputs["widths"] == {"ivectors": 3} and identity.input_config.deltas == 2
    found = run_model(module, batches(mini / "feats", "dev", 5000, 183, identity.mean_std, identity.input_config))
    assert len(found.log_probs) == 4 and all(np.isfinite(x).all() for _, x in found.log_probs)
    with pytest.raises(AsrparError, match=r"input\.streams\.ivectors: .*test\.scp is missing; .* set 'test'"):
        next(batches(mini / "feats", "test", 5000, 183, identity.mean_std, identity.input_config))
    with pytest.raises(ConfigError, match="trained with input settings"):
        load_trained(trained / "final.pt")


def test_a_recording_gets_differences_and_neighbours_but_no_streams(mini, trained, tmp_path):
    identity = load_acoustic_model(trained / "final.pt")[1]["identity"]
    with pytest.raises(AsrparError, match=r"inputs of Kaldi's \(ivectors\), which a recording .* use asrpar decode"):
        from_features(torch.nn.Identity(), identity)
    assert run(mini, tmp_path / "exp", input__deltas=1, input__splice="[2,0]") == 0
    module, facts = load_acoustic_model(tmp_path / "exp" / "final.pt")
    made, config = from_features(module, facts["identity"]), facts["identity"].input_config
    plain = next(eval_batches(mini / "feats", "dev", 5000))
    seen = next(eval_batches(mini / "feats", "dev", 5000, inputs=config))
    with torch.inference_mode():
        found, expected = made(plain.features, plain.feature_lens), module(seen.features, seen.feature_lens)
    assert found[0].equal(expected[0]) and found[1].equal(expected[1])


def test_a_model_to_begin_with_sees_the_same(mini, trained, streams, tmp_path):
    given = {"input__deltas": 2, "input__splice": "[1,1]", "init_from": trained}
    moved = shutil.copytree(streams, tmp_path / "moved")
    assert run(mini, tmp_path / "a", input__streams__ivectors__scp=moved / "{set}.scp", **given) == 0
    with pytest.raises(ConfigError, match=r"init_from: .*input\.streams: {'ivectors': 3} -> {}"):
        run(mini, tmp_path / "b", **given)
    with pytest.raises(ConfigError, match=r"init_from: .*input\.deltas: 2 -> 0; input\.splice"):
        run(mini, tmp_path / "c", init_from=trained)


def test_everybody_has_an_entry_before_the_first_step(mini, streams, tmp_path):
    folder = shutil.copytree(streams, tmp_path / "fewer")
    scp = folder / "train.scp"
    scp.write_text("".join(scp.read_text().splitlines(True)[1:]).replace(str(streams), str(folder)))
    with pytest.raises(AsrparError, match=r"input\.streams\.i: .*train\.scp has no entry of \d+ of 24 utterances"):
        run(mini, tmp_path / "exp", input__streams__i__scp=folder / "{set}.scp")
    assert not list((tmp_path / "exp").glob("checkpoints/*"))


def test_nothing_more_is_the_same_training(mini, tmp_path):
    run(mini, tmp_path / "one", epochs=1)
    run(mini, tmp_path / "two", epochs=1, input__delta_window=3, batch__window=5)
    one, two = (load_acoustic_model(tmp_path / name / "final.pt") for name in ("one", "two"))
    assert all(torch.equal(a, b) for a, b in zip(one[0].parameters(), two[0].parameters(), strict=True))
    assert one[1]["identity"].inputs == {}
