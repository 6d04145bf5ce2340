"""Under torchrun: ``torchrun ... -m asrpar launch -- train ...`` starts one learner with MPI for each rank of torchrun.

torchrun's processes know nothing of each other that MPI could use. So its rank 0 becomes the launcher, for the hosts
that the others tell it of, and these stand aside: on rank 0's host they end at once, on another one of them stays until
the job has ended, so that torchrun, and the allocation around it, stay too.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from asrpar.errors import LaunchError

# What torchrun tells its ranks, and MPI's must not take for their own. MASTER_ADDR stays: it is rank 0's host, by a
# name that the others have reached it by.
VARIABLES = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME"),
    *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE", "MASTER_PORT"),
)
PATIENCE = timedelta(minutes=10)  # for all hosts to come
FOR_EVER = timedelta(days=365)


@dataclass(frozen=True)
class Place:
    """A process of torchrun: its rank of ``size``, ``local_rank`` of ``local_size`` on host ``node`` of ``nodes``."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    node: int
    nodes: int


class Store(Protocol):
    """What is needed of torchrun's store, a `torch.distributed.Store`."""

    def set(self, key: str, value: str) -> None:
        """Let all see the value."""

    def get(self, key: str) -> bytes:
        """The value."""

    def wait(self, keys: list[str], timeout: timedelta) -> None:
        """Return when there are values for all keys; `RuntimeError` after that time, and if the store is gone."""


def place() -> Place | None:
    """This process among those of torchrun; None if torchrun has not started it.

    Raises:
        LaunchError: torchrun's variables are incomplete.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or "RANK" not in os.environ:
        return None
    try:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE")
        return Place(*(int(os.environ[name]) for name in names))
    except (KeyError, ValueError) as e:
        raise LaunchError(f"torchrun has started this process, but its variables are incomplete: {e}") from e


def gather_hosts(mine: Place, store: Store) -> tuple[str, ...]:
    """``host:ranks`` of all hosts of torchrun, in order; on rank 0. Called by the first rank of each host.

    Args:
        mine: this process.
        store: torchrun's.

    Raises:
        LaunchError: they do not come.
    """
    name = socket.gethostname()
    try:
        store.set(f"asrpar/host/{mine.node}", f"{name}:{mine.local_size}")
        if mine.rank:
            return ()
        store.wait([f"asrpar/host/{i}" for i in range(mine.nodes)], PATIENCE)
        return tuple(store.get(f"asrpar/host/{i}").decode() for i in range(mine.nodes))
    except RuntimeError as e:
        raise LaunchError(f"torchrun's {mine.nodes} hosts do not find each other: {e}") from e


def tell_end(store: Store) -> None:
    """Let those that stand aside go, at the job's end; for rank 0."""
    store.set("asrpar/end", "1")


def stand_aside(mine: Place, connect: Callable[[], Store]) -> None:
    """Return when this process is no longer needed: at once, or at the job's end for the first of another host.

    Args:
        mine: this process, not rank 0.
        connect: gives torchrun's store.

    Raises:
        LaunchError: rank 0's host has gone.
    """
    if mine.node == 0 or mine.local_rank:
        return
    store = connect()
    gather_hosts(mine, store)
    try:
        store.wait(["asrpar/end"], FOR_EVER)
    except RuntimeError as e:
        raise LaunchError(f"the host of torchrun's rank 0 has gone: {e}") from e


def forget() -> None:
    """Take torchrun's variables out of the environment, for what is started from here on."""
    for name in [n for n in os.environ if n in VARIABLES or n.startswith("TORCHELASTIC_")]:
        del os.environ[name]
