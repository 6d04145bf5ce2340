"""Running cells: what is left alone, what is done again, what fails, what is ended."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from toy_study import FAKE, STUDY

from asrpar.errors import ConfigError, MissingInputError
from asrpar.files.lock import BusyError, alone
from asrpar.study.folder import NOTE, Places

SMALL = """
name: small
cluster: {preset: v100_ethernet, set: {nodes: 4}}
base: {set: {epochs: 3}}
grid: {strategy: [ssgd], learners: [2], seed: [0, 1]}
"""
CELL = "ssgd_n2_seed0"


def test_each_cell_is_a_process_of_its_own(make_study):
    made = make_study.load(SMALL)
    assert made.run() == {}
    assert len(made.called()) == 2
    line = next(line for line in made.called() if CELL in line)
    for part in ("--cluster=v100_ethernet", "--learners=2", "--set=strategy=ssgd", "--set=seed=0", "--set=epochs=3"):
        assert part in line.split()
    assert "--set-cluster=nodes=4" in line.split()
    assert sorted(made.said)[0].startswith("[1/2] ssgd_n2_seed")
    assert "dev loss 0.02" in made.said[0]
    assert "last line of" in (made.exp / CELL / "cell.log").read_text()


def test_trainings_on_labels_get_their_alignment(make_study):
    made = make_study.load(SMALL.replace("epochs: 3", "epochs: 3, loss: frame_ce") + "data: {ali: ali}\n")
    made.places.ali = made.folder / "ali"
    assert made.run() == {}
    assert all(f"--set=data.ali={made.folder / 'ali'}" in line for line in made.called())
    # Another alignment is other data.
    made.places.ali = made.folder / "other"
    assert made.run() == {} and len(made.called()) == 2


def test_finished_cells_are_left_alone(make_study):
    make_study.load(SMALL).run()
    make_study.said.clear()
    assert make_study.load(SMALL).run() == {}
    assert make_study.called() == []
    assert make_study.said == ["2 of 2 cells are finished already"]


def test_what_another_study_has_trained_is_not_trained_again(make_study):
    make_study.load(SMALL).run()
    one, text = make_study.exp, SMALL.replace("seed: [0, 1]", "seed: [1, 2]") + "decode: true\n"
    make_study.exp = make_study.folder / "other"
    assert make_study.load(text).run(reuse=[one]) == {}
    assert len(make_study.called()) == 1 and "--set=seed=2" in make_study.called()[0]
    assert len(make_study.called("decode")) == 2
    taken = make_study.exp / "ssgd_n2_seed1"
    was, now = (json.loads((at / "train.json").read_text()) for at in (one / "ssgd_n2_seed1", taken))
    assert now == was | {"trained_in": "ssgd_n2_seed1"}
    assert f"exp: {taken}" in (taken / "config.yaml").read_text()
    assert make_study.load(text).run() == {} and make_study.calls.read_text() == ""


def note_data(exp, digest="of others"):
    """Let all trainings say which data they are of; another digest than that."""
    for path in exp.glob("*/train.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"data_digest": digest}))
    return "of these"


@pytest.mark.parametrize("change", ["settings", "data", "new data", "incomplete", "traced"])
def test_what_differs_is_not_taken_from_another_study(make_study, change):
    make_study.load(SMALL).run()
    one, text = make_study.exp, SMALL
    make_study.exp = make_study.folder / "other"
    if change == "settings":
        text = SMALL.replace("epochs: 3", "epochs: 4")
    elif change == "data":
        make_study.places = Places(*[make_study.folder / "elsewhere"] * 3, None)
    elif change == "new data":
        make_study.places.digests["train", "dev"] = note_data(one)
    elif change == "incomplete":
        for seed in (0, 1):
            (one / f"ssgd_n2_seed{seed}" / "final.pt").unlink()
    else:
        text += "timelines: {cells: [{learners: 2}]}\n"
    assert make_study.load(text).run(reuse=[one]) == {}
    assert len(make_study.called()) == (1 if change == "traced" else 2)


def test_a_folder_without_cells_cannot_be_reused(make_study):
    with pytest.raises(ConfigError, match="there is no cell of a study"):
        make_study.load(SMALL).run(reuse=[make_study.folder])


@pytest.mark.parametrize("damage", ["train.json", "final.pt", "incomplete", "torn", "cell.json"])
def test_an_interrupted_cell_is_started_anew(make_study, damage):
    make_study.load(SMALL).run()
    folder = make_study.exp / CELL
    (folder / "left over").write_text("")
    if damage == "incomplete":
        value = json.loads((folder / "train.json").read_text())
        (folder / "train.json").write_text(json.dumps(value | {"complete": False}))
    elif damage in ("torn", "cell.json"):
        (folder / ("train.json" if damage == "torn" else damage)).write_text('{"comp')
    else:
        (folder / damage).unlink()
    assert make_study.load(SMALL).run() == {}
    assert len(make_study.called()) == 1 and CELL in make_study.called()[0]
    assert not (folder / "left over").exists()


def test_other_settings_make_another_cell(make_study):
    make_study.load(SMALL).run()
    make_study.load(SMALL.replace("epochs: 3", "epochs: 4"))
    assert not any(folder.is_ours() for folder in make_study.folders)
    make_study.run()
    assert len(make_study.called()) == 2


def test_cells_trained_on_other_data_under_the_same_path_are_trained_again(make_study):
    make_study.load(SMALL).run()
    note_data(make_study.exp, "of these")
    make_study.places.digests["train", "dev"] = "of these"
    assert make_study.load(SMALL).run() == {} and make_study.called() == []
    note_data(make_study.exp)
    assert make_study.load(SMALL).run() == {} and len(make_study.called()) == 2


def test_decoding_is_done_again_without_training(make_study):
    make_study.load(SMALL + "decode: true\n").run()
    assert (len(make_study.called()), len(make_study.called("decode")), len(make_study.called("score"))) == (2, 2, 2)
    assert "--jobs=1" in make_study.called("decode")[0]
    make_study.load(SMALL + "decode: true\n").run()
    assert make_study.calls.read_text() == ""
    earlier = make_study.exp / CELL / "decode_test" / "of_other_settings"
    earlier.touch()
    make_study.load(SMALL + "decode: true\ndecoding: {set: {beams: [8]}}\n").run()
    assert not earlier.exists()
    assert (len(make_study.called()), len(make_study.called("decode")), len(make_study.called("score"))) == (0, 2, 2)
    assert "--set=beams=[8]" in make_study.called("decode")[0]
    (make_study.exp / CELL / "decode_test" / "wer.json").unlink()
    make_study.load(SMALL + "decode: true\ndecoding: {set: {beams: [8]}}\n").run()
    assert (len(make_study.called()), len(make_study.called("score"))) == (0, 1)


def test_a_failed_cell_does_not_stop_the_others(make_study):
    made = make_study.load(SMALL.replace("[0, 1]", "[13, 0, 1]"))
    assert made.run(jobs=1) == {"ssgd_n2_seed13": "asrpar: error: thirteen learners"}
    assert len(made.said) == 3 and made.said[0].startswith("[1/3] ssgd_n2_seed13 failed: asrpar: error")
    # It is tried again.
    assert len(made.run()) == 1 and len(made.called()) == 1


def test_a_training_of_an_earlier_version_is_not_removed(make_study):
    made = make_study.load(SMALL)
    made.run()
    folder = make_study.exp / CELL
    (folder / "config.yaml").write_text("model: {type: tdnn}\n")
    note = json.loads((folder / NOTE).read_text())
    (folder / NOTE).write_text(json.dumps(note | {"digest": "of other names"}))
    failed = made.run()
    assert list(failed) == [CELL] and "holds a training of an earlier version" in failed[CELL]
    assert (folder / "final.pt").exists()


def test_what_is_no_cell_is_not_removed(make_study):
    folder = make_study.exp / CELL
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("")
    failed = make_study.load(SMALL).run()
    assert list(failed) == [CELL] and "is in the way" in failed[CELL]
    assert (folder / "thesis.tex").exists()


def test_first_seeds_of_chosen_cells_are_traced(make_study):
    made = make_study.load(STUDY)
    traced = [folder.cell.name for folder in made.folders if folder.is_traced()]
    assert traced == ["ssgd_n4_b8000_seed0", "adpsgd_n4_b8000_seed0"]
    line = made.folders[1].training(made.places)
    assert "--set=trace.enabled=true" in line
    # Tracing changes no result, so it may be asked for later.
    other = make_study.load(STUDY.replace("learners: 4, batch: 8000}]", "learners: 8}]"))
    assert [f.cell.digest for f in other.folders] == [f.cell.digest for f in made.folders]


def test_one_study_at_a_time_in_a_folder(make_study):
    make_study.load(SMALL)
    with alone(make_study.exp), pytest.raises(BusyError, match="is being written by"):
        make_study.run()
    assert make_study.run() == {}


def test_data_that_are_missing_name_their_stage(make_study, tmp_path):
    made = make_study.load(SMALL + "decode: true\n")
    for name, stage in (("feats", 2), ("lang", 3), ("graph", 5), ("manifests", 1)):
        with pytest.raises(MissingInputError, match=f"stage {stage}"):
            Places.of(made.study, tmp_path)
        (tmp_path / name).mkdir()
    assert Places.of(made.study, tmp_path).graph == tmp_path / "graph"


PROGRAM = """
import sys
from toy_study import Study
from pathlib import Path
made = Study(Path(sys.argv[1])).load(open(sys.argv[2]).read())
print(made.run())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_all_processes(tmp_path, number):
    (tmp_path / "slow.yaml").write_text(SMALL.replace("[0, 1]", "[0, 99]"))
    search = str(FAKE.parent)
    environment = {**os.environ, "FAKE_CALLS": str(tmp_path / "calls"), "PYTHONPATH": search}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(tmp_path / "slow.yaml")]
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background of a script begins with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    log, done = tmp_path / "exp" / "ssgd_n2_seed99" / "cell.log", tmp_path / "exp" / CELL / "train.json"
    deadline = time.monotonic() + 60
    while not (log.exists() and "last line" in log.read_text() and done.exists()):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.05)
    # A lock on the folder lasts as long as anything that may write to it.
    with pytest.raises(BusyError, match="is being written by "), alone(tmp_path / "exp"):
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 143 if number == signal.SIGTERM else "KeyboardInterrupt" in err, (out, err)
    with alone(tmp_path / "exp"):
        pass
