"""Transducers as numpy arrays: what is done to each arc of a large graph is done to all of them at once.

A visit of an arc from Python costs some 4 microseconds, minutes for a graph of 30 million arcs. OpenFst's "const" files
are their states and arcs as they lie in memory, so such a file is the bridge in both directions.
"""

import errno
import tempfile
from dataclasses import dataclass
from pathlib import Path

import kaldifst
import numpy as np

from asrpar.errors import DataError

# A state in the file: its final cost, where its arcs begin, their number, and of how many an epsilon is input, output.
STATE = np.dtype(
    [("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("input_epsilons", "<u4"), ("output_epsilons", "<u4")]
)
ARC = np.dtype([("ilabel", "<i4"), ("olabel", "<i4"), ("weight", "<f4"), ("nextstate", "<i4")])
MAGIC = 2125659606
VERSION = 2  # of const files; 1 is padded
ALIGNED = 4  # a flag of the header: padded, too
HAS_SYMBOLS = 3  # flags of the header: symbol tables lie before the states
EXPANDED = 1  # the property that such a transducer always has; others are found out by whoever needs them


@dataclass
class Arrays:
    """A transducer.

    Attributes:
        start: its first state.
        finals: (N,) float32, cost of ending in a state; infinite where one may not.
        first: (N + 1,) int64: the arcs of state s are ``arcs[first[s] : first[s + 1]]``.
        arcs: (A,) of dtype `ARC`; weights are costs.
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
    def of(cls, fst: kaldifst.StdFst) -> "Arrays":
        """A copy of a transducer of OpenFst's."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.fst"
            const = fst if isinstance(fst, kaldifst.StdConstFst) else kaldifst.StdConstFst(fst)
            if not const.write(str(path)):
                raise OSError(errno.EIO, "cannot write (is the disk full?)", str(path))
            return read_const(path)

    def fst(self) -> kaldifst.StdVectorFst:
        """It as a transducer of OpenFst's."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.fst"
            self.write_const(path)
            return kaldifst.StdVectorFst(kaldifst.StdConstFst.read(str(path)))

    def write_const(self, path: Path) -> None:
        """Write a "const" file of OpenFst's."""
        states = np.zeros(len(self.finals), STATE)
        states["final"], states["first"], states["arcs"] = self.finals, self.first[:-1], np.diff(self.first)
        sources = self.sources
        for field, label in (("input_epsilons", "ilabel"), ("output_epsilons", "olabel")):
            states[field] = np.bincount(sources[self.arcs[label] == 0], minlength=len(states))
        header = np.array([VERSION, 0], "<i4").tobytes() + np.array([EXPANDED], "<u8").tobytes()
        header += np.array([self.start, len(states), len(self.arcs)], "<i8").tobytes()
        with path.open("wb") as file:
            file.write(np.array([MAGIC], "<i4").tobytes() + _packed("const") + _packed("standard") + header)
            file.write(states.tobytes())
            file.write(self.arcs.astype(ARC, copy=False).tobytes())


def read_const(path: str | Path) -> Arrays:
    """Read a "const" file of OpenFst's, of tropical weights.

    Raises:
        DataError: it is something else, or cut short.
    """
    path = Path(path)
    content = path.read_bytes()
    kind = np.array([MAGIC], "<i4").tobytes() + _packed("const") + _packed("standard")
    at = len(kind) + 40
    if not content.startswith(kind) or len(content) < at:
        raise DataError(f"{path} is no const transducer of OpenFst (fstconvert --fst_type=const makes one)")
    version, flags = np.frombuffer(content, "<i4", 2, len(kind))
    if version != VERSION or flags & (ALIGNED | HAS_SYMBOLS):
        raise DataError(f"{path} is a const transducer with symbol tables or padding, which are not read here")
    start, num_states, num_arcs = np.frombuffer(content, "<i8", 3, len(kind) + 16)
    if len(content) != at + num_states * STATE.itemsize + num_arcs * ARC.itemsize:
        raise DataError(
            f"{path} is cut short or damaged: {len(content)} bytes, for {num_states} states, {num_arcs} arcs"
        )
    states = np.frombuffer(content, STATE, num_states, at)
    arcs = np.frombuffer(content, ARC, num_arcs, at + states.nbytes)
    first = np.zeros(num_states + 1, np.int64)
    np.cumsum(states["arcs"], out=first[1:])
    return Arrays(int(start), states["final"].copy(), first, arcs.copy())


def _packed(text: str) -> bytes:
    return np.array([len(text)], "<i4").tobytes() + text.encode()
