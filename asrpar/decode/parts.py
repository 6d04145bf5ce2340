"""Parts of stage 7, which jobs decode on their own, and the results that they make together.

A part has each N-th batch of a set, so that the model sees the very batches of a decoding at once. Its results lie in
``EXP/.decode_<set>.parts/K-of-N`` until they are put together.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from asrpar.decode.output import write_lines
from asrpar.decode.storing import LATTICES
from asrpar.decode.telling import Tally
from asrpar.errors import ConfigError, DataError
from asrpar.files.json_files import read_json_if_any, write_json
from asrpar.files.replacing import replacing_folder
from asrpar.files.text import text_lines

# What all parts must have in common, as far as they tell it.
ALIKE = (
    "set", "engine", "graph_sha256", "model_sha256", "prior_scale", "cuts_sha256", "lm_scale", "beam", "word_penalty",
    "blank_penalty", "search_settings",
)  # fmt: skip
WORDS, REFERENCES, TIMES = "hyp.trn", "ref.trn", "times.ctm"


@dataclass(frozen=True)
class Part:
    """One part of a set, from 1; or, with number 0, all of them, which are to be put together.

    Raises:
        ConfigError: no such part.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.number <= self.of or self.of < 1:
            raise ConfigError(f"--part {self.number} --parts {self.of}: expected a part from 1 to {self.of}")

    def folder(self, results: Path, number: int = 0) -> Path:
        """Where the results of this part, or of another one, lie until they are put together."""
        return parts_folder(results) / f"{number or self.number}-of-{self.of}"


def parts_folder(results: Path) -> Path:
    """Where the parts of a set's results are."""
    return results.with_name(f".{results.name}.parts")


def facts_of_part(tally: Tally, sizes: Sequence[int] | None) -> dict[str, Any]:
    """What a part's ``decode.json`` tells besides: how its utterances went, and the bytes of each lattice."""
    return {"tally": asdict(tally), "lattice_bytes": None if sizes is None else list(sizes)}


def read_parts(results: Path, parts: int, facts: Mapping[str, Any]) -> tuple[list[Path], list[dict[str, Any]]]:
    """The folders of all parts, and what they tell.

    Args:
        results: folder of the set's results.
        parts: how many there are.
        facts: that all must have, of `ALIKE`.

    Raises:
        DataError: names a part that is missing, or was decoded with something else.
    """
    folders, told = [], []
    for number in range(1, parts + 1):
        folder = Part(number, parts).folder(results)
        what, again = f"part {number} of {parts} of {results.name}", f"run it again (--part {number} --parts {parts})"
        found = read_json_if_any(folder / "decode.json")
        if not found:
            raise DataError(f"{what} is missing ({folder}): {again}")
        for key in ALIKE:
            if key in facts and found.get(key) != facts[key]:
                raise DataError(f"{what} was decoded with another {key} ({found.get(key)}, not {facts[key]}): {again}")
        folders.append(folder)
        told.append(found)
    return folders, told


def total(told: Sequence[Mapping[str, Any]]) -> Tally:
    """Of all parts."""
    return sum((Tally(**found["tally"]) for found in told), start=Tally())


def write_together(
    results: Path, folders: Sequence[Path], told: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]
) -> None:
    """Make the results of a set of those of its parts, which then go; all or nothing.

    Raises:
        DataError: an utterance is in two parts, or a part is damaged.
    """
    with replacing_folder(results) as fresh:
        for name in (WORDS, REFERENCES):
            lines = sorted((_utterance(line), line) for folder in folders for line in _lines(folder / name))
            twice = next((a[0] for a, b in pairwise(lines) if a[0] == b[0]), None)
            if twice is not None:
                raise DataError(f"utterance {twice} is in two parts of {results.name}: decode all parts again")
            write_lines(fresh / name, (line for _, line in lines))
        # Words of an utterance stay in their order.
        times = [line for folder in folders for line in _lines(folder / TIMES)]
        write_lines(fresh / TIMES, sorted(times, key=lambda line: line.split(" ", 1)[0]))
        if all(found["lattice_bytes"] is not None for found in told):
            with (fresh / LATTICES).open("wb") as file:
                for _, folder, begin, size in sorted(_lattices(folders, told)):
                    with (folder / LATTICES).open("rb") as part:
                        part.seek(begin)
                        file.write(part.read(size))
        write_json(fresh / "decode.json", dict(facts))
    shutil.rmtree(parts_folder(results), ignore_errors=True)


def _lattices(folders: Sequence[Path], told: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Path, int, int]]:
    """Utterance, folder, and place and size in its file, of each lattice."""
    for folder, found in zip(folders, told, strict=True):
        names, sizes, begin = map(_utterance, _lines(folder / WORDS)), found["lattice_bytes"], 0
        for name, size in zip(names, sizes, strict=True):
            yield name, folder, begin, size
            begin += size


def _lines(path: Path) -> Iterator[str]:
    return (f"{line}\n" for _, line in text_lines(path, "decode the part again"))


def _utterance(line: str) -> str:
    """The id at the end of a line of a trn; ids have no spaces."""
    return line.rsplit(" ", 1)[-1].strip()[1:-1]
