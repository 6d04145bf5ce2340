"""Every stage that writes holds its folder, and a second one says who does."""

import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from asrpar.cli import main
from asrpar.corpus import manifests
from asrpar.files.lock import alone, alone_with, reading, short


def said(capsys: pytest.CaptureFixture, args: list) -> str:
    """The one line of a command that fails."""
    with pytest.raises(SystemExit) as e:
        main([str(a) for a in args])
    assert e.value.code == 1
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A Kaldi data folder without audio, an experiment decoded by hand, and features of one set."""
    files = {"wav.scp": "a-1 a.wav\n", "text": "a-1 ONE\n", "utt2spk": "a-1 a\n", "spk2utt": "a a-1\n"}
    files |= {"exp/decode_test/ref.trn": "ONE (a-1)\n", "exp/decode_test/hyp.trn": "ONE (a-1)\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


STAGES = {
    "prepare-manifests": (["prepare-manifests", "mini", "--corpus-dir", ".", "--output", "out"], ".lock"),
    "import-kaldi": (["import-kaldi", ".", "--split", "dev", "--output", "out"], ".dev.lock"),
    "prepare-lang": (["prepare-lang", "--manifests", ".", "--output", "out"], ".lock"),
    "export-kaldi": (["export-kaldi", "m", "--split", "dev", "--output", "out"], ".export.lock"),
    "make-graph": (["make-graph", "--lang", ".", "--output", "out"], ".lock"),
    "score-output": (["score", "--ref", "text", "--hyp", "text", "--output", "out"], ".lock"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_leaves_a_folder_alone_that_somebody_writes(stage, data, monkeypatch, capsys):
    monkeypatch.chdir(data)
    monkeypatch.setattr(manifests, "read_split", lambda *_: manifests.Split([], []))
    args, name = STAGES[stage]
    with alone(data / "out", name):
        by = short(shlex.join(sys.argv))
        assert f"error: out is being written by {by} (process {os.getpid()} on " in said(capsys, args)
        assert os.listdir(data / "out") == [name]
    if stage not in ("score-output", "export-kaldi"):  # what fails leaves nothing of its own, and the folder as it was
        (data / "out" / name).unlink(missing_ok=True)
        (data / "out").rmdir()
        said(capsys, args)
        assert not (data / "out").exists()


def test_scores_wait_for_what_is_decoded(data, capsys):
    with alone_with(data / "exp" / "decode_test"):
        assert f"{data}/exp/decode_test is being written by" in said(capsys, ["score", "--exp", data / "exp"])
    main(["score", "--exp", str(data / "exp")])
    assert os.listdir(data / "exp") == ["decode_test"]
    assert "is missing: run" in said(capsys, ["score", "--exp", data / "no" / "exp"])
    assert not (data / "no").exists()


def test_what_is_read_is_not_written_anew(data):
    with alone(data):
        pass
    with reading(data), pytest.raises(Exception, match=rf"is being read by \S+ \(process {os.getpid()}\)"), alone(data):
        pass
    with alone(data), pytest.raises(Exception, match="is being written by"), reading(data):
        pass
    with reading(data / "exp"):  # without a lock there is nobody to keep out
        pass


def test_sigterm_ends_a_stage_as_ctrl_c_does(tmp_path):
    half = tmp_path / "out" / "half"
    with pytest.raises(SystemExit) as e, alone(tmp_path / "out"):
        half.touch()
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        try:
            time.sleep(10)
        finally:
            half.unlink()
    assert e.value.code == 143 and not half.parent.exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
