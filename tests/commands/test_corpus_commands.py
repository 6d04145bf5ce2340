"""Stages 0 and 1 on the command line: download, prepare-manifests, import-kaldi, export-kaldi."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrpar.cli import main
from asrpar.corpus.kaldi.ark import write_matrices


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A tiny AN4 with 101 training utterances, so that one is left beside the dev set."""
    root = tmp_path / "an4"
    (root / "etc").mkdir(parents=True)
    for name, size in (("train", 101), ("test", 2)):
        stems = [f"an{n}-fash-b" for n in range(size)] if name == "train" else ["an1-mtst-b", "an2-mtst-b"]
        speaker = "fash" if name == "train" else "mtst"
        (root / "etc" / f"an4_{name}.fileids").write_text("".join(f"clstk/{speaker}/{s}\n" for s in stems))
        (root / "etc" / f"an4_{name}.transcription").write_text("".join(f"<s> GO </s> ({s})\n" for s in stems))
        (root / "wav" / "clstk" / speaker).mkdir(parents=True)
        for stem in stems:
            soundfile.write(str(root / "wav" / "clstk" / speaker / f"{stem}.wav"), np.ones(1600) * 0.1, 16000)
    return root


def fails(capsys: pytest.CaptureFixture, *args: object, code: int = 1) -> str:
    """The one line that a failing command prints."""
    with pytest.raises(SystemExit) as e:
        main([str(a) for a in args])
    err = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("INFO", "WARNING"))]
    assert e.value.code == code and len(err) == 1 and err[0].startswith("asrpar: error: "), err
    return err[0]


def test_download_checks_the_copy_there_is(corpus: Path, capsys: pytest.CaptureFixture) -> None:
    main(["download", "--corpus", "an4", "--corpus-dir", str(corpus)])
    assert capsys.readouterr().out == f"{corpus}\n"
    assert "no folder etc/ in it" in fails(capsys, "download", "--corpus", "an4", "--corpus-dir", corpus.parent)
    assert "no such folder" in fails(capsys, "download", "--corpus", "an4", "--corpus-dir", corpus / "gone")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["download"], "Missing option '--corpus'"),
        (["download", "--corpus", "an4"], "name the folder with --output, or the copy you have with --corpus-dir"),
        (
            ["download", "--corpus", "an5"],
            "corpus 'an5' is unknown; did you mean 'an4'?",
        ),
        (["download", "--corpus", "an4", "--part", "x", "--output", "o"], "an4 has no part 'x'; known: all"),
        (["download", "--corpus", "mini", "--output", "o"], "mini is not downloaded: asrpar synthesize makes it"),
        (["prepare-manifests", "an4", "--corpus-dir", "gone", "--output", "m"], "stage 0 (asrpar download) makes it"),
        (["prepare-manifests", "mini", "--corpus-dir", "gone", "--output", "m"], "stage 0 (asrpar synthesize)"),
        (["prepare-manifests", "cmudict", "--corpus-dir", ".", "--output", "m"], "cmudict has no audio"),
        (["import-kaldi", "gone", "--output", "m", "--split", "train"], "no Kaldi data folder gone"),
        (["import-kaldi", "gone", "--output", "m", "--split", "../x"], "split '../x': use letters"),
        (["export-kaldi", "gone", "--output", "m", "--split", "dev"], "run stage 1"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, args: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in fails(capsys, *args, code=2 if "Missing" in message else 1)
    assert list(tmp_path.iterdir()) == []


def test_an4_to_manifests_to_kaldi_and_back(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    first, kaldi, second = tmp_path / "manifests", tmp_path / "data" / "dev", tmp_path / "again"
    for _ in range(2):  # each command can be run again
        main(["prepare-manifests", "an4", "--corpus-dir", str(corpus), "--output", str(first)])
        main(["export-kaldi", str(first), "--split", "dev", "--output", str(kaldi)])
        main(["import-kaldi", str(kaldi), "--split", "dev", "--output", str(second)])
    assert "dev: 100 utterances" in capsys.readouterr().err
    assert sorted(p.name for p in kaldi.iterdir()) == ["spk2utt", "text", "utt2lang", "utt2spk", "wav.scp"]
    for kind in ("recordings", "supervisions", "cuts"):
        name = f"{kind}_dev.jsonl.gz"
        assert (first / name).read_bytes() == (second / name).read_bytes()
    with gzip.open(first / "cuts_train.jsonl.gz", "rt") as file:
        (cut,) = [json.loads(line) for line in file]
    assert cut["id"] == "fash-an99-fash-b" and cut["supervisions"][0]["text"] == "GO"

    write_matrices(
        kaldi / "feats.ark", [(line.split()[0], np.ones((8, 3), np.float32)) for line in (kaldi / "text").open()]
    )
    main(["import-kaldi", str(kaldi), "--split", "dev", "--output", str(second)])
    assert (second / "feats_dev.scp").read_bytes() == (kaldi / "feats.scp").read_bytes()
    assert "stage 2" in fails(
        capsys, "export-kaldi", first, "--split", "dev", "--output", kaldi, "--features", second / "x"
    )


def test_pipes_need_permission(tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture) -> None:
    data = tmp_path / "data"
    data.mkdir()
    wav = corpus / "wav" / "clstk" / "mtst" / "an1-mtst-b.wav"
    for name, line in (("wav.scp", f"a cat {wav} |"), ("text", "a GO"), ("utt2spk", "a a"), ("spk2utt", "a a")):
        (data / name).write_text(line + "\n")
    command = ["import-kaldi", str(data), "--split", "test", "--output", str(tmp_path / "m")]
    assert "give --allow-pipes" in fails(capsys, *command)
    assert not (tmp_path / "m").exists()
    main([*command, "--allow-pipes"])
    assert (tmp_path / "m" / "audio" / "test" / "a.wav").is_file()
    assert (tmp_path / "m" / "cuts_test.jsonl.gz").is_file()


@pytest.mark.corpora
def test_from_the_shell(corpora: Path, asrpar_cli, tmp_path: Path) -> None:
    where = asrpar_cli("download", "--corpus", "yesno", "--corpus-dir", corpora / "yesno").stdout.strip()
    done = asrpar_cli("prepare-manifests", "yesno", "--corpus-dir", where, "--output", "manifests")
    assert "test: 30 utterances" in done.stderr and done.stdout == ""
    assert len(list((tmp_path / "manifests").glob("[!.]*"))) == 9
