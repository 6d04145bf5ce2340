"""Sorting of n-grams that may be more than fit into memory."""

from collections.abc import Sequence

import numpy as np

from asrpar.lm.shelf import Shelf

MOST = 1 << 22  # n-grams that are sorted at once


def is_sorted(shelf: Shelf, keys: np.ndarray) -> bool:
    """Whether each key is above the one before it."""
    for part in shelf.parts(len(keys)):
        piece = keys[part.start : part.stop + 1]
        if not (piece[1:] > piece[:-1]).all():
            return False
    return True


def sort(
    shelf: Shelf, keys: np.ndarray, values: Sequence[np.ndarray], most: int = 0
) -> tuple[np.ndarray, list[np.ndarray], tuple[int, int] | None]:
    """Sort keys, and values with them; equal keys stay in their order.

    Args:
        shelf: for the results, and all that comes between.
        keys: (N,) uint64.
        values: each (N,) float64.
        most: keys that are sorted at once, near to; 0: `MOST`.

    Returns:
        keys, values, and the places, in what was given, of a key that is there twice; None if there is none.
    """
    if is_sorted(shelf, keys):
        return keys, list(values), None
    # Bounds that cut the keys into buckets of about the same size: quantiles of some of them.
    count = -(-len(keys) // (most or MOST))
    some = np.sort(keys[:: max(1, len(keys) // (64 * count))])
    bounds = np.unique(some[np.arange(1, count) * len(some) // count])
    record = np.dtype([("key", np.uint64), ("place", np.int64), ("values", np.float64, (len(values),))])
    buckets = [shelf.growing(record) for _ in range(len(bounds) + 1)]
    for part in shelf.parts(len(keys)):
        rows = np.empty(part.stop - part.start, record)
        rows["key"], rows["place"] = keys[part], np.arange(part.start, part.stop)
        for number, one in enumerate(values):
            rows["values"][:, number] = one[part]
        bucket = np.searchsorted(bounds, rows["key"], side="right")
        rows, ends = rows[np.argsort(bucket, kind="stable")], np.cumsum(np.bincount(bucket, minlength=len(buckets)))
        for growing, own in zip(buckets, np.split(rows, ends[:-1]), strict=True):
            growing.append(own)
    sorted_keys, sorted_values, twice = shelf.growing(np.uint64), [shelf.growing(np.float64) for _ in values], None
    while buckets:
        rows = np.asarray(buckets.pop(0).done())
        rows = rows[np.argsort(rows["key"], kind="stable")]
        same = np.flatnonzero(rows["key"][1:] == rows["key"][:-1])
        if len(same) and twice is None:
            twice = int(rows["place"][same[0]]), int(rows["place"][same[0] + 1])
        sorted_keys.append(rows["key"])
        for number, one in enumerate(sorted_values):
            one.append(rows["values"][:, number])
    return sorted_keys.done(), [one.done() for one in sorted_values], twice
