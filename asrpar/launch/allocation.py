"""On which hosts will the ranks of a job run, how many on each, and how many cores has each of them there?

The user's list or file of hosts says it, else the scheduler's variables, else it is this machine.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asrpar.info import available_cores
from asrpar.launch import schedulers
from asrpar.launch.hosts import Host, gather, is_here

# Learners a core that are started without being asked twice.
CROWDED = 2


def in_slurm() -> bool:
    """Whether this process runs inside a Slurm allocation."""
    return "SLURM_JOB_ID" in os.environ


def scheduled() -> list[Host]:
    """The hosts of the allocation that this process runs in, or this machine with its cores."""
    scheduler = schedulers.current()
    return _gather(scheduler.hosts) if scheduler else [Host("", available_cores(), available_cores())]


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


def learners_for(hosts: Sequence[Host]) -> int:
    """As many as the hosts are there for: one for each GPU, or, where no GPUs are known, one for each slot."""
    return sum(h.gpus or 0 for h in hosts) or sum(h.slots or 0 for h in hosts)


def with_gpus(hosts: Sequence[Host], learners: int) -> list[Host]:
    """The same hosts; a slot for each GPU where that is what it takes for no GPU to have two learners."""
    gpus = [host.gpus or 0 for host in hosts]
    fits = learners <= slots_of(hosts) and all(
        n <= most for n, most in zip(ranks_of(hosts, learners), gpus, strict=True)
    )
    if fits or learners > sum(gpus):
        return list(hosts)
    return [replace(host, slots=host.gpus or 0) for host in hosts]


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
    return gather(hosts, available_cores)


def here(hosts: Sequence[Host]) -> bool:
    """Whether all ranks run on this machine."""
    return all(is_here(host.name) for host in hosts)
