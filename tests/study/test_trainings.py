"""Curves of single trainings."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from asrpar.cli import cli
from asrpar.errors import DataError, MissingInputError
from asrpar.study.style import drawing
from asrpar.study.trainings import Training, curves, history_of, load_trainings


def history(epochs=4, **more):
    return [
        {
            "epoch": float(e),
            "frames": 1000.0 * e,
            "seconds": 2.0 * e,
            "train_loss": 2.0 / e,
            "dev_loss": 2.2 / e,
            "dev_error_rate": 50.0 / e,
            "frames_per_second": 500.0,
            "lr": 0.01 / e,
            **{name: value * e for name, value in more.items()},
        }
        for e in range(1, epochs + 1)
    ]


def experiment(folder, **more):
    folder.mkdir(parents=True)
    (folder / "train.json").write_text(json.dumps({"history": history(**more)}))
    return folder


def plot(*options):
    result = CliRunner().invoke(cli, ["plot", *map(str, options)])
    if result.exception:
        raise result.exception
    return result


def digests(folder, name="curves"):
    return [hashlib.sha256((folder / f"{name}.{kind}").read_bytes()).hexdigest() for kind in ("png", "svg")]


def test_png_and_svg_of_one_training_the_same_each_time(tmp_path, monkeypatch):
    monkeypatch.delitem(os.environ, "DISPLAY", raising=False)
    exp = experiment(tmp_path / "exp", staleness=0.5)
    plot(exp)
    first = digests(exp)
    assert (exp / "curves.png").read_bytes()[:4] == b"\x89PNG"
    svg = (exp / "curves.svg").read_text()
    for title in ("loss (nats a frame)", "errors on dev", "learning rate", "frames per second", "staleness"):
        assert title in svg
    assert "consensus" not in svg
    plot(exp)
    assert digests(exp) == first


def test_several_trainings_against_frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = experiment(tmp_path / "a" / "exp"), experiment(tmp_path / "b" / "exp", epochs=3, consensus_distance=0.1)
    plot(one, two, "--against", "frames", "--output", tmp_path / "new" / "x.png")
    svg = (tmp_path / "new" / "x.svg").read_text()
    assert "frames seen by all learners" in svg and "consensus distance" in svg
    assert svg.count(str(one)) and svg.count(str(two))  # two folders of one name
    plot(one, two)
    assert Path("curves.png").exists()


def test_what_is_drawn():
    drawn = history()
    drawn[2]["back_to"] = 2.0
    drawn[3]["frames_per_second"] = float("nan")
    with drawing():
        figure = curves([Training("x", drawn)], "seconds")
    panels = {ax.get_title(): ax for ax in figure.axes if ax.get_visible()}
    assert len(panels) == 4
    dev, rings, train = panels["loss (nats a frame): dev, and training dotted"].get_lines()
    assert dev.get_xydata().tolist() == [[2.0, 2.2], [4.0, 1.1], [6.0, pytest.approx(2.2 / 3)], [8.0, 0.55]]
    assert rings.get_xdata().tolist() == [6.0]
    assert train.get_linestyle() == ":"
    assert len(panels["frames per second"].get_lines()[0].get_xdata()) == 3


def test_a_training_that_still_runs_has_its_newest_checkpoint(tmp_path):
    for epoch in (2, 10):
        folder = tmp_path / "exp" / "checkpoints" / f"epoch-{epoch:04d}-step-00000099"
        folder.mkdir(parents=True)
        torch.save({"position": {"history": history(epoch)}}, folder / "rank-0.pt")
    (tmp_path / "exp" / "checkpoints" / "epoch-0011-step-00000100.tmp").mkdir()
    assert len(history_of(tmp_path / "exp")) == 10


def test_what_cannot_be_drawn(tmp_path):
    with pytest.raises(MissingInputError, match="there is no experiment"):
        load_trainings([tmp_path / "nowhere"])
    with pytest.raises(MissingInputError, match=r"has no epoch that has ended: train first"):
        load_trainings([tmp_path])
    (tmp_path / "train.json").write_text('{"history": [1]}')
    with pytest.raises(DataError, match="holds no history of a training"):
        plot(tmp_path)
