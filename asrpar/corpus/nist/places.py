"""Where the files of bought corpora lie: discs are copied and renamed freely, but the files keep their names."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from asrpar.errors import DataError


def find(corpus_dir: Path, *endings: str) -> dict[str, list[Path]]:
    """The files below a folder whose names, in lower case, end in one of ``endings``, by that name, in sorted order.

    Links to folders are followed, each folder once.
    """
    found: dict[str, list[Path]] = {}
    for path in _walk(corpus_dir):
        name = path.name.lower()
        if name.endswith(endings):
            found.setdefault(name, []).append(path)
    return {name: sorted(paths) for name, paths in sorted(found.items())}


def the_one(corpus_dir: Path, found: dict[str, list[Path]], name: str, of: str) -> Path:
    """The file called ``name`` among those that `find` found; of several with the same content the first.

    Raises:
        DataError: there is none, or there are several that differ; ``of`` says what they are of.
    """
    paths = found.get(name.lower(), [])
    if not paths:
        raise DataError(f"{corpus_dir} does not hold {of}: there is no {name} below it")
    if len(paths) > 1 and len({path.read_bytes() for path in paths}) > 1:
        raise DataError(f"{corpus_dir} holds several {name} that differ: {paths[0]} and {paths[1]}; leave one")
    return paths[0]


def nearest(paths: Collection[Path], to: Path) -> Path:
    """Of files that have one name the one whose folder shares most with ``to``'s; of equals the first."""
    return max(sorted(paths, reverse=True), key=lambda path: len(os.path.commonpath([path.parent, to.parent])))


def _walk(corpus_dir: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(corpus_dir, followlinks=True):
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders.sort()
        yield from (Path(folder, name) for name in files)
