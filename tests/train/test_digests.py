"""Which trainings are the same."""

import pytest

from asrpar.errors import ConfigError
from asrpar.train.config import DataConfig, TrainConfig, check_config
from asrpar.train.digests import config_digest, differences


def bmuf(**settings):
    return TrainConfig(strategy="bmuf", strategies={"bmuf": {"sync_steps": 8, **settings}})


def test_a_training_from_before_a_setting_was_there_is_the_same():
    assert differences(bmuf(), bmuf(overlap_steps=0)) == []
    assert config_digest(bmuf()) == config_digest(bmuf(overlap_steps=0))
    assert differences(bmuf(), bmuf(overlap_steps=2)) == ["strategies.bmuf.overlap_steps: None -> 2"]
    assert config_digest(bmuf()) != config_digest(bmuf(overlap_steps=2))
    warm = bmuf()
    warm.ema.warmup = True
    assert differences(bmuf(), warm) == ["ema.warmup: None -> True"]
    assert config_digest(bmuf()) != config_digest(warm)


def test_settings_of_other_strategies_and_of_the_run_do_not_matter():
    other = bmuf()
    other.strategies["slowmo"] = {"slow_momentum": 0.9}
    other.transport, other.device, other.exp = "gloo", "cpu", "elsewhere"
    other.tensorboard_every_steps = 0
    assert differences(bmuf(), other) == []


@pytest.mark.parametrize("key", ["feats", "lang"])
def test_an_experiment_has_a_folder_of_its_own(tmp_path, key):
    data = {"feats": "a", "lang": "b"} | {key: str(tmp_path / "x" / ".." / "exp")}
    with pytest.raises(ConfigError, match=rf"exp and data\.{key} are one folder"):
        check_config(TrainConfig(exp=str(tmp_path / "exp"), data=DataConfig(**data)))
