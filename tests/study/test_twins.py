"""With and without the average over time: two cells, one training."""

import json

import pytest
from minidata import SETTINGS, asrpar

STUDY = """
name: twins
question: Does the average pay?
base: {{set: {settings}}}
cluster: {{preset: v100_ethernet, set: {{nodes: 1}}}}
grid: {{strategy: [adpsgd], learners: [3], ema: {ema}, seed: [0]}}
decode: true
decoding: {{set: {{lm_scales: [1.0], beams: [8.0]}}}}
"""
WITHOUT = "adpsgd_n3_noema_seed0"


@pytest.mark.slow
def test_a_model_without_the_average_comes_from_the_training_with_it(mini, tmp_path):
    values = {key: str(value) for key, value in (SETTINGS | {"epochs": 2}).items() if key != "ema.enabled"}
    found = {}
    for name, ema in (("one", "[false]"), ("two", "[false, true]")):
        (tmp_path / f"{name}.yaml").write_text(STUDY.format(settings=json.dumps(values), ema=ema))
        asrpar("study", tmp_path / f"{name}.yaml", "--exp-dir", tmp_path / name, "--data-dir", mini, "--jobs", 2)
        folder = tmp_path / name / WITHOUT
        train = json.loads((folder / "train.json").read_text())
        losses = [epoch["dev_loss"] for epoch in train["history"]]
        words = json.loads((folder / "decode_test" / "wer.json").read_text())["wer"]
        found[name] = [losses, train["dev_loss"], train["train_seconds"], train["ema"], words]
        assert (folder / "final.pt").stat().st_size
    assert found["one"] == found["two"]
    assert train["trained_in"] == WITHOUT.replace("noema", "ema")
    assert "the model without the average of" in (tmp_path / "two" / WITHOUT / "cell.log").read_text()
    assert "--set=ema.both=true" not in (tmp_path / "one" / WITHOUT / "cell.log").read_text()
