"""Transducers as numpy arrays: what is done to each arc of a large graph is done to all of them at once.

A visit of an arc from Python costs some 4 microseconds, minutes for a graph of 30 million arcs. OpenFst's "const" files
are their states and arcs as they lie in memory, so such a file, on no disk, is the bridge in both directions.
Lattices have no such form; of them the "vector" one is read, in which each state is followed by its arcs.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import kaldifst
import numpy as np

from asrpar.errors import DataError

HEADER = np.dtype(
    [
        *(("version", "<i4"), ("flags", "<i4"), ("properties", "<u8")),
        *(("start", "<i8"), ("states", "<i8"), ("arcs", "<i8")),
    ]
)
# A state in the file: its final cost, where its arcs begin, their number, and of how many an epsilon is input, output.
STATE = np.dtype(
    [("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("input_epsilons", "<u4"), ("output_epsilons", "<u4")]
)
ARC = np.dtype([("ilabel", "<i4"), ("olabel", "<i4"), ("weight", "<f4"), ("nextstate", "<i4")])
LATTICE_END = np.dtype([("graph", "<f4"), ("acoustic", "<f4")])
LATTICE_ARC = np.dtype(
    [("ilabel", "<i4"), ("olabel", "<i4"), ("graph", "<f4"), ("acoustic", "<f4"), ("nextstate", "<i4")]
)
KIND = struct.pack("<ii5si8s", 2125659606, 5, b"const", 8, b"standard")
VERSION = 2  # of const files; 1 is padded
ALIGNED = 4  # a flag of the header: padded, too
HAS_SYMBOLS = 3  # flags of the header: symbol tables lie before the states
TOO_LARGE = "a graph is larger than the memory there is, or than the files that may be written (ulimit -f)"
EXPANDED = 1  # the property that such a transducer always has; others are found out by whoever needs them


@dataclass
class Arrays:
    """A transducer.

    Attributes:
        start: its first state.
        finals: (N,) float32, cost of ending in a state; infinite where one may not. A lattice's are sums of both costs.
        first: (N + 1,) int64: the arcs of state s are ``arcs[first[s] : first[s + 1]]``.
        arcs: (A,) of dtype `ARC`, a lattice's of `LATTICE_ARC`; weights are costs.
    """

    start: int
    finals: np.ndarray
    first: np.ndarray
    arcs: np.ndarray

    @property
    def sources(self) -> np.ndarray:
        """(A,) the state that each arc leaves."""
        return np.repeat(np.arange(len(self.finals)), np.diff(self.first))

    @classmethod
    def of(cls, fst: kaldifst.StdFst | kaldifst.Lattice) -> "Arrays":
        """A copy of a transducer or lattice of OpenFst's.

        Raises:
            DataError: there is too little memory for it.
        """
        lattice = isinstance(fst, kaldifst.Lattice)
        if not lattice and not isinstance(fst, kaldifst.StdConstFst):
            fst = kaldifst.StdConstFst(fst)
        with _in_memory() as path:
            if not fst.write(path):
                raise DataError(TOO_LARGE)
            content = Path(path).read_bytes()
        return _lattice(content) if lattice else _const(content, "what OpenFst has written")

    def fst(self) -> kaldifst.StdVectorFst:
        """It, no lattice, as a transducer of OpenFst's. Raises `DataError` where there is too little memory for it."""
        with _in_memory() as path:
            try:
                self.write_const(Path(path))
            except OSError as e:
                raise DataError(TOO_LARGE) from e
            return kaldifst.StdVectorFst(kaldifst.StdConstFst.read(path))

    def write_const(self, path: Path) -> None:
        """Write a "const" file of OpenFst's."""
        states = np.zeros(len(self.finals), STATE)
        states["final"], states["first"], states["arcs"] = self.finals, self.first[:-1], np.diff(self.first)
        sources = self.sources
        for field, label in (("input_epsilons", "ilabel"), ("output_epsilons", "olabel")):
            states[field] = np.bincount(sources[self.arcs[label] == 0], minlength=len(states))
        header = np.array([(VERSION, 0, EXPANDED, self.start, len(states), len(self.arcs))], HEADER)
        with path.open("wb") as file:
            file.write(KIND + header.tobytes())
            file.write(states.tobytes())
            file.write(self.arcs.astype(ARC, copy=False).tobytes())


def read_const(path: str | Path) -> Arrays:
    """Read a "const" file of OpenFst's, of tropical weights.

    Raises:
        DataError: it is something else, or cut short.
    """
    return _const(Path(path).read_bytes(), path)


def _const(content: bytes, name: str | Path) -> Arrays:
    at = len(KIND) + HEADER.itemsize
    if not content.startswith(KIND) or len(content) < at:
        raise DataError(f"{name} is no const transducer of OpenFst (fstconvert --fst_type=const makes one)")
    head = np.frombuffer(content, HEADER, 1, len(KIND))[0]
    if head["version"] != VERSION or head["flags"] & (ALIGNED | HAS_SYMBOLS):
        raise DataError(f"{name} is a const transducer with symbol tables or padding, which are not read here")
    num_states, num_arcs = int(head["states"]), int(head["arcs"])
    if len(content) != at + num_states * STATE.itemsize + num_arcs * ARC.itemsize:
        raise DataError(
            f"{name} is cut short or damaged: {len(content)} bytes, for {num_states} states, {num_arcs} arcs"
        )
    states = np.frombuffer(content, STATE, num_states, at)
    arcs = np.frombuffer(content, ARC, num_arcs, at + states.nbytes)
    return Arrays(int(head["start"]), states["final"].copy(), _first(states["arcs"]), arcs.copy())


def _lattice(content: bytes) -> Arrays:
    """A lattice of OpenFst's "vector" form: of each state its final costs and the number of its arcs, then these."""
    at = 4  # behind the magic number
    for _ in ("type", "kind of arcs"):
        at += 4 + int(np.frombuffer(content, "<i4", 1, at)[0])
    head = np.frombuffer(content, HEADER, 1, at)[0]
    at += HEADER.itemsize
    places, counts = [], []
    count_of = struct.Struct("<q").unpack_from
    for _ in range(int(head["states"])):
        (count,) = count_of(content, at + 8)
        places.append(at)
        counts.append(count)
        at += 16 + count * LATTICE_ARC.itemsize
    first, place = _first(counts), np.array(places, np.int64)
    within = np.arange(first[-1]) - np.repeat(first[:-1], counts)
    arcs = _rows(content, np.repeat(place + 16, counts) + within * LATTICE_ARC.itemsize, LATTICE_ARC)
    finals = _rows(content, place, LATTICE_END)
    return Arrays(int(head["start"]), finals["graph"].astype(np.float64) + finals["acoustic"], first, arcs)


def _rows(content: bytes, places: np.ndarray, kind: np.dtype) -> np.ndarray:
    """What stands at these bytes."""
    columns = places[:, None] + np.arange(kind.itemsize)
    return np.frombuffer(content, np.uint8)[columns].view(kind).reshape(-1)


def _first(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    first = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=first[1:])
    return first


@contextmanager
def _in_memory() -> Iterator[str]:
    """The name of an empty file that lies on no disk, for a library that reads and writes files alone."""
    file = os.memfd_create("asrpar-graph")
    try:
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)
