"""Lattices of kaldifst's binary form as arrays, and back: arcs are never walked one by one in Python."""

import os
import struct
from typing import Any

import numpy as np

from asrpar.errors import DataError

_MAGIC = 2125659606
_ARC = np.dtype([("label", "<i4"), ("word", "<i4"), ("graph", "<f4"), ("acoustic", "<f4"), ("dest", "<i4")])


def arrays_of(fst: Any) -> tuple[list[np.ndarray], np.ndarray, int]:
    """What `Lattice.make` takes of a `kaldifst.Lattice`: arcs, final graph costs, start (-1 for an empty one).

    Input labels are class + 1, output labels words. What is acoustic in a final weight is taken for graph.
    """
    # In memory only: the library writes to names, and this is one.
    handle = os.memfd_create("lattice")
    try:
        if not fst.write(f"/proc/self/fd/{handle}"):
            raise DataError("a lattice could not be written to memory")
        with os.fdopen(os.dup(handle), "rb") as f:
            f.seek(0)
            data = f.read()
    finally:
        os.close(handle)
    at, names = 4, []
    if struct.unpack_from("<i", data)[0] != _MAGIC:
        raise DataError("a lattice is not in OpenFst's binary form")
    for _ in range(2):
        (length,) = struct.unpack_from("<i", data, at)
        names.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length
    if names[0] != "vector":
        raise DataError(f"a lattice is of type {names[0]}, not vector")
    _, _, _, start, num_states, _ = struct.unpack_from("<iiQqqq", data, at)
    at += struct.calcsize("<iiQqqq")
    places, counts = np.zeros(num_states, dtype=np.int64), np.zeros(num_states, dtype=np.int64)
    read = struct.Struct("<q").unpack_from
    for s in range(num_states):
        (count,) = read(data, at + 8)
        places[s], counts[s] = at, count
        at += 16 + count * _ARC.itemsize
    raw = np.frombuffer(data, dtype=np.uint8)
    ends = raw[places[:, None] + np.arange(8)].view("<f4").reshape(num_states, 2).astype(np.float64)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(places + 16, counts) + within * _ARC.itemsize
    arcs = np.ascontiguousarray(raw[starts[:, None] + np.arange(_ARC.itemsize)]).view(_ARC).reshape(-1)
    source = np.repeat(np.arange(num_states, dtype=np.int32), counts)
    columns = [source, arcs["dest"], arcs["label"] - 1, arcs["word"], arcs["graph"], arcs["acoustic"]]
    return columns, ends.sum(axis=1), int(start)
