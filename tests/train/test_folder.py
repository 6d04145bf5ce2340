"""What an experiment's folder holds before a training begins in it."""

import pytest

from asrpar.choices import settle
from asrpar.config import save_config
from asrpar.train.config import DataConfig, TrainConfig
from asrpar.train.folder import look

# As an earlier version wrote it.
EARLIER = """
seed: 0
model: {type: tdnn, channels: 192}
optimizer: {name: adamw, lr: 0.004}
compression: {method: none}
"""


@pytest.fixture
def config(tmp_path):
    made = TrainConfig(exp=str(tmp_path), data=DataConfig("feats", "lang"))
    settle(made)
    return made


def test_a_training_of_an_earlier_version_is_refused_in_one_line(tmp_path, config):
    (tmp_path / "config.yaml").write_text(EARLIER)
    finished, problem = look(tmp_path, config)
    assert not finished and "\n" not in problem
    assert "cannot be continued" in problem and "'model.type' is now 'model'" in problem
    assert problem.endswith("choose another exp folder")


def test_other_settings_of_a_choice_are_another_training_those_of_other_choices_are_not(tmp_path, config):
    save_config(config, tmp_path / "config.yaml")
    assert look(tmp_path, config) == (False, "")
    config.optimizers["sgd"] = {"momentum": 0.5}
    assert look(tmp_path, config) == (False, "")
    config.optimizers["adamw"]["lr"] = 0.5
    assert "optimizers.adamw.lr: 0.001 -> 0.5" in look(tmp_path, config)[1]
