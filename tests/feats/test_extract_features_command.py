import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lhotse import CutSet

from asrpar.cli import main

SMALL = ["--set", "fbank.num_filters=20"]


def test_command(manifests: Path, tmp_path: Path, asrpar_cli: Callable):
    (tmp_path / "feats.yaml").write_text("fbank: {num_filters: 20}\nspeeds: [1.0, 1.1]\n")
    done = asrpar_cli(
        *("extract-features", "--config", "feats.yaml", "--manifests", manifests, "--output", "f", "--jobs", 2)
    )
    assert "train: features of 90 utterances" in done.stderr and "%|" not in done.stderr
    assert len(CutSet.from_file(tmp_path / "f/cuts_train.jsonl.gz")) == 90
    assert not [p for p in (tmp_path / "f").rglob("*") if "tmp" in p.name]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--set", "fbank.num_filtres=20"], 1, "key 'fbank.num_filtres' is unknown; did you mean 'fbank.num_filters'?"),
        (["--set", "sped=3"], 1, "key 'sped' is unknown; did you mean 'speeds'?"),
        (["--splits", "train,eval"], 1, "cuts_eval.jsonl.gz is missing: run stage 1"),
        (["--splits", "train,train"], 2, "expected different names"),
        (["--config", "nowhere.yaml"], 1, "no configuration file nowhere.yaml"),
    ],
)
def test_mistakes_give_one_line(
    manifests: Path, tmp_path: Path, capsys: pytest.CaptureFixture, options: list[str], code: int, message: str
):
    with pytest.raises(SystemExit) as end:
        main(["extract-features", "--manifests", str(manifests), "--output", str(tmp_path / "f"), *options])
    said = capsys.readouterr().err
    assert end.value.code == code and said.count("\n") == 1 and message in said, said


def test_a_full_disk_leaves_nothing_half_done(manifests: Path, tmp_path: Path, mpi_environment: dict):
    command = [sys.executable, "-m", "asrpar", "extract-features", "--manifests", manifests, "--output", tmp_path / "f"]
    done = subprocess.run(
        [*map(str, command), *SMALL, "--jobs", "2"],
        env=mpi_environment,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000)),
    )
    assert done.returncode == 1 and "asrpar: error: " in done.stderr and "File too large" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "f").glob("cuts_*")) and not list((tmp_path / "f/storage").iterdir())
