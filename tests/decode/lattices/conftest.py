"""Small random lattices, and all their paths by enumeration."""

import numpy as np
import pytest
from lattices import POINT

from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import make_decoder


@pytest.fixture(scope="session")
def all_paths():
    """``all_paths(lattice, point, blank)``: (words, cost) of each path."""

    def enumerate_(lattice, point=POINT, blank=0):
        costs, ends = lattice.costs(point, blank), lattice.end_costs(point)

        def walk(state):
            if np.isfinite(ends[state]):
                yield (), ends[state]
            for a in np.flatnonzero(lattice.source == state):
                for words, cost in walk(lattice.dest[a]):
                    yield (*([int(lattice.word[a])] if lattice.word[a] else []), *words), cost + costs[a]

        return list(walk(0)) if lattice.num_states else []

    return enumerate_


@pytest.fixture(scope="session")
def lattices(graph, noise):
    """Lattices of noise, of some hundred paths each."""
    with make_decoder(DecodeConfig(engines={"kaldi": {"jobs": 1}}), graph, 0.03) as decoder:
        return decoder.lattices([(f"u{i}", noise(i, 2 + i)) for i in range(6)], POINT, 4.0)
