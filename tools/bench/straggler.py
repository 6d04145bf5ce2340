"""What one slow learner costs: frames per second of each strategy beside the sum of its learners' own speeds.

One rank's gradients take FACTOR times as long as the others'. ``alone`` are the same ranks at the same time, each
without the others; the fraction of their speed that a strategy keeps is the median over the repeats of the ratios
within one repeat. Learners that wait for each other all fall to the speed of the slowest: of R ranks that is
R / FACTOR over (R − 1) + 1 / FACTOR.

Learners of a lockstep strategy take as many steps as last about SECONDS; the others each count the steps that they
themselves get done in that time. Ending a run is not counted, nor are ranks that only serve.

``--compute sleep:SECONDS`` waits for so long in each gradient, as one waits for a device, and then takes a real one of
a small model: so that ranks need no cores of their own. ``--compute real`` computes on the DNN of 6.7 million
parameters; it is honest with a core for each rank only.

    python tools/bench/straggler.py --compute sleep:0.2 --repeats 3 --output straggler.json
"""

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from models import batch_frames, make_model
from strategies import Ours, launch

from asrpar.errors import ConfigError
from asrpar.info import versions
from asrpar.parallel.comm import Comm
from asrpar.parallel.contract import Learner
from asrpar.parallel.faults import FaultsConfig, FaultyLearner
from asrpar.parallel.learner import ForwardingLearner

