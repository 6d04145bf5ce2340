"""Programs and functions that run on virtual learners."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import greenlet

import asrpar.parallel.comm
from asrpar.parallel.virtual.clock import Scheduler
from asrpar.parallel.virtual.cluster import Cluster
from asrpar.parallel.virtual.comm import VirtualComm, virtual_learners
from asrpar.parallel.virtual.group import Shared
from asrpar.parallel.virtual.network import Network


def on_virtual(
    size: int, run: Callable[[VirtualComm], None], cluster: Cluster | None = None, shared_memory: bool = False
) -> Scheduler:
    """Call ``run(comm)`` for each of ``size`` learners; the clock afterwards."""
    scheduler = Scheduler()
    for comm in virtual_learners(
        Shared(scheduler, Network(cluster or Cluster(nodes=size)), shared_memory=shared_memory), size
    ):
        scheduler.begin(lambda comm=comm: run(comm), comm.rank, "learner")
    scheduler.run()
    return scheduler


def run_program(size: int, program: Path, *arguments: object, cluster: Cluster | None = None) -> None:
    """Run a program that mpirun would start ``size`` times; it gets its learner from `asrpar.parallel.comm.world`."""
    comms: list[VirtualComm] = [None] * size

    def run(comm: VirtualComm) -> None:
        comms[comm.rank] = comm
        # It asks for its learner when it is imported: each learner imports it anew.
        sys.modules.pop("ranks", None)
        runpy.run_path(str(program), run_name="__main__")

    with (
        patch.object(asrpar.parallel.comm, "world", lambda: comms[greenlet.getcurrent().rank]),
        patch.object(sys, "argv", [str(program), *map(str, arguments)]),
    ):
        try:
            on_virtual(size, run, cluster)
        finally:
            sys.modules.pop("ranks", None)
