"""Kaldi's lattices as text, as ``lattice-copy ark:- ark,t:-`` writes them: ``Lattice`` and ``CompactLattice``.

After a line with the utterance's id comes a line for each arc, ``SOURCE DEST LABEL WORD GRAPH,ACOUSTIC`` and for each
final state, ``STATE GRAPH,ACOUSTIC``, then an empty line. Labels are class + 1 and words are the graph's, as numbers; 0
is none. The state of the first line is the start; costs left out are 0,0. A compact arc has the word alone, and the
labels behind its costs: ``SOURCE DEST WORD GRAPH,ACOUSTIC,LABEL_LABEL``; it is read as one arc for each label, of which
the first has word and costs.
"""

import gzip
import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from asrpar.decode.lattices.lattice import Lattice
from asrpar.errors import DataError
from asrpar.files.text import read_lines


def lattice_text(lattice: Lattice, compact: bool = False) -> str:
    """A lattice in Kaldi's text form, with its id and the empty line; of a lattice of nothing only these.

    Args:
        lattice: raw.
        compact: as a ``CompactLattice``. It is not made deterministic: it has an arc where the raw lattice has one.
    """
    order = np.argsort(lattice.source, kind="stable")
    columns = (lattice.source, lattice.dest, lattice.label + 1, lattice.word, lattice.graph, lattice.acoustic)
    rows = zip(*(column[order].tolist() for column in columns), strict=True)
    if compact:
        lines = [f"{s}\t{d}\t{w}\t{g:.9g},{a:.9g},{label or ''}" for s, d, label, w, g, a in rows]
    else:
        lines = [f"{s}\t{d}\t{label}\t{w}\t{g:.9g},{a:.9g}" for s, d, label, w, g, a in rows]
    tail = "," if compact else ""
    ends = [(s, f"{s}\t{cost:.9g},0{tail}") for s, cost in enumerate(lattice.final.tolist()) if np.isfinite(cost)]
    return "\n".join([f"{lattice.utt_id} ", *lines, *(line for _, line in ends), "\n"])


def packed_text(lattice: Lattice) -> bytes:
    """The text of a raw lattice, gzipped; such pieces one after the other are one gzipped file."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=5, mtime=0) as f:
        f.write(lattice_text(lattice).encode())
    return packed.getvalue()


def read_lattices(path: str | Path) -> Iterator[Lattice]:
    """The lattices of a text file, gzipped or not, of either kind, in its order.

    Raises:
        MissingInputError: no such file. DataError: what is no lattice, with file and line.
    """
    utt_id, first, rows = "", 0, []
    for number, line in read_lines(path):
        fields = line.split()
        if not fields:
            if utt_id:
                yield _parsed(path, utt_id, first, rows)
            utt_id, rows = "", []
        elif not utt_id:
            if len(fields) != 1:
                raise DataError(f"{path}:{number}: expected the id of an utterance, found {line.strip()!r}")
            utt_id, first = fields[0], number + 1
        else:
            rows.append(fields)
    if utt_id:
        yield _parsed(path, utt_id, first, rows)


def write_lattices(path: Path, lattices: Iterable[Lattice], compact: bool = False) -> None:
    """Write lattices as text, gzipped if the name ends in ``.gz``."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as f:
        f.writelines(lattice_text(lattice, compact) for lattice in lattices)


def _parsed(path: str | Path, utt_id: str, first: int, rows: list[list[str]]) -> Lattice:
    arcs: list[tuple[int, int, int, int, float, float]] = []
    ends: list[tuple[int, float, float, list[int]]] = []
    chains: list[tuple[int, int, int, float, float, list[int]]] = []
    highest = -1
    for i, fields in enumerate(rows):
        try:
            numbers = (
                [int(x) for x in fields[:1]] if len(fields) <= 2 else [int(x) for x in fields[: 4 - _compact(fields)]]
            )
            if any(x < 0 for x in numbers):
                raise ValueError
            highest = max(highest, *numbers[:2]) if len(numbers) > 1 else max(highest, numbers[0])
            if len(numbers) == 1:
                ends.append((numbers[0], *_costs(fields[1] if len(fields) == 2 else "")))
            elif len(numbers) == 3:
                chains.append((*numbers, *_costs(fields[3] if len(fields) == 4 else "")))
            else:
                graph, acoustic, labels = _costs(fields[4] if len(fields) == 5 else "")
                if labels or len(fields) > 5:
                    raise ValueError
                arcs.append((*numbers, graph, acoustic))
        except ValueError:
            raise DataError(f"{path}:{first + i}: no line of a lattice: {' '.join(fields)!r}") from None
    for source, dest, word, graph, acoustic, labels in chains:
        here = source
        for k, label in enumerate(labels or [0]):
            highest += (more := k + 1 < len(labels))
            there = highest if more else dest
            arcs.append((here, there, label, word if k == 0 else 0, *((graph, acoustic) if k == 0 else (0.0, 0.0))))
            here = there
    final: dict[int, float] = {}
    for state, graph, acoustic, labels in ends:
        # What is said or heard on ending goes on arcs, for final costs are of the graph alone.
        for k, label in enumerate(labels or ([0] if acoustic else [])):
            highest += 1
            arcs.append((state, highest, label, 0, 0.0, acoustic if k == 0 else 0.0))
            state = highest
        final[state] = graph
    if highest < 0:
        return Lattice.none(utt_id)
    costs = np.full(highest + 1, np.inf)
    costs[list(final)] = list(final.values())
    columns = [np.array(column) for column in zip(*arcs, strict=True)] or [np.zeros(0)] * 6
    columns[2] = columns[2] - 1
    start = int(rows[0][0])
    try:
        made = Lattice.make(utt_id, 0, columns, costs, start)
    except DataError as e:
        raise DataError(f"{path}:{first}: {e}") from None
    frames = int((made.frame + (made.label >= 0)).max()) if made.num_arcs else 0
    return made.lasting(frames)


def _compact(fields: list[str]) -> bool:
    """Whether the line of an arc is that of a compact lattice."""
    return len(fields) == 3 or (len(fields) == 4 and "," in fields[3])


def _costs(text: str) -> tuple[float, float, list[int]]:
    graph, acoustic, *labels = text.split(",") if text else ("0", "0")
    if len(labels) > 1:
        raise ValueError
    costs = float(graph), float(acoustic)
    if any(map(math.isnan, costs)):
        raise ValueError
    return *costs, [int(x) for x in labels[0].split("_")] if labels and labels[0] else []
