"""Batches that fill a learner's memory: what is counted, what is found, and what a training makes of it."""

from dataclasses import replace

import pytest
import torch

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.feats.batches import collate
from asrpar.feats.config import AUTO, BatchConfig
from asrpar.feats.plan import BatchPlan, padded
from asrpar.feats.store import FeatureStore
from asrpar.nn.losses.frame_ce import Loss, Settings
from asrpar.nn.objective import FrameLabels, Sources
from asrpar.parallel.comm import LocalComm
from asrpar.train.allocations import Allocations
from asrpar.train.build import Parts, make_learner
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train
from asrpar.train.filling import MIB, decide_batch_size, fitting, made_up, step_memory

TINY = ["models.tdnn.channels=16", "models.tdnn.dilations=[1]", "models.tdnn.conv_maps=4"]


def test_allocations_are_those_of_living_tensors():
    x = torch.zeros(1000, requires_grad=True)
    with Allocations() as seen:
        y = x * 2  # 4,000 bytes, which backward does not need
        z = (y + 1).exp()  # 4,000 twice, of which the first goes
        assert seen.now == 8000 and seen.peak == 12000
        z.sum().backward()
        del y, z
    assert seen.now == 4000 and x.grad is not None


def config(mini, *sets):
    given = [f"data.feats={mini / 'feats'}", f"data.lang={mini / 'lang'}", "device=cpu", "autocast=none", *TINY]
    return load_config(TrainConfig, None, [*given, "batch.size=auto", "batch.augment.probability=0.0", *sets])


def largest(found, parts, mini):
    """MiB that the largest batch of the longest utterances takes."""
    store = FeatureStore(mini / "feats", "train")
    learner = make_learner(found, parts.objective, store.num_features, LocalComm(), torch.device("cpu"))
    index = max(range(len(store.lengths)), key=store.lengths.__getitem__)
    count = found.batch.max_frames_per_learner // padded(store.lengths[index])
    batch = collate(store, count * [index], count, 0, 0, parts.objective)
    learner.apply(learner.compute(batch))
    return step_memory(learner, batch) / MIB


def test_utterances_fill_the_memory_that_they_may_take(mini, tmp_path):
    made = config(mini, f"exp={tmp_path}", "batch.memory_mb=40")
    parts = Parts(made)
    decide_batch_size(made, LocalComm(), parts)
    assert made.batch.size == made.batch.max_frames_per_learner > 1000
    assert 0.75 * 40 < largest(made, parts, mini) <= 40


@pytest.mark.parametrize(("unit", "pieces", "counted"), [("windows", "windows", 1), ("frames", "windows", 21)])
def test_windows_fill_it(mini, unit, pieces, counted):
    made = config(
        mini,
        "batch.memory_mb=20",
        "input.deltas=1",
        f"batch.unit={unit}",
        f"batch.pieces={pieces}",
        "batch.context=[5,4]",
    )
    parts = Parts(made)
    parts.__dict__["objective"] = Loss(Settings(), Sources(labels=FrameLabels(50, {}), subsampling=3))
    size, shown = fitting(made, 0, parts)
    windows = size // counted
    assert shown == windows * 30 and size == windows * counted
    learner = make_learner(made, parts.objective, 40, LocalComm(), torch.device("cpu"))
    batch = made_up(torch.zeros(windows, 30, 40), windows * [torch.zeros(10, dtype=torch.long).numpy()])
    learner.apply(learner.compute(batch))
    assert 0.9 * 20 < step_memory(learner, batch) / MIB <= 20


def test_frames_fill_it(mini):
    made = config(mini, "batch.memory_mb=10", "batch.pieces=frames", "model=dnn", "models.dnn.width=16")
    parts = Parts(made)
    parts.__dict__["objective"] = Loss(Settings(), Sources(labels=FrameLabels(50, {})))
    size, shown = fitting(made, 0, parts)
    assert size == shown > 2000


def test_a_training_finds_its_size_once(mini, tmp_path):
    made = config(mini, f"exp={tmp_path}", "batch.memory_mb=40", "epochs=1")
    train(replace(made, batch=replace(made.batch)), LocalComm())
    kept = load_config(TrainConfig, tmp_path / "config.yaml").batch
    assert isinstance(kept.size, int) and kept.size == kept.max_frames_per_learner > 1000
    again = replace(made, batch=replace(made.batch, memory_mb=30))
    train(again, LocalComm())  # finished: nothing to do, and no other size
    assert again.batch.size == kept.size


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([], "on CPUs larger batches are not quicker ones.*batch.memory_mb"),
        (
            ["batch.memory_mb=1", "models.tdnn.conv_maps=64"],
            r"a step of one piece of \d+ frames takes \d+ MiB beside the model, and there are 1",
        ),
        (["batch.memory_mb=9", "batch.unit=utterances"], "counts frames: set batch.unit=frames"),
        (["batch.size=large"], r"batch\.size is large: it must be a number, or auto"),
    ],
)
def test_what_cannot_be_filled(mini, sets, message):
    with pytest.raises(ConfigError, match=message):
        decide_batch_size(made := config(mini, *sets), LocalComm(), Parts(made))


def test_who_does_not_find_it_says_so():
    with pytest.raises(ConfigError, match=r"batch\.size is auto, which asrpar train alone finds"):
        BatchPlan([100, 200], BatchConfig(size=AUTO), 0, 1, 0)
