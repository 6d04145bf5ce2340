"""Checkpoints: complete or absent, newest kept, refused when they do not fit."""

import pytest
import torch

from asrpar.errors import TrainingError
from asrpar.parallel.comm import LocalComm
from asrpar.train.checkpoint import Checkpoints

CPU = torch.device("cpu")


def state(step, steps=7, done=()):
    position = {"epoch": 1, "step": step, "steps": steps, "done": list(done)}
    return lambda: {"position": position, "x": torch.full((3,), float(step))}


def test_newest_is_loaded_and_old_ones_go(tmp_path):
    c = Checkpoints(tmp_path, LocalComm(), keep=2)
    assert c.load(CPU, False) is None
    for step in (9, 10, 100):
        c.save(1, step, state(step))
    assert [p.name for p in c.complete()] == ["epoch-0001-step-00000010", "epoch-0001-step-00000100"]
    assert torch.equal(c.load(CPU, False)["x"], torch.full((3,), 100.0))


def test_a_half_written_checkpoint_does_not_count(tmp_path):
    c = Checkpoints(tmp_path, LocalComm(), keep=2)
    c.save(0, 1, state(1))
    half = tmp_path / "epoch-0000-step-00000002.tmp"
    half.mkdir()
    (half / "rank-0.pt").write_bytes(b"half")
    assert c.load(CPU, False)["position"]["step"] == 1
    c.save(0, 2, state(2))
    assert not half.exists()
    assert c.load(CPU, False)["position"]["step"] == 2


def test_other_number_of_learners_is_refused_or_taken_at_an_epochs_end(tmp_path):
    Checkpoints(tmp_path, LocalComm(), keep=2).save(1, 5, state(0))
    two = LocalComm()
    two.size = 2
    with pytest.raises(TrainingError, match=r"saved by 1 learners, now there are 2.*--allow-learner-change"):
        Checkpoints(tmp_path, two, keep=2).load(CPU, False)
    assert Checkpoints(tmp_path, two, keep=2).load(CPU, True)["learners"] == 1
    Checkpoints(tmp_path, LocalComm(), keep=2).save(1, 6, state(3))
    with pytest.raises(TrainingError, match="within an epoch"):
        Checkpoints(tmp_path, two, keep=2).load(CPU, True)
    # Shares that were dealt on demand: no whole step of all learners is done, but some shares are.
    Checkpoints(tmp_path, LocalComm(), keep=2).save(1, 7, state(0, done=[0, 7]))
    with pytest.raises(TrainingError, match="within an epoch"):
        Checkpoints(tmp_path, two, keep=2).load(CPU, True)


def test_a_damaged_file_is_named(tmp_path):
    c = Checkpoints(tmp_path, LocalComm(), keep=2)
    path = c.save(0, 1, state(1)) / "rank-0.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        TrainingError, match=r"rank-0\.pt is cut short or damaged: remove its folder to resume from an older one"
    ):
        c.load(CPU, False)


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    c = Checkpoints(tmp_path, LocalComm(), keep=1)
    c.save(0, 1, state(1))
    real = torch.save

    def save_to_full_disk(value, file):
        with open("/dev/full", "wb") as full:  # gives the real error of a full disk
            real(value, full)

    monkeypatch.setattr(torch, "save", save_to_full_disk)
    with pytest.raises(TrainingError, match="cannot write checkpoint"):
        c.save(0, 2, state(2))
    assert [p.name for p in tmp_path.iterdir()] == ["epoch-0000-step-00000001"]


def test_the_same_place_is_not_written_twice(tmp_path):
    c = Checkpoints(tmp_path, LocalComm(), keep=2)
    first = (c.save(1, 7, state(1)) / "rank-0.pt").stat().st_mtime_ns
    assert (c.save(1, 7, state(2)) / "rank-0.pt").stat().st_mtime_ns == first
    # An epoch's end comes after its last step, and newer is what has more whole epochs.
    c.save(2, 7, state(3))
    assert c.load(CPU, False)["position"]["step"] == 3


@pytest.mark.parametrize("further", [{"steps": 8}, {"done": [9]}])
def test_a_rank_that_got_further_is_saved_though_rank_0_has_not_moved(tmp_path, further):
    c = Checkpoints(tmp_path, LocalComm(), keep=2)
    c.save(1, 7, state(1))
    for number in (2, 3, 4):
        # Another process each time, as after a stop.
        c = Checkpoints(tmp_path, LocalComm(), keep=2)
        c.load(CPU, False)
        further = {key: value + (1 if key == "steps" else [number]) for key, value in further.items()}
        c.save(1, 7, state(number, **further))
        assert c.load(CPU, False)["position"]["step"] == number
    assert [p.name for p in c.complete()] == [f"epoch-0001-step-00000007-{n}" for n in (2, 3)]


def test_newest_is_who_has_the_larger_numbers_not_the_longer_names(tmp_path):
    c = Checkpoints(tmp_path, LocalComm(), keep=2)
    for epoch in (9999, 10000, 10001):
        c.save(epoch, 5, state(epoch))
        assert c.load(CPU, False)["position"]["step"] == epoch
    assert [p.name[:11] for p in c.complete()] == ["epoch-10000", "epoch-10001"]


def test_a_checkpoint_with_a_file_too_many_is_refused(tmp_path):
    c = Checkpoints(tmp_path, LocalComm(), keep=2)
    folder = c.save(1, 7, state(0))
    (folder / "rank-1.pt").write_bytes(b"")
    with pytest.raises(TrainingError, match="2 of 1 files are there"):
        Checkpoints(tmp_path, LocalComm(), keep=2).load(CPU, True)
