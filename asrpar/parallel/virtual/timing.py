"""Timing only: how long a training takes on a cluster, without computing any gradient.

The strategies are those of every other transport, and so are their messages. Only the learner is another one: its
gradient lets virtual time pass, and its short vectors stand for the real ones, as long on the links as those.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import torch

from asrpar.errors import ConfigError
from asrpar.parallel.comm import Comm, Invitation
from asrpar.parallel.look import Look
from asrpar.parallel.strategies import STRATEGIES, Strategy, make_strategy
from asrpar.parallel.trace import Count
from asrpar.parallel.virtual.clock import Scheduler
from asrpar.parallel.virtual.cluster import Cluster, ComputeTime
from asrpar.parallel.virtual.comm import VirtualComm, virtual_learners, virtual_newcomer
from asrpar.parallel.virtual.failures import Failures
from asrpar.parallel.virtual.frail import FrailLearner, check_frail
from asrpar.parallel.virtual.group import Shared
from asrpar.parallel.virtual.network import Network
from asrpar.parallel.virtual.race import Pace, Race
from asrpar.parallel.virtual.timed import PIECES, Tally, TimedLearner

# Of a learner's vectors.
ELEMENTS = 512
# A shard of a server must be longer than what a virtual transport takes for a counter.
SHARD = 8


def simulate_timing(
    cluster: Cluster,
    strategy: str,
    settings: Any = None,
    *,
    learners: int,
    batch_frames: float,
    parameters: float,
    steps: int = 200,
    frames: float = 0.0,
    bytes_per_parameter: float = 4.0,
    reference_batch_frames: float = 0.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Run a strategy on a cluster, and time it.

    Learners that go at their own pace take the next batch when they are done with one, until all together have done
    ``steps`` for each; so a slow learner does less. With `batch.deal=equal`, where each is given an equal share of the
    data, `seconds_equal_shares` is the time.

    Args:
        cluster: its description.
        strategy: a name of `asrpar.parallel.strategies.STRATEGIES`.
        settings: of the strategy: an instance of its `Settings`, a mapping, or None for the defaults.
        learners: ranks, dedicated servers included.
        batch_frames: of one learner's step.
        parameters: of the model.
        steps: of each learner to simulate; rounded up to whole blocks.
        frames: of the whole training; 0 for those of the simulated steps.
        bytes_per_parameter: as it travels.
        reference_batch_frames: of the single learner to compare with; 0 for ``batch_frames``.
        seed: of jitter and of whoever is slow now and then.

    Returns:
        what was asked for, and of the whole training ``frames``, ``seconds`` and ``hours`` (virtual),
        ``frames_per_second`` of all, ``speedup`` and ``efficiency`` against one learner of this cluster,
        ``seconds_equal_shares``, ``bytes_per_step`` (sent by one learner, mean), ``bytes_sent`` (by all),
        ``exposed_share`` (of the learners' time, spent neither computing nor hidden behind it), where learners die
        ``failures`` (``losses``, ``returns``, ``present_share`` of the learners' time, and ``goodput``: frames in a
        second over those without failures), ``staleness`` (mean,
        max, histogram; None where the strategy counts none), ``trace_checksum`` (of every
        gradient's and message's moment), ``wall_seconds``.

    Raises:
        ConfigError: settings that do not fit, or a cluster that is too small.
    """
    wall = time.perf_counter()
    _check_positive(learners=learners, batch_frames=batch_frames, parameters=parameters, steps=steps)
    cluster.check_size(learners)
    if settings is None or isinstance(settings, Mapping):
        settings = STRATEGIES.settings(strategy, {strategy: dict(settings or {})})
    workers = STRATEGIES.load(strategy).workers(settings, learners)
    steps = _whole_blocks(settings, steps)
    elements = _elements(settings, learners)
    scale = parameters / elements * bytes_per_parameter / torch.get_default_dtype().itemsize
    if getattr(settings, "bucket_mb", 0):
        settings = dataclasses.replace(settings, bucket_mb=settings.bucket_mb / scale)

    shared = Shared(Scheduler(), Network(cluster), scale)
    race = Race(shared.scheduler, workers * steps)
    comms = virtual_learners(shared, learners)
    times = [ComputeTime(cluster.compute, rank, seed) for rank in range(learners)]
    paces = [Pace() for _ in comms]
    for comm in comms:
        comm.trace = Tally()

    def run(comm: VirtualComm) -> None:
        rank = comm.seat
        pace, comm.trace = paces[rank], comms[rank].trace
        learner = TimedLearner(comm, times[rank], elements)
        algorithm = make_strategy(strategy, settings, learner, comm)
        if cluster.failures:
            FrailLearner(algorithm, comm, learner, learners, batch_frames, race, pace).run()
            return
        algorithm.start()
        begin, sent = comm.clock(), comm.trace.sent
        race.begin = min(race.begin, begin)
        pace.steps = _drive(algorithm, comm, race, batch_frames if rank < workers else 0.0, steps)
        pace.seconds, pace.busy = comm.clock() - begin, learner.busy
        pace.sent = comm.trace.sent - sent
        race.over(learners)

    def begin(comm: VirtualComm) -> None:
        shared.scheduler.begin(lambda: run(comm), comm.seat, "learner")

    if cluster.failures:
        check_frail(strategy, STRATEGIES.load(strategy), learners, workers, comms[0].recalls)
        shared.crew.start = lambda seat, brief: begin(virtual_newcomer(shared, Invitation(seat, brief)))
        race.begin = 0.0
    with torch.inference_mode():
        for comm in comms:
            begin(comm)
        shared.scheduler.run()
    if cluster.failures:
        for pace, comm in zip(paces, comms, strict=True):
            pace.seconds, pace.sent = race.end, comm.trace.sent
    found = _summary(race, paces[:workers], [c.trace for c in comms], batch_frames, frames)
    single = _alone(cluster, reference_batch_frames or batch_frames, steps, seed)
    asked = {"virtual": True, "cluster": cluster.name, "strategy": strategy, "learners": learners}
    asked |= {"batch_frames": batch_frames, "parameters": parameters, "steps": steps, "seed": seed}
    found["speedup"] = found["frames_per_second"] / single
    found["efficiency"] = found["speedup"] / learners
    if cluster.failures:
        undisturbed = simulate_timing(
            dataclasses.replace(cluster, failures=Failures()), strategy, settings, learners=learners,
            batch_frames=batch_frames, parameters=parameters, steps=steps, seed=seed,
            bytes_per_parameter=bytes_per_parameter,
        )  # fmt: skip
        goodput = found["frames_per_second"] / undisturbed["frames_per_second"]
        found["failures"] = shared.crew.summary() | {"goodput": goodput}
    return asked | found | {"wall_seconds": time.perf_counter() - wall}


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"{name} is {value}: it must be above 0")


