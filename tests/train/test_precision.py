"""`autocast: auto` is decided once, alike on all learners, and kept."""

import logging
from types import SimpleNamespace

import pytest

from asrpar.config import load_config, save_config
from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm
from asrpar.train import precision
from asrpar.train.config import TrainConfig, check_config
from asrpar.train.digests import config_digest, differences
from asrpar.train.precision import decide_autocast


@pytest.fixture
def fast(monkeypatch):
    """Say whether this machine multiplies bfloat16 fast."""
    return lambda yes: monkeypatch.setattr(precision, "lacks_fast_bf16", lambda: "" if yes else "EPYC has no amx_bf16")


def config(exp, autocast="auto", **more):
    return TrainConfig(exp=str(exp), device="cpu", autocast=autocast, **more)


def decided(exp, autocast="auto", comm=None, **more):
    found = config(exp, autocast, **more)
    decide_autocast(found, comm or LocalComm())
    return found.autocast


def test_auto_is_the_default_and_other_values_are_refused(tmp_path):
    assert TrainConfig().autocast == "auto"
    bad = config(tmp_path, "fp8")
    with pytest.raises(ConfigError, match="known: auto, none, bf16"):
        check_config(bad)


def test_auto_follows_the_processor(fast, tmp_path, caplog):
    fast(True)
    assert decided(tmp_path) == "bf16"
    assert decided(tmp_path, model="blstm") == "none"
    fast(False)
    with caplog.at_level(logging.INFO):
        assert decided(tmp_path) == "none"
    assert "auto is none: EPYC has no amx_bf16" in caplog.text


def test_one_slow_learner_decides_for_all(fast, tmp_path):
    fast(True)
    for reasons, expected in ((["", ""], "bf16"), (["", "no amx"], "none")):
        comm = SimpleNamespace(
            rank=0, allgather_object=lambda mine, all_=reasons: [mine, *all_[1:]], broadcast_object=lambda x: x
        )
        assert decided(tmp_path, comm=comm) == expected


def test_a_training_goes_on_as_it_began(fast, tmp_path, caplog):
    save_config(config(tmp_path, "bf16"), tmp_path / "config.yaml")
    fast(False)
    assert decided(tmp_path) == "bf16"
    assert "slower than none here, as EPYC has no amx_bf16" in caplog.text
    assert "the training began with it" in caplog.text
    save_config(config(tmp_path, "none"), tmp_path / "config.yaml")
    fast(True)
    assert decided(tmp_path) == "none"
    # Who says what he wants gets it, or is told that the folder holds something else.
    assert decided(tmp_path, "bf16") == "bf16"
    old = load_config(TrainConfig, tmp_path / "config.yaml")
    assert differences(old, config(tmp_path, "bf16")) == ["autocast: none -> bf16"]


def test_bfloat16_by_request_on_a_slow_machine_is_warned_of(fast, tmp_path, caplog):
    fast(False)
    assert decided(tmp_path, "bf16") == "bf16"
    assert "autocast: auto would choose none" in caplog.text


def test_repetitions_share_what_was_decided(tmp_path):
    assert config_digest(config(tmp_path, "bf16")) != config_digest(config(tmp_path, "none"))
