"""Where `asrpar launch` looks for the log of a rank that failed."""

from pathlib import Path

import pytest

from asrpar.commands.launch import log_dir_of


def test_the_log_folder_is_that_of_the_experiment(tmp_path):
    (tmp_path / "a.yaml").write_text("exp: from/a\nseed: 1\n")
    (tmp_path / "b.yaml").write_text("seed: 2\n")
    (tmp_path / "c.yaml").write_text("exp: from/c_${seed}\n")
    a, b, c = (str(tmp_path / f"{name}.yaml") for name in "abc")
    assert log_dir_of(("train", "--config", a, f"--config={b}")) == Path("from/a/log")
    assert log_dir_of(("train", "--config", a, "--config", c, "--set", "seed=3")) == Path("from/c_3/log")
    assert log_dir_of(("train", "--set", "exp=x", "--config", a)) == Path("x/log")
    assert log_dir_of(("train", "--set", "exp=x", "--set=exp=a b")) == Path("a b/log")
    assert log_dir_of(("train", "--set=exp=x", "--set", "exp=y", "--set", "data.feats=z")) == Path("y/log")


@pytest.mark.parametrize("text", ["[1, 2]", "3", "a: [", "exp: ''", "seed: 3", "exp: ${nowhere}", "\xff\xfe"])
def test_no_experiment_named_no_log_folder(tmp_path, text):
    (tmp_path / "a.yaml").write_bytes(text.encode("latin-1"))
    assert log_dir_of(("train", "--config", str(tmp_path / "a.yaml"))) is None
    assert log_dir_of(("train", "--config", str(tmp_path / "missing.yaml"))) is None
    assert log_dir_of(("train", "--set", "nonsense")) is None
    assert log_dir_of(("train", "--set")) is None
    assert log_dir_of(("info", "--json")) is None
