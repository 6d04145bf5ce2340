"""Studies as a user runs them: `asrpar study`, with real trainings of a small corpus."""

import csv
import json

import pytest
from minidata import SETTINGS, asrpar

STUDY = """
name: real
question: Does it run?
base:
  set: {settings}
cluster: {{preset: v100_ethernet, set: {{nodes: 1}}}}
grid:
  strategy: [single, adpsgd, {{label: bad, set: {{strategy: adpsgd, max_nonfinite: 1, optimizers.adamw.lr: 1.0e+30}}}}]
  learners: [1, 3]
  seed: [0]
only: [{{strategy: single, learners: 1}}, {{strategy: [adpsgd, bad], learners: 3}}]
decode: true
decoding: {{set: {{lm_scales: [1.0], beams: [8.0]}}}}
timelines: {{cells: [{{strategy: adpsgd}}]}}
"""


@pytest.fixture(scope="module")
def study(mini, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    values = {key: str(value) for key, value in (SETTINGS | {"epochs": 2}).items()}
    (folder / "s.yaml").write_text(STUDY.format(settings=json.dumps(values)))

    def start(*options, check=True):
        return asrpar(
            *("study", folder / "s.yaml", "--exp-dir", folder / "exp", "--data-dir", mini), *options, check=check
        )

    start.folder, start.data = folder, mini
    start.first = start("--jobs", 2, check=False)
    return start


@pytest.mark.slow
def test_cells_are_trained_decoded_and_reported_on(study):
    done, exp = study.first, study.folder / "exp"
    assert done.returncode == 1, done.stderr
    # The last line of the one that failed, and where to look.
    assert "1 of 3 cells failed" in done.stderr and "gradients were not finite" in done.stderr.splitlines()[-1]
    assert str(exp / "bad_n3_seed0" / "cell.log") in done.stderr and "Traceback" not in done.stderr
    train = json.loads((exp / "adpsgd_n3_seed0" / "train.json").read_text())
    assert (train["learners"], train["strategy"], train["virtual"]) == (3, "adpsgd", True)
    assert all("consensus_distance" in epoch for epoch in train["history"])
    rows = {row["strategy"]: row for row in csv.DictReader((exp / "report" / "groups.csv").open())}
    assert rows.keys() == {"single", "adpsgd"}
    assert float(rows["adpsgd"]["dev_loss"]) == train["dev_loss"]
    assert 1.0 < float(rows["adpsgd"]["speed_up"]) <= 3.0
    assert float(rows["adpsgd"]["consensus_distance"]) > 0
    for name in ("dev", "test"):
        wer = json.loads((exp / "adpsgd_n3_seed0" / f"decode_{name}" / "wer.json").read_text())
        assert float(rows["adpsgd"][f"{name}_wer"]) == pytest.approx(wer["wer"], abs=1e-4)
        assert float(rows["adpsgd"][f"{name}_wer_low"]) == pytest.approx(wer["ci95"][0], abs=1e-4)
    for name in ("timelines.svg", "staleness.png", "wer_test.svg", "report.html"):
        assert (exp / "report" / name).exists()


@pytest.mark.slow
def test_the_same_command_goes_on(study):
    before = {p: p.stat().st_mtime_ns for p in (study.folder / "exp").glob("*/*.json")}
    done = study(check=False)
    assert done.returncode == 1 and "2 of 3 cells are finished already" in done.stderr
    after = {p: p.stat().st_mtime_ns for p in (study.folder / "exp").glob("*/*.json")}
    assert {p for p in after if after[p] != before.get(p)} == {study.folder / "exp" / "bad_n3_seed0" / "cell.json"}


@pytest.mark.slow
def test_dry_run_and_report_only(study, tmp_path):
    done = study("--dry-run")
    states = dict(line.split("\t") for line in done.stdout.splitlines())
    assert states == {"single_n1_seed0": "finished", "adpsgd_n3_seed0": "finished", "bad_n3_seed0": "to do"}
    study("--report-only", "--output", tmp_path / "report")
    assert "not run yet" in (tmp_path / "report" / "report.html").read_text()


@pytest.mark.slow
def test_results_of_other_settings_are_kept(study):
    text = (study.folder / "s.yaml").read_text()
    (study.folder / "s.yaml").write_text(text.replace("nodes: 1", "nodes: 2"))
    try:
        done = study(check=False)
    finally:
        (study.folder / "s.yaml").write_text(text)
    assert done.returncode == 1
    assert "2 finished cells" in done.stderr and "--renew" in done.stderr
    assert (study.folder / "exp" / "single_n1_seed0" / "final.pt").exists()
    # The same data under another name may be others.
    (study.folder / "other").symlink_to(study.data)
    done = study("--data-dir", study.folder / "other", check=False)
    assert done.returncode == 1
    assert "2 finished cells" in done.stderr and "of other data" in done.stderr


def test_mistakes_end_in_one_line(tmp_path):
    (tmp_path / "s.yaml").write_text("name: s\ncluster: {preset: h200}\ngrid: {strategy: [adpsdg]}\n")
    done = asrpar("study", tmp_path / "s.yaml", "--exp-dir", tmp_path / "exp", check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "did you mean 'adpsgd'" in done.stderr
    text = "name: s\ncluster: {preset: h200}\ngrid: {strategy: single}\ndecode: true\ndecoding: {set: {engine: kald}}\n"
    (tmp_path / "s.yaml").write_text(text)
    done = asrpar("study", tmp_path / "s.yaml", "--exp-dir", tmp_path / "exp", check=False)
    assert done.returncode == 1 and "engine 'kald' is unknown; did you mean 'kaldi'" in done.stderr
    assert not (tmp_path / "exp").exists()
    (tmp_path / "s.yaml").write_text("name: s\ncluster: {preset: h200}\ngrid: {strategy: single}\n")
    done = asrpar("study", tmp_path / "s.yaml", "--exp-dir", tmp_path / "exp", "--report-only", check=False)
    assert done.returncode == 1 and "nothing to report on" in done.stderr
    done = asrpar("study", tmp_path / "s.yaml", "--exp-dir", tmp_path / "exp", "--data-dir", tmp_path, check=False)
    assert done.returncode == 1 and "stage 2" in done.stderr and "--data-dir" in done.stderr
