"""Run under mpirun: sums through shared memory against MPI's own and exact ones. Exits 1 on the first failure."""

import logging
import os
import sys

import torch
from mpi4py import MPI

from asrpar.parallel.comm import shared as module
from asrpar.parallel.comm.mpi import MpiComm
from asrpar.parallel.comm.shared import SMALLEST, SharedMemory
from asrpar.parallel.comm.waiting import poll, poll_eagerly

module._CHUNK = 1 << 14  # so that these vectors have several
world = MPI.COMM_WORLD
RANK, N = world.Get_rank(), world.Get_size()
# 20,000 is a little above the smallest size; the others do not divide into shares, chunks or cache lines.
SIZES = (1, 1000, 20_000, 65_537, 33, 100_003, 65_537)
TYPES = (torch.float32, torch.float64, torch.int64, torch.uint8)


def check(condition: bool, what: str) -> None:
    if not condition:
        print(f"rank {RANK}: {what}", flush=True)
        sys.exit(1)


def random(numel: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(1000 * seed + RANK)
    return torch.randint(0, 50, (numel,), generator=g).to(dtype) + (
        torch.rand(numel, generator=g).to(dtype) if dtype.is_floating_point else 0
    )


def same_everywhere(x: torch.Tensor) -> bool:
    return len({bytes(b) for b in world.allgather(x.numpy().tobytes())}) == 1


def check_sum(add_up, x: torch.Tensor, what: str) -> torch.Tensor:
    """``add_up`` works in place; the sum is the sum in the order of ranks (nodes of any size: up to rounding)."""
    vectors = [torch.from_numpy(v) for v in world.allgather(x.numpy().copy())]
    expected = vectors[0].clone()
    for v in vectors[1:]:
        expected += v
    add_up(x)
    check(same_everywhere(x), f"{what}: ranks hold different sums")
    error = (x.double() - expected.double()).abs().max().item()
    tolerance = 0 if not x.dtype.is_floating_point else torch.finfo(x.dtype).eps * 2 * 51 * N
    check(error <= tolerance, f"{what}: error {error}")
    return expected


def sums(comm: MpiComm) -> None:
    for background in (False, True):

        def add_up(x: torch.Tensor, background: bool = background) -> None:
            if background:
                comm.allreduce_begin(x).wait()
            else:
                comm.allreduce(x)

        for turn, dtype in enumerate(TYPES * 2):
            for numel in SIZES:
                what = f"{numel} x {dtype}, background {background}"
                x = random(numel, dtype, turn)
                expected = check_sum(add_up, x, what)
                if switched_on and x.nbytes >= SMALLEST and N > 1:
                    check(torch.equal(x, expected), f"{what}: not added up in the order of ranks")
                # In place, whole and in pieces, which must give the same bits.
                y, z = comm.zeros(numel, x), comm.zeros(numel, x)
                check(bool((y == 0).all()) and y.dtype == dtype, f"{what}: zeros")
                y.copy_(random(numel, dtype, turn))
                z.copy_(y)
                check_sum(add_up, y, f"{what}, in place")
                for piece in z.split(numel // 2 + 1):
                    add_up(piece)
                if switched_on and x.nbytes >= 2 * SMALLEST and N > 1:
                    check(torch.equal(y, expected), f"{what}: in place, other bits than by copies")
                    check(torch.equal(y, z), f"{what}: pieces, other bits than the whole")


def nodes(groups: list[list[int]]) -> None:
    """As if the ranks sat on several nodes."""
    comm = world.Dup()
    color = next(i for i, g in enumerate(groups) if RANK in g)
    shared = SharedMemory(comm, lambda r: poll_eagerly(r.Test), [], node=comm.Split(color, RANK))
    for numel in (65_537, 20_000):
        for in_place in (False, True):
            x = random(numel, torch.float64, 3)
            if in_place:
                y = shared.zeros(numel, torch.float64)
                check((y is None) == (len(groups) == N), "zeros: memory is shared if there is one to share it with")
                x = x if y is None else y.copy_(x)
            if len(groups) == N:
                check(not shared.allreduce(x), "nodes of one share nothing")
            else:
                check_sum(shared.allreduce, x, f"nodes {groups}, {numel}, in place {in_place}")


def parts(whole: MpiComm) -> None:
    """A part of the learners adds up what was made for all where it is; and the other way round, by copies."""
    part = whole.split(RANK % 2 if N > 2 else 0)
    x = torch.zeros(50_000, dtype=torch.float64)
    ours, all_of_it = part.zeros(len(x), x), whole.zeros(len(x), x)
    for comm, vector, in_place in ((part, all_of_it, True), (part, ours, True), (whole, ours, N == 2)):
        vector.copy_(random(len(x), x.dtype, 11))
        rows = [torch.from_numpy(v) for v in comm.mpi.allgather(vector.numpy().copy())]
        comm.allreduce(vector)
        check(torch.equal(vector, sum(rows[1:], rows[0])), "the sum of a part of the learners")
        shared = comm._shared_memory()
        if switched_on and comm.size > 1:
            check((shared._find(vector) is not None) == in_place, f"in place: {in_place}")


switched_on = os.environ.get("ASRPAR_SHARED_MEMORY") != "0"
comm = MpiComm()
sums(comm)
if N > 1:
    parts(comm)
sums_in_an_activity = random(30_000, torch.float64, 9)
channel = comm.channel()
activity = comm.spawn(lambda: check_sum(channel.allreduce, sums_in_an_activity, "activity"), "sums")
poll(lambda: not activity._thread.is_alive())
activity.join()
if switched_on:
    nodes([list(range(N))])
    nodes([[r] for r in range(N)])
    if N > 2:
        nodes([[0], list(range(1, N))])
        nodes([list(range(0, N, 2)), list(range(1, N, 2))])
    if N > 1:
        # One rank finds no memory: all go on without, and say so once.
        lines: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: lines.append(record.getMessage())
        logging.getLogger("asrpar").addHandler(handler)
        kept = os.memfd_create
        if RANK == N - 1:
            del os.memfd_create
        without = MpiComm()
        for _ in range(2):
            check_sum(without.allreduce, random(50_000, torch.float64, 5), "no memory on one rank")
            check(without.zeros(50_000, torch.zeros(1)).sum().item() == 0, "zeros without shared memory")
        check(len(lines) == (RANK == 0), f"log lines {lines}")
        os.memfd_create = kept
        # One rank does not want it: no rank tries.
        os.environ["ASRPAR_SHARED_MEMORY"] = str(RANK)
        without = MpiComm()
        check_sum(without.allreduce, random(50_000, torch.float64, 6), "switched off on one rank")
        check(not without._shared[False]._on, "switched off on one rank: still on")
print(f"rank {RANK} passed", flush=True)