def _whole_blocks(settings: Any, steps: int) -> int:
    """``steps``, rounded up to whole blocks, and those until the last block's sum has arrived."""
    steps += -steps % max(1, getattr(settings, "sync_steps", 1))
    return steps + getattr(settings, "overlap_steps", 0)


def _elements(settings: Any, learners: int) -> int:
    """Length of the vectors that stand for the real ones; each learner may hold a shard of them."""
    elements = max(ELEMENTS, SHARD * learners if hasattr(settings, "server") else 0)
    return elements + -elements % PIECES


def _drive(algorithm: Strategy, comm: Comm, race: Race, frames: float, steps: int) -> int:
    """Go through one learner's batches, as the trainer does; how many there were."""
    if algorithm.lockstep:
        look = Look(comm, algorithm.apart)
        for _ in range(steps):
            algorithm.step(frames)
            look.step(False)
            race.stepped()
        return steps
    if not frames:
        algorithm.step(frames)  # a server begins to serve
        return 0
    steps_done = 0
    while True:
        algorithm.step(frames)
        steps_done += 1
        if algorithm.should_sync(race.stepped()):
            return steps_done


def _alone(cluster: Cluster, frames: float, steps: int, seed: int) -> float:
    """Frames per second of one learner that never waits, and that is no straggler."""
    compute = ComputeTime(dataclasses.replace(cluster.compute, stragglers=[]), 0, seed)
    steps = max(steps, 1000)
    return frames * steps / sum(compute.seconds(frames) for _ in range(steps))


def _summary(race: Race, paces: list[Pace], tallies: list[Tally], batch: float, frames: float) -> dict[str, Any]:
    """What all learners did together."""
    seconds, steps_done = race.end - race.begin, sum(p.steps for p in paces)
    rate, frames = race.quota * batch / seconds, frames or race.quota * batch
    counts = [t.counts["staleness"] for t in tallies if "staleness" in t.counts]
    return {
        "frames": frames,
        "seconds": frames / rate,
        "hours": frames / rate / 3600,
        "frames_per_second": rate,
        "seconds_equal_shares": _equal_shares(paces) * frames / batch / len(paces),
        "bytes_per_step": sum(p.sent for p in paces) / steps_done,
        "bytes_sent": sum(p.sent for p in paces) / steps_done * frames / batch,
        "exposed_share": max(0.0, sum(1 - p.busy / p.seconds for p in paces) / len(paces)),
        "staleness": _staleness(counts) if counts else None,
        "trace_checksum": race.scheduler.checksum,
    }


def _equal_shares(paces: list[Pace]) -> float:
    """Seconds of a step of the slowest learner; without end if one has died before it had taken any."""
    return max(p.seconds / p.steps if p.steps else float("inf") for p in paces)


def _staleness(counts: list[Count]) -> dict[str, Any]:
    histogram: dict[int, int] = {}
    for count in counts:
        for at, number in count.histogram.items():
            histogram[at] = histogram.get(at, 0) + number
    return {
        "mean": sum(c.total for c in counts) / sum(c.number for c in counts),
        "max": max(c.greatest for c in counts),
        "histogram": dict(sorted(histogram.items())),
    }
