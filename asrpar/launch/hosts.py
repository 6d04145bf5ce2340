"""Hosts by name: lists and files of them, which names mean the same host, and which of them this machine."""

import ipaddress
import platform
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Host:
    """A host of the job. What is None is not known here.

    Attributes:
        name: as it was given; empty for this machine.
        slots: ranks that belong there.
        cores: what they share.
        gpus: likewise.
    """

    name: str
    slots: int | None = None
    cores: int | None = None
    gpus: int | None = None


def is_here(name: str) -> bool:
    """Whether a short name, full name or IP address means this machine."""
    if name in ("", "localhost") or ((address := _address(name)) is not None and _is_own(address)):
        return True
    return address is None and _short(name) == _short(platform.node())


def gather(hosts: Sequence[Host], cores_here: Callable[[], int]) -> list[Host]:
    """Each host once, under its first name, with the slots of all its entries.

    ``n1`` and ``n1.cluster.org`` are one host, and an address is one with the name that leads to it. Two full names of
    different domains are two.
    """
    known = {host.name: _addresses(host.name) for host in hosts} if _mixed(hosts) else {}
    found: list[Host] = []
    for host in hosts:
        at = next((i for i, other in enumerate(found) if _same(host.name, other.name, known)), None)
        if at is None:
            cores = host.cores or (cores_here() if is_here(host.name) else None)
            found.append(replace(host, cores=cores))
        else:
            before = found[at].slots
            both = None if before is None or host.slots is None else before + host.slots
            found[at] = replace(found[at], slots=both)
    return found


# Names, of which parts may be numbers and ranges of them in brackets.
_RANGE = r"\d{1,6}(?:-\d{1,6})?"
_NAME = rf"(?:[^,\[\]\s]|\[{_RANGE}(?:,{_RANGE})*\])+"
_LIST = re.compile(rf"{_NAME}(?:,{_NAME})*")


def expand(text: str) -> list[str]:
    """The names of a list as Slurm and Flux write it: ``n[1-3,07-09]-x,login`` are seven; no such list: none."""
    if not _LIST.fullmatch(text.strip()):
        return []
    names = []
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text.strip()):
        found = [""]
        for fixed, ranges in re.findall(r"([^\[\]]+)|\[([^\]]*)\]", part):
            ends = [fixed] if fixed else [n for piece in ranges.split(",") for n in _numbers(piece)]
            found = [name + end for name in found for end in ends]
        names += found
    return names


def _numbers(piece: str) -> list[str]:
    first, _, last = piece.partition("-")
    if not last:
        return [first]
    return [f"{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]


def _mixed(hosts: Sequence[Host]) -> bool:
    """Whether there are addresses as well as names: only then names have to be looked up, which may take a while."""
    kinds = {_address(host.name) is not None for host in hosts}
    return len(kinds) == 2


def _same(a: str, b: str, known: Mapping[str, set[str]]) -> bool:
    if a == b or (is_here(a) and is_here(b)) or known.get(a, set()) & known.get(b, set()):
        return True
    if _address(a) is not None or _address(b) is not None:
        return False
    return _short(a) == _short(b) and "" in (a.partition(".")[2], b.partition(".")[2])


def _short(name: str) -> str:
    return name.partition(".")[0]


def _address(name: str) -> str | None:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return None


def _addresses(name: str) -> set[str]:
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        return set()


def _is_own(address: str) -> bool:
    """Whether this machine has the address: to another's no socket can be bound. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
