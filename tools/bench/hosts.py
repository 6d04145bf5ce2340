"""Step times over several hosts, measured, against what the virtual cluster says of the same description.

Hosts are network namespaces of this machine (namespaces.py) with one learner each, and one MPI job over TCP. A learner
computes nothing: a gradient is a time in which it sleeps, so that hosts do not fight for the cores of the machine; what
it sends has its full size. The virtual cluster is told that time, the rate of the links (of which TCP's and Ethernet's
headers take their part), and a latency that is measured before.

All hosts share the cores of this machine, so that a rank to which a piece of a sum has come may have to wait for one
before it can send it on. `delay` is that: seconds in each step in which a rank could have run and had no core, the
mean over the ranks, as the kernel counts them.

    python tools/bench/hosts.py --rates 20,50,100 --steps 12 --output hosts.json
"""

import argparse
import json
import os
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from namespaces import PAYLOAD, Hosts, missing, set_rate

from asrpar.info import versions
from asrpar.launch.job import build_command
from asrpar.launch.run import run
from asrpar.launch.spec import LaunchSpec
from asrpar.parallel.comm import Comm
from asrpar.parallel.strategies import STRATEGIES, make_strategy
from asrpar.parallel.virtual.cluster import Cluster, Compute, ComputeTime, Link, Links
from asrpar.parallel.virtual.timed import TimedLearner
from asrpar.parallel.virtual.timing import simulate_timing

LEARNERS = 4
FRAMES = 1000.0
SETTINGS: dict[str, dict[str, Any]] = {"bmuf": {"sync_steps": 4}, "hadpsgd": {"super_learner_size": 2}}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="20,50,100", help="Mbit/s of each host's link, both ways: %(default)s")
    parser.add_argument("--strategies", default="ssgd,bmuf,adpsgd,hadpsgd", help="%(default)s")
    parser.add_argument("--steps", type=int, default=12, help="of each learner (%(default)s)")
    parser.add_argument("--parameters", type=int, default=250_000, help="of the model, 4 bytes each (%(default)s)")
    parser.add_argument("--compute", type=float, default=0.1, help="seconds of a gradient (%(default)s)")
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("--as-rank", nargs="+", help=argparse.SUPPRESS)  # the switch and the hosts
    return parser.parse_args()


class Sleeper:
    """The clock of a `TimedLearner` that real time passes for."""

    def __init__(self, comm: Comm) -> None:
        self.sleep = comm.sleep

    def mark(self, what: str) -> None:
        """Nobody compares."""


def settings_of(strategy: str) -> Any:
    """Of the comparison."""
    return STRATEGIES.settings(strategy, {strategy: SETTINGS.get(strategy, {})})


def delay() -> float:
    """Seconds in which this process has waited for a core so far; 0 where the kernel does not say."""
    file = Path("/proc/self/schedstat")
    return int(file.read_text().split()[1]) / 1e9 if file.exists() else 0.0


def measured(comm: Comm, strategy: str, args: argparse.Namespace) -> tuple[float, float]:
    """Seconds of a step, and of them those without a core; the means over the learners. Collective."""
    compute = ComputeTime(description(0.0, 1e9, args).compute, comm.rank, 0)
    learner = TimedLearner(Sleeper(comm), compute, args.parameters)
    algorithm = make_strategy(strategy, settings_of(strategy), learner, comm)
    algorithm.start()
    algorithm.step(FRAMES)  # connections are made
    comm.barrier()
    begin, before = comm.clock(), delay()
    for _ in range(args.steps):
        algorithm.step(FRAMES)
    took = ((comm.clock() - begin) / args.steps, (delay() - before) / args.steps)
    while algorithm.lockstep and algorithm.step(None):
        pass
    algorithm.finish()
    algorithm.close()
    seconds, waited = zip(*comm.allgather_object(took), strict=True)
    return statistics.mean(seconds), statistics.mean(waited)


def latency(comm: Comm) -> float:
    """Seconds of a message of nothing, the median over some there and back. Collective."""
    times = []
    for _ in range(20):
        begin = comm.clock()
        if comm.rank == 0:
            comm.send(1, 1)
            comm.receive(source=1)
        elif comm.rank == 1:
            comm.receive(source=0)
            comm.send(0, 1)
        times.append((comm.clock() - begin) / 2)
    return comm.broadcast_object(statistics.median(times))


def description(seconds: float, bits: float, args: argparse.Namespace) -> Cluster:
    """The hosts, as the virtual cluster is told of them; ``seconds`` of latency."""
    between = Link(seconds, bits / 8 * PAYLOAD, shared=True)
    compute = Compute(table=[[FRAMES, args.compute]])
    return Cluster("network namespaces", nodes=LEARNERS, compute=compute, links=Links(between, between))


def predicted(strategy: str, cluster: Cluster, args: argparse.Namespace) -> float:
    """Virtual seconds of a step."""
    found = simulate_timing(
        cluster,
        strategy,
        settings_of(strategy),
        learners=LEARNERS,
        batch_frames=FRAMES,
        parameters=args.parameters,
        steps=args.steps,
    )
    return LEARNERS * FRAMES / found["frames_per_second"]


def as_rank(args: argparse.Namespace) -> None:
    """On each host."""
    from asrpar.parallel.comm import world

    torch.set_num_threads(1)
    comm = world()
    switch, *names = args.as_rank
    nodes = comm.allgather_object((comm.node(), os.uname().nodename))
    results = []
    for rate in map(float, args.rates.split(",")):
        if comm.rank == 0:
            set_rate(switch, names, rate * 1e6)
        comm.barrier()
        cluster = description(latency(comm), rate * 1e6, args)
        for strategy in args.strategies.split(","):
            seconds, waited = measured(comm, strategy, args)
            if comm.rank == 0:
                expected = predicted(strategy, cluster, args)
                row = {"mbit": rate, "strategy": strategy, "measured": seconds, "predicted": expected}
                row["delay"] = waited
                results.append(row | {"ratio": seconds / expected, "latency": cluster.links.between.latency})
                told = f"{seconds:8.4f} s {expected:8.4f} s {seconds / expected:6.3f} {waited:8.4f} s"
                print(f"{rate:6.0f} Mbit/s {strategy:<16} {told}")
                sys.stdout.flush()
            comm.barrier()
    if comm.rank == 0 and args.output:
        about = {name: getattr(args, name) for name in ("steps", "parameters", "compute")}
        about |= {"nodes": nodes, "versions": versions(), "results": results}
        args.output.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    args = parse()
    if args.as_rank:
        as_rank(args)
        return 0
    if why := missing():
        print(f"hosts.py: {why}", file=sys.stderr)
        return 1
    with Hosts(LEARNERS) as hosts:
        os.environ.update(hosts.environment())
        here = [str(Path(__file__).resolve()), *sys.argv[1:], "--as-rank", hosts.switch, *hosts.names]
        spec = LaunchSpec(LEARNERS, launcher="openmpi", hosts=tuple(f"{name}:1" for name in hosts.names), threads=1)
        job = build_command(spec, here[1:], program=here[:1])
        print("  rate       strategy         measured  predicted  ratio    delay", flush=True)
        failure = run(replace(job, argv=(*hosts.inside(0), *job.argv)))
    if failure is None:
        return 0
    print(f"hosts.py: {failure.reason}: {failure.mistake or ' / '.join(failure.lines)}", file=sys.stderr)
    return failure.code


if __name__ == "__main__":
    sys.exit(main())
