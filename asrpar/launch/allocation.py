"""On which hosts will the ranks of a job run, how many on each, and how many cores has each of them there?

The user's list or file of hosts says it, else the scheduler's variables, else it is this machine.
"""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asrpar.info import available_cores

# Learners a core that are started without being asked twice.
CROWDED = 2


@dataclass(frozen=True)
class Host:
    """A host of the job; ``slots`` are the ranks that belong there, ``cores`` what they share. None: not known here."""

    name: str
    slots: int | None = None
    cores: int | None = None


def in_slurm() -> bool:
    """Whether this process runs inside a Slurm allocation."""
    return "SLURM_JOB_ID" in os.environ


def scheduled() -> list[Host]:
    """The hosts of the allocation (Slurm's, LSF's, PBS's) that this process runs in, or this machine with its cores."""
    env = os.environ
    if in_slurm() and (tasks := _expand(env.get("SLURM_TASKS_PER_NODE", ""))):
        each = cpus_of_a_task()
        cpus: list[int | None] = [None if each is None else n * each for n in tasks]
        if len(known := _expand(env.get("SLURM_JOB_CPUS_PER_NODE", ""))) == len(tasks):
            cpus = list(known)
        # Of several nodes the names do not matter; where salloc was called there may be none of them.
        names = [f"node {i}" for i in range(len(tasks))] if len(tasks) > 1 else [env.get("SLURMD_NODENAME", "node 0")]
        return [Host(*host) for host in zip(names, tasks, cpus, strict=True)]
    words = env.get("LSB_MCPU_HOSTS", "").split()
    if words and len(words) % 2 == 0 and all(n.isdigit() for n in words[1::2]):
        return _gather([Host(name, int(n)) for name, n in zip(words[::2], words[1::2], strict=True)])
    if env.get("LSB_DJOB_NUMPROC", "").isdigit() and int(env["LSB_DJOB_NUMPROC"]):
        return [Host("hosts of LSF", int(env["LSB_DJOB_NUMPROC"]))]
    if Path(env.get("PBS_NODEFILE", "")).is_file() and (names := Path(env["PBS_NODEFILE"]).read_text().split()):
        return _gather([Host(name, 1) for name in names])
    return [Host("", available_cores(), available_cores())]


def cpus_of_a_task() -> int | None:
    """The cores that Slurm gives to each task of the allocation, if it says so."""
    each = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(each) if each.isdigit() else None


def listed(names: Sequence[str]) -> list[Host]:
    """The hosts of ``--hosts``, each ``name`` or ``name:slots``; a name may come again."""
    some = any(":" in word for word in names)
    hosts = []
    for word in names:
        name, _, slots = word.partition(":")
        hosts.append(Host(name, int(slots) if slots.isdigit() else 1 if some else None))
    return _gather(hosts)


def in_file(path: str | Path) -> list[Host]:
    """The hosts of a file for mpirun: ``name slots=4`` (Open MPI), ``name:4`` (MPICH), or a name for each rank."""
    hosts: list[Host] = []
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    lines = [words for line in text.splitlines() if (words := line.partition("#")[0].split())]
    names = [words[0] for words in lines]
    for name, *settings in lines:
        found = re.search(r"(?<![-\w])slots\s*=\s*(\d+)", " ".join(settings))
        host, colon, count = name.partition(":")
        if found or (colon and count.isdigit()):
            hosts.append(Host(host, int(found[1] if found else count)))
        else:  # once: as many as it has cores; several times: a slot each
            hosts.append(Host(name, 1 if names.count(name) > 1 else None))
    return _gather(hosts)


def ranks_of(hosts: Sequence[Host], learners: int) -> list[int]:
    """How many of so many ranks each host gets: it is filled before the next; what fits nowhere is spread evenly."""
    even = -(-learners // len(hosts))
    ranks, left = [], learners
    for host in hosts:
        ranks.append(min(even if host.slots is None else host.slots, left))
        left -= ranks[-1]
    return [n + -(-left // len(hosts)) for n in ranks] if left else ranks


def threads_of(hosts: Sequence[Host], learners: int) -> int:
    """OpenMP threads for each rank, so that the fullest host has one for each core; at least 1.

    Of another host than this one nothing is known: it is taken to be like this one.
    """
    ranks = ranks_of(hosts, learners)
    cores = [host.cores or available_cores() for host in hosts]
    return max(1, min((c // n for c, n in zip(cores, ranks, strict=True) if n), default=1))


def most(hosts: Sequence[Host]) -> int | None:
    """Learners beyond which ``--oversubscribe`` is wanted, `CROWDED` a core; None if the cores are not known."""
    if any(h.slots is None and h.cores is None for h in hosts):
        return None
    return CROWDED * sum(max(h.slots or 0, h.cores or 0) for h in hosts)


def slots_of(hosts: Sequence[Host]) -> int:
    """Ranks that fit without oversubscription, where all hosts are known."""
    return sum(h.slots or h.cores or 0 for h in hosts)


def _gather(hosts: Sequence[Host]) -> list[Host]:
    """Each host once, with the slots of all its entries."""
    slots: dict[str, int | None] = {}
    for host in hosts:
        before = slots.get(host.name, 0)
        slots[host.name] = None if before is None or host.slots is None else before + host.slots
    return [Host(name, n, available_cores() if _is_here(name) else None) for name, n in slots.items()]


def here(hosts: Sequence[Host]) -> bool:
    """Whether all ranks run on this machine."""
    return all(_is_here(host.name) for host in hosts)


def _is_here(name: str) -> bool:
    return name in ("", "localhost", "127.0.0.1") or name.partition(".")[0] == platform.node().partition(".")[0]


def _expand(text: str) -> list[int]:
    """Slurm's ``2(x3),1``: three nodes with two and one with one."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(n) for n, times in found for _ in range(int(times or 1))]
