"""With and without the average over time: two cells, one training."""

import json

import pytest
from minidata import SETTINGS, asrpar

from asrpar.study.twins import in_order, twins

STUDY = """
name: twins
question: Does the average pay?
base: {{set: {settings}}}
cluster: {{preset: v100_ethernet, set: {{nodes: 1}}}}
grid: {{strategy: [adpsgd], learners: [3], ema: {ema}, seed: [0]}}
decode: true
decoding: {{set: {{lm_scales: [1.0], beams: [8.0]}}}}
"""
ORDER = """
name: order
cluster: {preset: v100_ethernet, set: {nodes: 1}}
grid: {strategy: [ssgd, adpsgd, dpsgd], learners: [2], ema: [false, true], seed: [0, 1]}
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


def test_none_is_forgotten_where_two_have_one_twin(make_study):
    grid = "{strategy: ssgd, learners: 2, ema: [false, true], ema.decay_epochs: [0.5, 2]}"
    folders = make_study.load(f"name: s\ncluster: {{preset: h200}}\ngrid: {grid}\n").folders
    pairs = twins(folders)
    assert len(pairs) == 2 and len({twin.cell.name for twin in pairs.values()}) == 1
    ordered = in_order(folders, pairs, 1)
    assert sorted(f.cell.name for f in ordered) == sorted(f.cell.name for f in folders)


@pytest.mark.parametrize("jobs", [1, 2, 3, 20])
def test_no_worker_waits_for_a_twin_that_has_just_begun(make_study, jobs):
    folders = make_study.load(ORDER).folders
    pairs = twins(folders)
    assert len(pairs) == 6
    ordered = in_order(folders, pairs, jobs)
    names = [folder.cell.name for folder in ordered]
    assert sorted(names) == sorted(folder.cell.name for folder in folders)
    for name, twin in pairs.items():
        between = names.index(name) - names.index(twin.cell.name) - 1
        assert between >= jobs or all(n in pairs for n in names[names.index(name) :])


def test_a_twin_that_is_finished_holds_up_nobody(make_study):
    folders = make_study.load(ORDER).folders
    pairs = twins(folders)
    left = [folder for folder in folders if folder.cell.name in pairs]
    assert in_order(left, pairs, 2) == left
