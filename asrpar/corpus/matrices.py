"""What no features can be."""

import numpy as np

LARGEST = 1e12  # even energies that are no logarithms, of 16-bit samples, stay below; random bytes do not


def damage(matrix: np.ndarray) -> str | None:
    """What tells that a matrix (T, C) of features is damaged, or None."""
    low, high = float(matrix.min()), float(matrix.max())
    if low >= -LARGEST and high <= LARGEST:
        return None
    if not np.isfinite(matrix).all():
        return "holds NaN or infinity"
    return f"holds values up to {max(high, -low):.3g}, as only damaged features do"
