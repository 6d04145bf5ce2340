"""Measures this machine for a virtual cluster: the user's model at several batch sizes, and messages between ranks."""

import dataclasses
import itertools
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from asrpar.config import save_config
from asrpar.errors import DataError
from asrpar.feats import Batch, BatchLoader
from asrpar.files.paths import require_file
from asrpar.lang.lang import Lang
from asrpar.log import get_logger
from asrpar.nn.objective import Objective
from asrpar.parallel.comm import Comm
from asrpar.parallel.virtual.cluster import Cluster, Compute, Jitter, Link, Links
from asrpar.parallel.virtual.network import Network
from asrpar.train.build import make_learner, pick_device
from asrpar.train.config import TrainConfig, check_config
from asrpar.train.fit import check_set
from asrpar.train.learner import AcousticLearner
from asrpar.train.objective import context, make_objective, subsampling
from asrpar.train.precision import decide_autocast

log = get_logger(__name__)

FRAMES = (250, 500, 1000, 2000, 4000, 8000)
SIZES = (1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 22)
PING, PONG = 1, 2


def calibrate(config: TrainConfig, comm: Comm, path: str | Path) -> Cluster:
    """`measure_machine`, written to ``path`` by rank 0. Collective."""
    cluster = measure_machine(config, comm)
    if comm.rank == 0:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save_config(cluster, path)
        log.info("wrote %s; use it with asrpar simulate --cluster %s", path, path)
    comm.barrier()
    return cluster


