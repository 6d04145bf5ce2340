"""What ``decode.json`` tells of a set that was decoded, at once or in parts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from asrpar.decode.decoder import Decoder
from asrpar.decode.scales import SearchPoint
from asrpar.decode.words import Hypothesis
from asrpar.numbers import ratio

NAMED = 3


@dataclass
class Tally:
    """How the utterances of a set, or of a part of it, went.

    Attributes:
        utterances: how many there are.
        partial: ids of those that reached no final state.
        empty: those of which nothing was recognised.
        spoken: those that have words.
        missed: ids of those of which nothing was recognised though they have.
        unusable: ids of those whose output was NaN.
        input_frames: feature frames.
        model_seconds: that the acoustic model took.
        search_seconds: that the search took.
    """

    utterances: int = 0
    partial: list[str] = field(default_factory=list)
    empty: int = 0
    spoken: int = 0
    missed: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    input_frames: int = 0
    model_seconds: float = 0.0
    search_seconds: float = 0.0

    @classmethod
    def of(cls, hypotheses: Sequence[Hypothesis], references: Mapping[str, str]) -> "Tally":
        """Of words; what they took is told afterwards."""
        spoken = [h for h in hypotheses if references[h.utt_id].split()]
        return cls(
            len(hypotheses),
            sorted(h.utt_id for h in hypotheses if not h.complete),
            sum(not h.words for h in hypotheses),
            len(spoken),
            [h.utt_id for h in spoken if not h.words],
        )

    def __add__(self, other: "Tally") -> "Tally":
        """Of two parts."""
        mine, theirs = asdict(self), asdict(other)
        return Tally(**{k: sorted(v + theirs[k]) if isinstance(v, list) else v + theirs[k] for k, v in mine.items()})

    def warnings(self) -> list[str]:
        """What somebody should look at."""
        found = []
        if self.unusable:
            found.append(
                f"the model's output is NaN for {len(self.unusable)} utterances, such as {_some(self.unusable)}"
            )
        if self.partial:
            found.append(
                f"{len(self.partial)} utterances reached no final state, such as {_some(self.partial)}: "
                "their best unfinished path is taken; a wider beam may help"
            )
        if self.missed and 2 * len(self.missed) >= self.spoken:
            which = "all" if len(self.missed) == self.spoken else f"{len(self.missed)} of"
            found.append(
                f"{which} {self.spoken} utterances with words are recognised as nothing, such as "
                f"{_some(self.missed)}: was the model trained for long enough (dev loss in train.json), on features "
                "and units like these? blank_penalties may help a model that is too sure of blank"
            )
        return found

    def facts(self, name: str, decoder: Decoder, point: SearchPoint, input_seconds: float) -> dict[str, Any]:
        """Of the set ``name``, searched at a point; ``input_seconds`` lie between two feature frames."""
        audio = self.input_frames * input_seconds
        return {
            "set": name,
            "engine": decoder.name,
            "unit": decoder.unit,
            "jobs": decoder.jobs,
            **{axis: getattr(point, axis) for axis in decoder.axes},
            "utterances": self.utterances,
            "partial": len(self.partial),
            "empty": self.empty,
            "audio_seconds": round(audio, 3),
            "acoustic_model_seconds": round(self.model_seconds, 3),
            "decode_seconds": round(self.search_seconds, 3),
            # Both parts together, as the user waits for both.
            "real_time_factor": round(ratio(self.model_seconds + self.search_seconds, audio), 6),
        }


def lattice_facts(decoder: Decoder, beam: float, partial: Sequence[str]) -> dict[str, Any]:
    """What whoever rescores a set's lattices has to know."""
    return {
        "beam": beam, "frame_seconds": decoder.frame_seconds, "blank": decoder.blank,
        "partial": sorted(partial),  # which the lattices themselves do not say
        "symbols": decoder.symbols.digest,
    }  # fmt: skip


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:NAMED])
