"""FSTs of kaldifst as arrays, and back, by their binary form in memory: no arc is walked in Python."""

import os
import struct
from collections.abc import Sequence
from typing import Any

import kaldifst
import numpy as np

from asrpar.errors import DataError

_MAGIC = 2125659606
_LATTICE_ARC = np.dtype([("label", "<i4"), ("word", "<i4"), ("graph", "<f4"), ("acoustic", "<f4"), ("dest", "<i4")])
_ARC = np.dtype([("label", "<i4"), ("word", "<i4"), ("graph", "<f4"), ("dest", "<i4")])


def arrays_of(fst: Any) -> tuple[list[np.ndarray], np.ndarray, int]:
    """What `Lattice.make` takes of a `kaldifst.Lattice`: arcs, final graph costs, start (-1 for an empty one).

    Input labels are class + 1, output labels words. What is acoustic in a final weight is taken for graph.
    """
    source, arcs, ends, start = _read(fst, _LATTICE_ARC)
    columns = [source, arcs["dest"], arcs["label"] - 1, arcs["word"], arcs["graph"], arcs["acoustic"]]
    return columns, ends.sum(axis=1), start


def std_arrays_of(fst: Any) -> tuple[list[np.ndarray], np.ndarray, int]:
    """Source, dest, input label, output label, cost of each arc of a `kaldifst.StdVectorFst`; final costs; start."""
    source, arcs, ends, start = _read(fst, _ARC)
    return [source, arcs["dest"], arcs["label"], arcs["word"], arcs["graph"]], ends[:, 0], start


def std_fst(arcs: Sequence[np.ndarray], final: np.ndarray) -> kaldifst.StdVectorFst:
    """A transducer.

    Args:
        arcs: source, dest, input label, output label, cost: arrays (A,), sorted by source.
        final: (S,) costs, infinite for none; state 0 is the start.
    """
    source, dest, label, word, cost = arcs
    counts = np.bincount(source, minlength=len(final))
    packed = np.zeros(len(source), dtype=_ARC)
    packed["dest"], packed["label"], packed["word"], packed["graph"] = dest, label, word, cost
    # A state is its final weight and the number of its arcs, 12 bytes, and then these.
    places = 12 * np.arange(len(final)) + _ARC.itemsize * (np.cumsum(counts) - counts)
    body = np.zeros(12 * len(final) + _ARC.itemsize * len(source), dtype=np.uint8)
    heads = np.zeros(len(final), dtype=np.dtype([("final", "<f4"), ("arcs", "<i8")]))
    heads["final"], heads["arcs"] = final, counts
    body[places[:, None] + np.arange(12)] = heads.view(np.uint8).reshape(-1, 12)
    within = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    body[(np.repeat(places + 12, counts) + _ARC.itemsize * within)[:, None] + np.arange(_ARC.itemsize)] = packed.view(
        np.uint8
    ).reshape(-1, _ARC.itemsize)
    head = struct.pack("<i", _MAGIC)
    for name in (b"vector", b"standard"):
        head += struct.pack("<i", len(name)) + name
    # Version 2; no symbol tables; what the library knows of an FST of which nobody has said anything: "expanded".
    head += struct.pack("<iiQqqq", 2, 0, 3, 0, len(final), len(source))
    handle = os.memfd_create("fst")
    try:
        with os.fdopen(os.dup(handle), "wb") as f:
            f.write(head + body.tobytes())
        fst = kaldifst.StdVectorFst.read(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    if fst is None:
        raise DataError("an FST could not be read from memory")
    return fst


def _read(fst: Any, arc: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    # In memory only: the library writes to names, and this is one.
    handle = os.memfd_create("fst")
    try:
        if not fst.write(f"/proc/self/fd/{handle}"):
            raise DataError("an FST could not be written to memory")
        with os.fdopen(os.dup(handle), "rb") as f:
            f.seek(0)
            data = f.read()
    finally:
        os.close(handle)
    at = 4
    if struct.unpack_from("<i", data)[0] != _MAGIC:
        raise DataError("an FST is not in OpenFst's binary form")
    for _ in range(2):
        (length,) = struct.unpack_from("<i", data, at)
        at += 4 + length
    _, _, _, start, num_states, _ = struct.unpack_from("<iiQqqq", data, at)
    at += struct.calcsize("<iiQqqq")
    weight = arc.itemsize - 12
    places, counts = np.zeros(num_states, dtype=np.int64), np.zeros(num_states, dtype=np.int64)
    read = struct.Struct("<q").unpack_from
    for s in range(num_states):
        (count,) = read(data, at + weight)
        places[s], counts[s] = at, count
        at += weight + 8 + count * arc.itemsize
    raw = np.frombuffer(data, dtype=np.uint8)
    ends = np.ascontiguousarray(raw[places[:, None] + np.arange(weight)]).view("<f4").reshape(num_states, -1)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(places + weight + 8, counts) + within * arc.itemsize
    arcs = np.ascontiguousarray(raw[starts[:, None] + np.arange(arc.itemsize)]).view(arc).reshape(-1)
    source = np.repeat(np.arange(num_states, dtype=np.int32), counts)
    return source, arcs, ends.astype(np.float64), int(start)