VARIANTS = (
    "alone", "ssgd", "model_averaging", "bmuf", "slowmo", "diloco:sync_steps=16", "easgd", "dpsgd", "sgp", "delayed",
    "asgd", "asgd:server=dedicated", "easgd_async", "adpsgd", "adpsgd:neighbours=random",
    "hadpsgd:super_learner_size=2",
)  # fmt: skip
# Frames of a batch, and width of the layers, of the small model: 0.7 million parameters.
SMALL, LARGE = "dnn32x256", "dnn256"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", default=",".join(VARIANTS), help="variants as in strategies.py (%(default)s)")
    parser.add_argument("--compute", default="sleep:0.2", help="sleep:SECONDS or real (%(default)s)")
    parser.add_argument("--model", help=f"of strategies.py; by default {SMALL} beside sleep, {LARGE} for real")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--slow", type=int, help="the slow rank (the last one that learns)")
    parser.add_argument("--factor", type=float, default=3.0, help="how much slower it is (%(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of a strategy in a repeat (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", help="JSON file")
    parser.add_argument("--as-rank", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.slow is not None and not 0 <= args.slow < args.ranks:
        parser.error(f"--slow {args.slow}: there are {args.ranks} ranks, from 0")
    if not args.factor >= 1:
        parser.error(f"--factor {args.factor}: it must be at least 1")
    try:
        args.sleep = sleep_of(args.compute)
    except ValueError:
        parser.error(f"--compute {args.compute}: sleep:SECONDS or real")
    return args


def sleep_of(compute: str) -> float:
    """Seconds to wait in a gradient."""
    kind, _, seconds = compute.partition(":")
    if kind == "real" and not seconds:
        return 0.0
    if kind == "sleep" and float(seconds) > 0:
        return float(seconds)
    raise ValueError(compute)


class Waiting(ForwardingLearner):
    """A learner whose gradients take some time in which nobody computes."""

    def __init__(self, inner: Learner, comm: Comm, seconds: float) -> None:
        super().__init__(inner)
        self.comm, self.seconds = comm, seconds

    def gradient(self, batch: Any | None) -> float:
        if batch is not None:
            self.comm.sleep(self.seconds)
        return super().gradient(batch)


class Variant:
    """A strategy with its straggler, on one rank.

    Args:
        model: of strategies.py.
        spec: as there.
        comm: of all ranks.
        args: the command line.
    """

    def __init__(self, model: Any, spec: str, comm: Comm, args: argparse.Namespace) -> None:
        def slow_down(learner: Any, own: Comm) -> Any:
            learner = Waiting(learner, own, args.sleep)
            return FaultyLearner(learner, own, FaultsConfig(), args.factor, 0, 0) if self.is_slow else learner

        self.comm, self.args = comm, args
        self.learners = args.ranks - ("server=dedicated" in spec)
        slow = self.learners - 1 if args.slow is None else args.slow
        self.is_slow = comm.rank == min(slow, self.learners - 1)
        ours = Ours(model, spec, slow_down)
        self.strategy = ours.strategy
        self.lockstep = self.strategy.lockstep and spec != "alone"
        self.block = getattr(self.strategy.settings, "sync_steps", 1)
        # What a step of the slow rank takes: known where it sleeps, else found in the warm-up.
        self.seconds = args.factor * args.sleep
        self.batches = model.batches(comm.rank)

    def warm_up(self) -> None:
        """Two steps; how long a step takes."""
        self.comm.barrier()
        begin = time.perf_counter()
        for i in range(2):
            self.step(i)
        took = (time.perf_counter() - begin) / 2
        self.strategy.finish()
        self.seconds = max(self.comm.allgather_object(max(took, self.seconds)))

    def step(self, turn: int) -> float:
        """One step; its frames."""
        if self.comm.rank >= self.learners:
            return 0.0
        batch = self.batches[turn % len(self.batches)]
        self.strategy.step(batch)
        return batch_frames(batch)

    def run(self) -> float:
        """Frames per second of this rank."""
        self.comm.barrier()
        begin, frames, turn = time.perf_counter(), 0.0, 0
        if self.lockstep:
            blocks = max(1, round(self.args.seconds / self.seconds / self.block))
            for turn in range(blocks * self.block):
                frames += self.step(turn)
        elif self.comm.rank < self.learners:
            while not self.strategy.should_sync(time.perf_counter() - begin >= self.args.seconds):
                frames += self.step(turn)
                turn += 1
        took = time.perf_counter() - begin
        if self.lockstep:
            took = max(self.comm.allgather_object(took))
        self.strategy.finish()
        self.comm.barrier()
        return frames / took


def measure(comm: Comm, args: argparse.Namespace) -> dict[str, Any]:
    """Frames per second by variant, repeat and rank."""
    model = make_model(args.model or (SMALL if args.sleep else LARGE))
    variants, missing = {}, {}
    for spec in args.strategies.split(","):
        try:
            variants[spec] = Variant(model, spec, comm, args)
        except ConfigError as e:
            missing[spec] = str(e)
    speeds: dict[str, list[list[float]]] = {spec: [] for spec in variants}
    for repeat in range(args.repeats + 1):
        turn = repeat % len(variants)
        for spec in [*variants][turn:] + [*variants][:turn]:
            if not repeat:
                variants[spec].warm_up()
                continue
            speeds[spec].append(comm.allgather_object(variants[spec].run()))
            if comm.rank == 0:
                rates = " ".join(f"{x:.0f}" for x in speeds[spec][-1])
                print(f"repeat {repeat}, {spec}: {sum(speeds[spec][-1]):.0f} frames/s ({rates})", file=sys.stderr)
    result = {spec: {"frames_per_second_by_rank": rates} for spec, rates in speeds.items()}
    for spec, rates in speeds.items():
        result[spec]["frames_per_second"] = statistics.median(map(sum, rates))
        if "alone" in speeds:
            pairs = zip(rates, speeds["alone"], strict=True)
            result[spec]["share_kept"] = statistics.median(
                sum(own) / own_speeds(base, variants[spec].learners, args) for own, base in pairs
            )
    return {
        "parameters": sum(p.numel() for p in model.module().parameters()),
        "frames_per_rank_and_step": model.frames,
        "slowest": slowest(args.ranks, args.factor),
        "strategies": result,
        "missing": missing,
    }


def own_speeds(alone: list[float], learners: int, args: argparse.Namespace) -> float:
    """Sum of the speeds of ``learners`` ranks, the slow one among them; ``alone`` are all ranks' by themselves.

    Where a rank only serves, one learner less is compared with.
    """
    if learners == len(alone):
        return sum(alone)
    slow = len(alone) - 1 if args.slow is None else args.slow
    fast = [x for rank, x in enumerate(alone) if rank != slow]
    return alone[slow] + sum(fast) * (learners - 1) / len(fast)


def slowest(ranks: int, factor: float) -> float:
    """The fraction of its learners' speed that a strategy keeps if all wait for the slow one."""
    return ranks / factor / (ranks - 1 + 1 / factor)


def show(result: dict[str, Any], args: argparse.Namespace) -> None:
    """The table."""
    print(
        f"\n{args.ranks} ranks, one {args.factor:g} times slower; {args.compute}, "
        f"{result['parameters'] / 1e6:.1f} M parameters, {result['frames_per_rank_and_step']} frames a rank and step"
    )
    print(f"all waiting for the slowest would keep {result['slowest']:.3f}")
    print(f"{'strategy':<32}{'frames/s':>10}{'of own speeds':>15}   by rank")
    for spec, found in result["strategies"].items():
        ranks = [statistics.median(rates) for rates in zip(*found["frames_per_second_by_rank"], strict=True)]
        kept = found.get("share_kept", math.nan)
        by_rank = " ".join(f"{x:.0f}" for x in ranks)
        print(f"{spec:<32}{found['frames_per_second']:>10.0f}{kept:>15.3f}   {by_rank}")
    for spec, why in result["missing"].items():
        print(f"{spec:<32}   missing: {why}")
    sys.stdout.flush()


def run(args: argparse.Namespace) -> None:
    """On each rank."""
    from asrpar.parallel.comm import world

    torch.set_num_threads(1)
    comm = world()
    result = measure(comm, args)
    if comm.rank == 0:
        show(result, args)
        if args.output:
            asked = {k: v for k, v in vars(args).items() if k not in ("as_rank", "output", "strategies", "sleep")}
            text = json.dumps({**asked, "versions": versions(), **result}, indent=2)
            Path(args.output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    arguments = parse()
    if arguments.as_rank:
        run(arguments)
    else:
        sys.exit(launch(arguments.ranks, __file__))
