"""Lattices as files of a decoded set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asrpar.decode.decoder import Decoder
from asrpar.decode.engine import BestPath
from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.paths import at_points, best_arcs, path_of
from asrpar.decode.lattices.text import packed_text
from asrpar.decode.scales import SearchPoint
from asrpar.decode.words import Hypothesis

# The file of a set's lattices, in Kaldi's text form.
LATTICES = "lat.gz"


@dataclass(frozen=True)
class Stored:
    """Makes of a lattice its best path at a point and its packed text; can be pickled."""

    point: SearchPoint
    blank: int | None

    def __call__(self, lattice: Lattice) -> tuple[BestPath, bytes]:
        if not lattice.num_states:
            return BestPath.none(lattice.utt_id), packed_text(lattice)
        ((arcs, cost),) = best_arcs(lattice, *at_points(lattice, [self.point], self.blank))
        return path_of(lattice, arcs, cost / self.point.lm_scale), packed_text(lattice)


def search_and_store(
    decoder: Decoder, utterances: Sequence[tuple[str, np.ndarray]], point: SearchPoint, lattice_beam: float
) -> tuple[list[Hypothesis], list[bytes]]:
    """What is recognised, by the lattices' best paths, and the lattices as pieces of a gzipped file, sorted by id.

    Raises:
        ConfigError: the decoder's engine gives no lattices.
    """
    found = decoder.lattices(utterances, point, lattice_beam, Stored(point, decoder.blank))
    paths = [path for path, _ in found]
    packed = sorted((path.utt_id, text) for path, text in found)
    return decoder.hypotheses(paths, point), [text for _, text in packed]