def measure_machine(
    config: TrainConfig, comm: Comm, batch_frames: tuple[int, ...] = FRAMES, repeats: int = 5
) -> Cluster:
    """A cluster like this one, by measurement. Collective; all ranks compute at the same time, as in training.

    With two ranks or more messages and sums between them are measured, within a node and between nodes as far as there
    are such; alone, links are reckoned from how fast memory is copied.

    Args:
        config: model, optimizer and data of a training.
        comm: the ranks.
        batch_frames: sizes of one learner's batches; those that the training set is too small for are left out.
        repeats: batches of each size.

    Raises:
        AsrparError: settings or data that cannot be used.
    """
    config = dataclasses.replace(config, exp=config.exp or "none")
    check_config(config)
    require_file(config.data.feats, "stage 2 (asrpar extract-features)")
    require_file(config.data.lang, "stage 3 (asrpar prepare-lang)")
    if config.threads:
        torch.set_num_threads(config.threads)
    decide_autocast(config, comm)
    nodes = comm.allgather_object(comm.node())
    most = max(map(nodes.count, nodes))
    compute = measure_compute(config, comm, batch_frames, repeats)
    rate = 4 * 2**22 / _best(_mix(2**22), repeats)
    cluster = Cluster(
        name="this_machine",
        nodes=len(set(nodes)),
        devices_per_node=most if comm.size > 1 else max(1, (os.cpu_count() or 1) // torch.get_num_threads()),
        compute=compute,
        links=Links(_memory(repeats), _memory(repeats)),
        mixing_bandwidth=_round(rate),
        server_bandwidth=_round(rate),
        source=f"asrpar simulate --calibrate on {platform.node()}, {torch.get_num_threads()} threads a learner, model "
        f"{config.model}, autocast {config.autocast}; links reckoned from copies in memory",
    )
    if comm.size > 1:
        measure_links(comm, nodes, cluster, repeats)
    cluster.check_size(comm.size)
    return comm.broadcast_object(cluster)


def measure_compute(config: TrainConfig, comm: Comm, batch_frames: tuple[int, ...], repeats: int) -> Compute:
    """Time of gradient and local update: for each size the median over batches, and the mean over the ranks."""
    lang = Lang.load(config.data.lang)
    objective = make_objective(config, lang)
    rows: list[list[float]] = []
    spread: list[float] = []
    learner = None
    for size in sorted(batch_frames):
        loader = loader_of(config, comm, objective, size)
        if learner is None:
            learner = make_learner(config, objective, loader.num_features, comm, pick_device(config.device, comm.rank))
            check_set(loader.store.utterances, config.data.train, objective, lang, config, comm.rank == 0)
        # Of the first batches of an epoch the first one warms up; the last one of a small set may be short.
        batches = [b for b in itertools.islice(loader.epoch(0), repeats + 1) if b.num_frames]
        if not all(comm.allgather_object(max((b.num_frames for b in batches), default=0) >= 0.5 * size)):
            break
        times = step_times(learner, comm, (batches * (repeats + 1))[: repeats + 1])[1:]
        per_frame = [seconds / frames for seconds, frames in times]
        spread.append(statistics.pstdev(map(math.log, per_frame)))
        frames = statistics.mean(f for _, f in times)
        found = comm.allgather_object((frames, statistics.median(per_frame) * frames))
        frames, seconds = (statistics.mean(column) for column in zip(*found, strict=True))
        if not rows or frames > rows[-1][0]:
            # More frames never take less time: what was measured so was disturbed.
            rows.append([round(frames), _round(max(seconds, rows[-1][1] if rows else 0.0))])
        log.info("a batch of %.0f frames takes %.4f s: %.0f frames/s", frames, seconds, frames / seconds)
    if not rows:
        raise DataError(f"the set '{config.data.train}' has no batch of about {min(batch_frames)} frames")
    fraction = statistics.median(comm.broadcast_object(spread))
    return Compute(table=rows, jitter=Jitter("lognormal", _round(fraction, 2)))


def loader_of(config: TrainConfig, comm: Comm, objective: Objective, size: int) -> BatchLoader:
    """This rank's batches of the training set, each of about ``size`` frames."""
    return BatchLoader(
        Path(config.data.feats),
        config.data.train,
        dataclasses.replace(config.batch, unit="frames", per="learner", size=size, num_buckets=1),
        config.seed,
        num_learners=comm.size,
        rank=comm.rank,
        objective=objective,
        stride=subsampling(config),
        context=context(config) if config.batch.pieces == "frames" else None,
        inputs=config.input,
    )


def step_times(learner: AcousticLearner, comm: Comm, batches: list[Batch]) -> list[tuple[float, float]]:
    """Seconds of gradient and local update, and the frames, of each batch; the ranks begin together. Collective."""
    times = []
    for batch in batches:
        comm.barrier()
        begin = time.perf_counter()
        frames = learner.gradient(batch)
        learner.apply(frames)
        if learner.device.type == "cuda":
            torch.cuda.synchronize(learner.device)
        times.append((time.perf_counter() - begin, frames))
    return times


def measure_links(comm: Comm, nodes: list[int], cluster: Cluster, repeats: int) -> None:
    """Latency and bandwidth of messages, and how collectives compare with them; into ``cluster``. Collective."""
    told = []
    for name, inside in (("inside", True), ("between", False)):
        pairs = [(a, b) for a, b in itertools.combinations(range(comm.size), 2) if (nodes[a] == nodes[b]) == inside]
        if not pairs:
            continue
        points = [(size, message_seconds(comm, *pairs[0], size, repeats)) for size in SIZES]
        latency, per_byte = fit_line(points)
        setattr(cluster.links, name, Link(_round(latency), _round(1 / per_byte), shared=not inside))
        told.append(f"{name} by messages between ranks {pairs[0][0]} and {pairs[0][1]}")
    if cluster.nodes == 1:
        cluster.links.between = dataclasses.replace(cluster.links.inside, shared=True)
    points = []
    for size in SIZES:
        x = comm.zeros(size // 4, torch.zeros(1))
        points.append((size, comm.broadcast_object(_best(lambda x=x: comm.allreduce(x), 5 * repeats, comm))))
    latency, per_byte = fit_line(points)
    network, ranks, largest = Network(cluster), range(comm.size), max(SIZES)
    links_alone = (network.allreduce(ranks, largest) - network.allreduce(ranks, 0)) / largest
    cluster.collective_efficiency = _round(links_alone / per_byte)
    told.append(f"sums over {comm.size} ranks take {latency * 1e6:.0f} us and {per_byte * 1e9:.3g} s/GB")
    cluster.source = cluster.source.split("; links")[0] + "; links " + ", ".join(told)
    log.info("%s", cluster.source)


def message_seconds(comm: Comm, a: int, b: int, nbytes: int, repeats: int) -> float:
    """Seconds of a message of so many bytes from rank ``a`` to ``b``: half of the fastest way there and back."""
    x = torch.zeros(nbytes // 4)

    def there_and_back() -> None:
        if comm.rank == a:
            comm.send(b, PING, payload=x)
            comm.receive(x, source=b)
        elif comm.rank == b:
            comm.receive(x, source=a)
            comm.send(a, PONG, payload=x)

    return comm.broadcast_object(_best(there_and_back, 3 * repeats, comm), root=a) / 2


def fit_line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """(intercept, slope), neither of them negative, of y = a + b x with the least sum of *relative* squares.

    Small messages tell the latency, which absolute squares would drown in the noise of the large ones.
    """
    weights = [1 / y**2 for _, y in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    xy = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points, strict=True))
    slope = xy / sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    x, y = max(points)
    if not 0 < slope <= y / x:
        slope = y / x
    return max(0.0, mean_y - slope * mean_x), slope


def _mix(numel: int) -> Callable[[], None]:
    """What ADPSGD does with a model that arrives: x_i += (s_j − s_i) / 2."""
    own, other, pending = torch.zeros(numel), torch.zeros(numel), torch.zeros(numel)

    def mix() -> None:
        pending.add_(own.sub_(other).mul_(-0.5))

    return mix


def _memory(repeats: int) -> Link:
    """Between learners of one machine a message is copied in and out of memory that both see."""
    x = torch.zeros(2**22)
    y = torch.empty_like(x)
    return Link(latency=1e-5, bandwidth=_round(x.nbytes / _best(lambda: y.copy_(x), repeats) / 2), shared=True)


def _best(run: Callable[[], object], repeats: int, comm: Comm | None = None) -> float:
    """Seconds of the fastest of several times, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        if comm is not None:
            comm.barrier()
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def _round(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")
