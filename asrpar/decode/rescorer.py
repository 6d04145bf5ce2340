"""A set with lattices, and the words that a setting takes from it."""

import difflib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.decode.candidates import Candidates, Choosing, least_risk, least_risk_of, scaled_down
from asrpar.decode.engine import Symbols
from asrpar.decode.lattices.lattice import Lattice
from asrpar.decode.lattices.mbr import MOST_ROUNDS, Bayes
from asrpar.decode.lattices.text import read_lattices
from asrpar.decode.pool import each
from asrpar.decode.rescore_config import RescoreConfig
from asrpar.decode.scales import SearchPoint
from asrpar.decode.storing import LATTICES
from asrpar.decode.words import Hypothesis, Reader, hypothesis_of
from asrpar.errors import DataError
from asrpar.score.trn import read_transcripts

# Costs that a new language model adds to those of sentences of word ids.
AddLm = Callable[[Sequence[Sequence[int]]], np.ndarray]


@dataclass(frozen=True)
class Setting:
    """One point of the grid; see `RescoreConfig`."""

    lm_scale: float
    word_penalty: float
    lm_weight: float


@dataclass
class LatticeSet:
    """A set with lattices: its folder, what decode.json says, references, candidates, seconds."""

    name: str
    folder: Path
    facts: dict[str, Any]
    references: dict[str, str]
    candidates: list[Candidates]
    seconds: float


class Rescorer:
    """What is done with each set."""

    def __init__(
        self,
        config: RescoreConfig,
        point: SearchPoint,
        blank: int | None,
        reader: Reader,
        symbols: Symbols,
        add_lm: AddLm | None,
    ) -> None:
        self.config, self.point, self.blank, self.reader, self.add_lm = config, point, blank, reader, add_lm
        self.words, self._classes = symbols.words, len(symbols.classes)
        self._ids = {w: i for i, w in enumerate(self.words)}

    def load(self, name: str, folder: Path, facts: dict[str, Any]) -> LatticeSet:
        """The candidates of a set, in the order of its lattices."""
        start = time.perf_counter()
        references = {u: " ".join(w) for u, w in read_transcripts(folder / "ref.trn").items()}
        beam = self.config.beam if self.config.beam is not None else float("inf")
        make = Choosing(self.point, self.blank, self.config.n_best, beam)
        found: list[Candidates] = []
        for candidates in each(make, self._with_references(folder, references), self.config.jobs):
            if self.add_lm is not None:
                candidates = candidates.with_lm(self.add_lm(candidates.words))
            found.append(candidates)
        missing = sorted(set(references) - {c.utt_id for c in found})
        if missing:
            raise DataError(f"{folder / LATTICES} has no lattice of {missing[0]}: decode again (stage 7)")
        return LatticeSet(name, folder, facts, references, found, time.perf_counter() - start)

    def said(self, candidates: Candidates, setting: Setting) -> tuple[int, ...]:
        """The words of least cost."""
        if not candidates.words:
            return ()
        return candidates.words[int(candidates.costs(*vars(setting).values()).argmin())]

    def text(self, words: Sequence[int]) -> list[str]:
        """Words by their ids."""
        return [self.words[w] for w in words]

    def risks(self, loaded: LatticeSet, setting: Setting, scale: float, rounds: int) -> list[Bayes]:
        """Words of least risk and confidences, in the order of the candidates; of the best words if ``rounds`` is 0.

        Without a new language model over the raw lattices, which have all alignments; else over the candidates.
        """
        if self.add_lm is None:
            point = replace(self.point, lm_scale=setting.lm_scale, word_penalty=setting.word_penalty)
            begin = {c.utt_id: self.said(c, setting) for c in loaded.candidates}
            make = partial(_risk, point=point, blank=self.blank, scale=scale, rounds=rounds)
            pairs = ((lattice, begin[lattice.utt_id]) for lattice in read_lattices(loaded.folder / LATTICES))
            return list(each(make, pairs, self.config.jobs))
        factor = scaled_down(scale, setting.lm_scale)
        return [
            least_risk_of(c, c.costs(*vars(setting).values()), factor, rounds) if c.words else Bayes((), (), (), 0.0)
            for c in loaded.candidates
        ]

    def hypotheses(self, loaded: LatticeSet, setting: Setting, mbr_scale: float) -> list[Hypothesis]:
        """The words of a set, with times and confidences."""
        rounds = MOST_ROUNDS if self.config.output == "mbr" else 0
        seconds = float(loaded.facts["lattices"]["frame_seconds"])
        unfinished = set(loaded.facts["lattices"].get("partial", ()))
        found = []
        for candidates, bayes in zip(loaded.candidates, self.risks(loaded, setting, mbr_scale, rounds), strict=True):
            if not candidates.words:
                found.append(Hypothesis(candidates.utt_id, complete=False))
                continue
            costs = candidates.costs(*vars(setting).values())
            order = costs.argsort(kind="stable").tolist()
            best = next((i for i in order if candidates.words[i] == bayes.words), order[0])
            heard = hypothesis_of(self.reader, replace(candidates.paths[best], score=-float(costs[best])), seconds)
            if candidates.words[best] != bayes.words:
                heard = _with_words(heard, self.text(bayes.words))
            complete = candidates.utt_id not in unfinished
            found.append(replace(heard, complete=complete, confidences=list(bayes.confidences)))
        return found

    def _with_references(self, folder: Path, references: Mapping[str, str]) -> Any:
        for lattice in read_lattices(folder / LATTICES):
            if lattice.utt_id not in references:
                raise DataError(f"{folder / LATTICES} has a lattice of {lattice.utt_id}, which ref.trn does not have")
            for kind, numbers, count in (
                ("word", lattice.word, len(self.words)),
                ("class", lattice.label, self._classes),
            ):
                if numbers.max(initial=0) >= count:
                    raise DataError(
                        f"{folder / LATTICES}: the lattice of {lattice.utt_id} has {kind} {numbers.max()}, but there "
                        f"are {count}: take lattices of the graph that decode.json names"
                    )
            yield lattice, tuple(self._ids.get(w, -1) for w in references[lattice.utt_id].split())


def _risk(
    lattice: Lattice, begin: tuple[int, ...], point: SearchPoint, blank: int | None, scale: float, rounds: int
) -> Bayes:
    if not lattice.num_states:
        return Bayes((), (), (), 0.0)
    return least_risk(lattice, point, blank, scale, begin, rounds)


def _with_words(heard: Hypothesis, words: list[str]) -> Hypothesis:
    """Other words in the times of those of a path: where they are the same; the others as far as there is room."""
    starts, ends, at = [], [], 0.0
    same = difflib.SequenceMatcher(None, heard.words, words, autojunk=False)
    for kind, a, b, c, d in same.get_opcodes():
        if kind in ("equal", "replace"):
            first, last = heard.start_times[a], heard.end_times[b - 1]
            for k in range(c, d):
                if kind == "equal":
                    starts.append(heard.start_times[a + k - c])
                    ends.append(heard.end_times[a + k - c])
                else:
                    starts.append(first + (last - first) * (k - c) / (d - c))
                    ends.append(first + (last - first) * (k + 1 - c) / (d - c))
        elif kind == "insert":
            starts += [at] * (d - c)
            ends += [at] * (d - c)
        at = ends[-1] if ends else at
    return replace(heard, words=words, start_times=starts, end_times=ends)
