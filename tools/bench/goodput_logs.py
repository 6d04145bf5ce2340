"""What the logs of a training's ranks say of its course: its beginning, epochs, learners that went and came back."""

import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) \w+ [\w.]+: (.*)")
BEGIN = re.compile(r" on (\d+) learner\(s\), (\d+) frames an epoch")
EPOCH = re.compile(r"epoch (\d+): train loss .*, dev loss ([-\w.]+)")
# "rank 1 of 4 lost; going on with 3 learner(s)"; and when some have come back.
LEARNERS = re.compile(r"going on with (\d+) learner")
# When they have; the sum of all weights must not be another one then.
MOVED = re.compile(r"the mean of all has moved by ([-+.\de]+|nan|inf) of its norm")


class Said(NamedTuple):
    """One line: when, in seconds as of `time.time`, and what."""

    when: float
    text: str


def read(folder: Path, since: float = 0.0) -> list[Said]:
    """What all ranks have said since then, in ``train.<rank>.log``; what more than one rank says comes as often."""
    found = []
    for file in folder.glob("train.*.log"):
        with suppress(OSError):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                if said := LINE.match(line):
                    second = time.mktime(time.strptime(said[1], "%Y-%m-%d %H:%M:%S"))
                    found.append(Said(second + int(said[2]) / 1000, said[3]))
    return sorted(one for one in found if one.when >= since)


def began(lines: list[Said]) -> tuple[float, int, int] | None:
    """When the training was about to begin, the frames of its epochs, and its learners."""
    return next(((x.when, int(found[2]), int(found[1])) for x in lines if (found := BEGIN.search(x.text))), None)


def dev_losses(lines: list[Said]) -> dict[int, float]:
    """By epoch."""
    return {int(found[1]): float(found[2]) for x in lines if (found := EPOCH.match(x.text))}


def learners(lines: list[Said]) -> list[tuple[float, int]]:
    """When how many were left, or there again."""
    return [(x.when, int(found[1])) for x in lines if (found := LEARNERS.search(x.text))]


def mean_moved(lines: list[Said]) -> list[float]:
    """At each time that learners came back, as each of them said, how far the mean of all weights moved."""
    return [float(found[1]) for x in lines if (found := MOVED.search(x.text))]


def seconds_until_full(kills: list[float], changes: list[tuple[float, int]], full: int) -> list[float | None]:
    """From each kill until all learners were there again; None where that was not said any more."""
    return [next((when - kill for when, n in changes if when > kill and n == full), None) for kill in kills]


def steps(folder: Path, known: dict[str, int]) -> dict[str, int]:
    """Steps of each rank as its watchdog tells them in ``beats``, and those that were ``known`` of the others."""
    found = dict(known)
    for file in (folder / "beats").glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            found[file.name] = int(json.loads(file.read_text(encoding="utf-8"))["step"])
    return found
