"""What learning in virtual time costs: a simulated training against the bare gradients of the same batches.

Both load the same batches and compute the same gradients, in this process and in alternation; the simulation adds the
clock, the messages, the strategy's arithmetic and the local optimizer of each learner. The ratio is the median over the
repeats. Dev sets are left out of both.

    python tools/bench/simulate.py --feats FEATS --lang LANG --config egs/an4/s5/conf/train.yaml --learners 16
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import torch

from asrpar.config import load_config
from asrpar.feats import Batch
from asrpar.info import versions
from asrpar.parallel.strategies import STRATEGIES, make_strategy
from asrpar.parallel.virtual.clock import Scheduler
from asrpar.parallel.virtual.cluster import Cluster, Compute, Jitter
from asrpar.parallel.virtual.comm import VirtualComm, virtual_learners
from asrpar.parallel.virtual.group import Shared
from asrpar.parallel.virtual.network import Network
from asrpar.simulate.parts import VirtualParts
from asrpar.train.config import TrainConfig


def simulated(config: TrainConfig, learners: int, steps: int) -> float:
    """Wall seconds of so many steps of each learner."""
    cluster = Cluster(nodes=learners, compute=Compute(frames_per_second=1e4, jitter=Jitter("lognormal", 0.2)))
    scheduler, parts = Scheduler(), VirtualParts(config, cluster)
    settings = STRATEGIES.of(config)
    begin = None

    def run(comm: VirtualComm) -> None:
        nonlocal begin
        torch.manual_seed(config.seed + comm.rank)
        loader = parts.loader(learners, comm.rank)
        learner = parts.learner(parts.lang(), loader.num_features, comm)
        strategy = make_strategy(config.strategy, settings, learner, comm)
        strategy.start()
        comm.barrier()
        begin = begin or time.perf_counter()
        for _, batch in zip(range(steps), loader.epoch(0), strict=False):
            strategy.step(batch)
        while strategy.lockstep and strategy.step(None):
            pass
        strategy.finish()
        strategy.close()

    for comm in virtual_learners(Shared(scheduler, Network(cluster)), learners):
        scheduler.begin(lambda comm=comm: run(comm), comm.rank, "learner")
    scheduler.run()
    return time.perf_counter() - begin


def bare(config: TrainConfig, learners: int, steps: int) -> tuple[float, int]:
    """Wall seconds of the same gradients one after the other, and how many there are."""
    parts = VirtualParts(config, Cluster(compute=Compute(frames_per_second=1e4)))
    loaders = [parts.loader(learners, rank) for rank in range(learners)]
    comm = virtual_learners(Shared(Scheduler(), Network(parts.cluster)), 1)[0]
    learner = parts.learner(parts.lang(), loaders[0].num_features, comm)
    batches: list[list[Batch]] = [loader.epoch(0) for loader in loaders]
    begin, number = time.perf_counter(), 0
    for _ in range(steps):
        for share in batches:
            batch = next(share, None)
            if batch is not None and batch.ids:
                learner.compute(batch)
                number += 1
    return time.perf_counter() - begin, number


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feats", required=True)
    parser.add_argument("--lang", required=True)
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--strategy", action="append", default=[])
    parser.add_argument("--learners", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = {"learners": args.learners, "steps": args.steps, "versions": versions(), "strategies": {}}
    for name in args.strategy or ["ssgd", "bmuf", "adpsgd", "asgd"]:
        sets = [*args.sets, f"data.feats={args.feats}", f"data.lang={args.lang}", f"strategy={name}"]
        config = load_config(TrainConfig, args.config, sets)
        ratios = []
        for repeat in range(args.repeats):
            # In turns first and second, as the first pays for warming up.
            if repeat % 2:
                seconds = simulated(config, args.learners, args.steps)
                reference, number = bare(config, args.learners, args.steps)
            else:
                reference, number = bare(config, args.learners, args.steps)
                seconds = simulated(config, args.learners, args.steps)
            ratios.append(seconds / reference)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        median = statistics.median(ratios)
        result["strategies"][name] = {"ratios": ratios, "median": median, "gradients": number, "memory_gb": memory}
        print(
            f"{name}: {median:.3f} times the bare gradients (median of {len(ratios)}, {number} gradients), "
            f"at most {memory:.2f} GB so far"
        )
    if args.output:
        args.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
