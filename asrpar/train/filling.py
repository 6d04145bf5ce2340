"""`batch.size: auto`: batches as large as the memory of a learner takes, found by a few steps of two sizes.

What a step takes beside weights, gradients and the optimizer's state grows in proportion to the number of utterances or
pieces of one length, whatever the model; how it grows with their length (attention: as its square) is tried at a few.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.feats import Batch
from asrpar.feats.batches import collate
from asrpar.feats.config import AUTO, BatchConfig
from asrpar.feats.plan import padded
from asrpar.feats.store import FeatureStore
from asrpar.log import get_logger
from asrpar.nn.frontend import output_frames
from asrpar.parallel.comm import Comm, LocalComm
from asrpar.parallel.strategies import STRATEGIES
from asrpar.train.allocations import Allocations
from asrpar.train.build import Parts, make_learner, pick_device
from asrpar.train.config import TrainConfig
from asrpar.train.learner import AcousticLearner
from asrpar.train.objective import context, subsampling

log = get_logger(__name__)

# Of what is free on a GPU; torch's allocator loses some in pieces between others.
SHARE = 0.85
# Lengths of utterances that are tried, as fractions of the corpus sorted by length.
QUANTILES = (0.1, 0.5, 1.0)
MIB = 2**20


@dataclass
class Probe:
    """Batches of one kind.

    Attributes:
        make: the batch of n utterances or pieces.
        frames: that each of them adds, with padding and what is shown around it.
        counted: of these, those that `batch.size` counts.
        few: n to begin with.
    """

    make: Callable[[int], Batch]
    frames: int
    counted: int
    few: int


def decide_batch_size(config: TrainConfig, comm: Comm, parts: Parts) -> None:
    """Put what fits every learner in the place of ``batch.size: auto``. Collective.

    A training that has begun goes on as it began.

    Raises:
        ConfigError: there is no limit, or it is below what the smallest batch takes.
    """
    batch = config.batch
    if batch.size != AUTO:
        return
    before = comm.broadcast_object(recorded(Path(config.exp)) if comm.rank == 0 else None)
    if before is not None:
        batch.size, batch.max_frames_per_learner = before
        log.info("batch.size: auto is %d, with which the training began", batch.size)
        return
    counted, shown = map(min, zip(*comm.allgather_object(fitting(config, comm.rank, parts)), strict=True))
    learners = STRATEGIES.load(config.strategy).workers(STRATEGIES.of(config), comm.size)
    batch.size = counted * (learners if batch.per == "global" else 1)
    batch.max_frames_per_learner = min(batch.max_frames_per_learner or shown, shown)
    log.info("batch.size: auto is %d %s, at most %d a learner with padding", batch.size, batch.unit, shown)


def recorded(exp: Path) -> tuple[int, int] | None:
    """Size and bound with which the training in ``exp`` began; None if there is none that can be read."""
    try:
        found = load_config(TrainConfig, exp / "config.yaml").batch
    except (ConfigError, OSError):
        return None
    return None if found.size == AUTO else (found.size, found.max_frames_per_learner)


def fitting(config: TrainConfig, rank: int, parts: Parts) -> tuple[int, int]:
    """What fits this learner: what `batch.size` counts, and frames with padding.

    Learners of one node measure at the same time, each on its GPU; where they share one, set ``batch.memory_mb``.
    """
    device = pick_device(config.device, rank)
    store = FeatureStore(config.data.feats, config.data.train, inputs=config.input)
    learner = make_learner(config, parts.objective, store.num_features, LocalComm(), device)
    found = [most(learner, probe, config.batch) for probe in probes(config, store, parts)]
    return min(counted for counted, _ in found), min(shown for _, shown in found)


def probes(config: TrainConfig, store: FeatureStore, parts: Parts) -> Iterator[Probe]:
    """What is tried, for each kind of pieces."""
    batch, objective = config.batch, parts.objective
    if batch.pieces == "utterances":
        if batch.unit != "frames":
            raise ConfigError("batch.size is auto, which counts frames: set batch.unit=frames")
        order = np.argsort(store.lengths, kind="stable")
        for index in {int(order[round(q * (len(order) - 1))]) for q in QUANTILES}:
            frames, views = store.lengths[index], objective.views
            # Without augmentation all views are equal, and so are as many utterances.
            make = lambda n, i=index, f=frames, v=views: collate(store, v * n * [i], n * f, 0, 0, objective)  # noqa: E731
            yield Probe(make, padded(frames), padded(frames), max(1, 500 // frames))
        return
    stride, width = subsampling(config), store.num_features
    if batch.pieces == "windows":
        shown = batch.window + sum(batch.context)
        labels = np.zeros(output_frames(shown, stride), np.int64)
        make = lambda n: made_up(torch.zeros(n, shown, width), n * [labels])  # noqa: E731
        yield Probe(make, shown, 1 if batch.unit == "windows" else batch.window, 16)
    else:
        width *= sum(context(config) or (0, 0)) + 1
        make = lambda n: made_up(torch.zeros(1, n, width), [np.zeros(n, np.int64)])  # noqa: E731
        yield Probe(make, 1, 1, 256)


def made_up(features: torch.Tensor, targets: list[np.ndarray]) -> Batch:
    """A batch of whole rows."""
    count, frames = features.shape[:2]
    total = count * frames
    return Batch(features, torch.full((count,), frames), targets, list(map(str, range(count))), total, total, 0, 0)


def most(learner: AcousticLearner, probe: Probe, config: BatchConfig) -> tuple[int, int]:
    """How much of one kind fits: what `batch.size` counts, and frames with padding."""
    few, more = probe.few, 3 * probe.few
    # The first step makes the optimizer's state, and what libraries keep.
    learner.apply(learner.compute(probe.make(few)))
    limit = free(learner.device, config)
    small, large = (step_memory(learner, probe.make(n)) for n in (few, more))
    each = max(1.0, (large - small) / (more - few))
    count = int((limit - (small - few * each)) / each)
    if count < 1:
        raise ConfigError(
            f"batch.size is auto, but a step of one piece of {probe.frames} frames takes "
            f"{(small - (few - 1) * each) / MIB:.0f} MiB beside the model, and there are {limit / MIB:.0f}: raise "
            "batch.memory_mb, or leave out the longest utterances"
        )
    return count * probe.counted, count * probe.frames


def free(device: torch.device, config: BatchConfig) -> float:
    """Bytes that a step may take beside the model.

    Raises:
        ConfigError: nobody has said, and it is no GPU that knows.
    """
    if config.memory_mb:
        return config.memory_mb * MIB
    if device.type != "cuda":
        raise ConfigError(
            "batch.size is auto, and on CPUs larger batches are not quicker ones: say what a step may take beside the "
            "model, such as --set batch.memory_mb=2000, or give a size"
        )
    unused, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return SHARE * (unused + kept)


def step_memory(learner: AcousticLearner, batch: Batch) -> float:
    """Bytes that a gradient takes at most beside the model; features included."""
    size = batch.features.nbytes
    if learner.device.type == "cuda":
        torch.cuda.synchronize(learner.device)
        torch.cuda.reset_peak_memory_stats(learner.device)
        before = torch.cuda.memory_allocated(learner.device)
        learner.compute(batch)
        return torch.cuda.max_memory_allocated(learner.device) - before
    with Allocations() as seen:
        learner.compute(batch)
    return seen.peak + size
