"""Settings of trees."""

from dataclasses import dataclass

from asrpar.rules import at_least, need, not_negative, one_of, positive

CONTEXTS = {"biphone": 2, "triphone": 3}


@dataclass
class TreeConfig:
    """Settings of `asrpar build-tree`.

    Attributes:
        context: ``triphone`` asks for both neighbours of a phone, ``biphone`` for the left one alone: small graphs.
        leaves: how many classes of frames the tree is to have.
        min_frames: fewest frames of a leaf; a split that leaves fewer on either side is not made.
        min_gain: least gain of a split in log-likelihood; Kaldi's recipes have 300 or so.
        grow: splits go on up to ``leaves`` times this, and the leaves that differ least are merged again, within phones
            and states; 1 merges none.
        questions: a file with a question in each line: phones, with spaces between them, and ``<none>`` for an
            utterance's end; empty to make questions from the data by clustering phones.
        share_variants: phones that differ in stress (AA0, AA1) or in their place in a word (AA_B, AA_E) alone have one
            root, below which the tree may ask which of them it is; each for itself has few frames.
        split_silence: whether contexts of silence, too, may have leaves of their own.
        cepstra: statistics are of so many cepstra of the stored filter banks and their differences; 0 for features that
            are none, such as MFCC, as they are.
        variance_floor: least variance of a Gaussian.
        split: the set of utterances to count.
    """

    context: str = "triphone"
    leaves: int = 400
    min_frames: float = 100.0
    min_gain: float = 0.0
    grow: float = 1.0
    questions: str = ""
    share_variants: bool = False
    split_silence: bool = False
    cepstra: int = 13
    variance_floor: float = 0.01
    split: str = "train"

    def validate(self) -> None:
        one_of(self, "context", tuple(CONTEXTS))
        at_least(self, 1, "leaves")
        at_least(self, 0, "cepstra")
        positive(self, "min_frames", "variance_floor")
        not_negative(self, "min_gain")
        need(self, "grow", 1 <= self.grow < 100, "must be from 1 to 100")

    @property
    def width(self) -> int:
        """Phones of a window."""
        return CONTEXTS[self.context]
