"""CTM: utterance, channel, begin, duration and symbol, a line for each word or phone."""

from collections.abc import Sequence
from pathlib import Path

from asrpar.align.formats.contract import AlignmentFormat
from asrpar.hmm.alignments import AlignedUtterance
from asrpar.hmm.tree import Tree


class Format(AlignmentFormat):
    """``words_SET.ctm`` and ``phones_SET.ctm``, silences among the phones; times are seconds in the utterance."""

    def write(self, folder: Path, name: str, utterances: Sequence[AlignedUtterance], tree: Tree) -> None:
        for kind in ("words", "phones"):
            with (folder / f"{kind}_{name}.ctm").open("w", encoding="utf-8") as file:
                for utterance in utterances:
                    for symbol, start, duration in getattr(utterance, kind):
                        file.write(f"{utterance.id} 1 {start:.3f} {duration:.3f} {symbol}\n")
