"""The contract of losses: what a model is trained towards, and what that is made from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

import numpy as np
from torch import Tensor

Targets = TypeVar("Targets")


class Spoken(Protocol):
    """An utterance, as far as targets are made from it."""

    id: str
    text: str
    num_frames: int


class Transcripts(Protocol):
    """Transcripts as tokens.

    Attributes:
        num_tokens: classes, the blank (0) included.
    """

    num_tokens: int

    def encode_variants(self, text: str) -> list[list[int]]:
        """The token sequences that a transcript may have been spoken as; none if a word has no pronunciation."""

    def unknown(self, text: str) -> set[str]:
        """The words of a transcript that have no pronunciation."""

    def num_units(self, text: str) -> int:
        """Tokens of a transcript in its words' first pronunciations; without looking at other ones, so it is quick."""


@dataclass(frozen=True)
class FrameLabels:
    """A class for each frame.

    Attributes:
        num_classes: all labels are below it.
        labels: by utterance, (T,) for each of its frames or (T',) for each output frame of a model; below 0 where a
            frame has none.
        names: of the classes, for people and to compare models and graphs by; empty if nobody knows them.
        counts: (num_classes,) frames of each class in the whole training set; None if nobody counted.
        silences: classes of frames in which nobody speaks.
        tree: digest of the phonetic tree whose leaves the classes are.
        lengths: gives (n,) how many labels each of n utterances has, by their ids, without reading them, 0 for none;
            None if nobody knows.
    """

    num_classes: int
    labels: Mapping[str, np.ndarray]
    names: tuple[str, ...] = ()
    counts: np.ndarray | None = None
    silences: tuple[int, ...] = ()
    tree: str = ""
    lengths: Callable[[Sequence[str]], np.ndarray] | None = None


class Hmm(Protocol):
    """A hidden Markov model without epsilons: each node emits each frame that a path spends in it.

    Attributes:
        pdfs: (S,) int64, the class of each node.
        phones: (S,) int64, its phone.
        begins: (S,) bool, whether a phone's first frame is in it; a frame that stays there begins no other one.
        sources: (A,) int64, where each arc comes from.
        targets: (A,) int64, where it leads to; each pair comes once.
        log_probs: (A,) float64.
        initial: (S,) float64, log-probability of beginning in a node; minus infinity where no path does.
        final: (S,) float64, likewise of ending.
    """

    pdfs: np.ndarray
    phones: np.ndarray
    begins: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    log_probs: np.ndarray
    initial: np.ndarray
    final: np.ndarray


class Numerator(Hmm, Protocol):
    """One utterance's.

    Attributes:
        fewest_frames: of its shortest path.
    """

    fewest_frames: int


class PhoneGraphs(Protocol):
    """What may have been said, as hidden Markov models over phones.

    Attributes:
        num_classes: of their nodes.
        classes: names of those.
        tree: digest of the phonetic tree whose leaves they are.
        silences: phones that stand for no speech.
        denominator: all that a phone language model allows.
    """

    num_classes: int
    classes: tuple[str, ...]
    tree: str
    silences: Collection[int]
    denominator: Hmm

    def numerator(self, text: str) -> Numerator | None:
        """All ways to speak a transcript that the denominator allows, with its weights; None if there are none."""

    def surely_fits(self, text: str, frames: int) -> bool:
        """Whether it is plain, without its HMM, that a transcript has a path of so many frames."""


@dataclass(frozen=True)
class Sources:
    """What a loss may make targets from; it takes what it needs.

    Attributes:
        transcripts: as tokens.
        labels: of frames; None if there are none.
        subsampling: input frames for each output frame of the model.
        graphs: makes graphs with a phone language model of an order, of at most so many nodes; None if there is nothing
            to make them of.
    """

    transcripts: Transcripts | None = None
    labels: FrameLabels | None = None
    subsampling: int = 1
    graphs: Callable[[int, int], PhoneGraphs] | None = None


@dataclass(frozen=True)
class Misfit:
    """Why an utterance is in no loss.

    Attributes:
        frames: output frames that it would need at least, where it has fewer; 0 if something else is the reason.
        missing: what there are no targets of, such as words without pronunciation.
    """

    frames: int = 0
    missing: tuple[str, ...] = ()


class Objective(ABC, Generic[Targets]):
    """What a model is trained towards. A page of `asrpar.nn.losses` has one as ``Loss``, beside ``Settings``.

    Args:
        settings: the page's ``Settings``.
        sources: what targets are made from. Raises `ConfigError` if what is needed is not there.

    Attributes:
        num_classes: outputs of the model.
        blank: the class that stands for no token; None where there is no such class.
        errors_are: what `errors` counts, for people.
        of_text: targets are made from transcripts.
        of_labels: targets are made from labels of frames, so that batches may show pieces of utterances.
        of_phones: classes are leaves of a phonetic tree, which may be given, and labels of frames may be.
        of_scores: `loss` and `errors` get `AcousticModel.scores` in place of log-probabilities.
        views: of each utterance in a batch of the training, which differ in what augmentation masks.
        lacking: what `Misfit.missing` is, for people, such as ``words without pronunciation``.
        classes: names of the classes where they are states of phones, not tokens; such as a tree's ``names``.
        tree: digest of the tree that they are of, if they are.
        delay: output frames by which the model answers late.
        log_priors: (num_classes,) float32 logarithms of the classes' frequencies, which decoding takes from the model's
            log-probabilities; None for losses after which nothing is to be taken.
    """

    blank: ClassVar[int | None] = None
    errors_are: ClassVar[str] = "frame errors"
    of_text: ClassVar[bool] = False
    of_labels: ClassVar[bool] = False
    of_phones: ClassVar[bool] = False
    of_scores: ClassVar[bool] = False
    views: ClassVar[int] = 1
    lacking: ClassVar[str] = "no targets"
    num_classes: int
    classes: tuple[str, ...] = ()
    tree: str = ""
    delay: int = 0
    log_priors: np.ndarray | None = None

    @abstractmethod
    def targets(self, utterance: Spoken, frames: np.ndarray | None = None) -> Targets:
        """Make an utterance's targets. The thread that makes batches calls it.

        Args:
            utterance: whose.
            frames: (T,) which of the utterance's frames a batch shows, where some were moved or dropped, below 0 for
                those that are context of others and have no label; None if it shows all of them in their order.

        Raises:
            DataError: what targets are made from does not belong to the utterance.
        """

    @abstractmethod
    def loss(self, output: Tensor, lens: Tensor, targets: list[Targets]) -> tuple[Tensor, list[bool]]:
        """The loss of a batch.

        Args:
            output: (N, T', C) log-probabilities, float32; scores in any type where `of_scores`.
            lens: (N,) output frames of each utterance.
            targets: of each utterance. With several `views` (in training only) there are as many outputs for each, all
                first views before all second ones.

        Returns:
            The sum () over frames of utterances (not of views), in nats, and whether each utterance is in it.
        """

    @abstractmethod
    def errors(self, output: Tensor, lens: Tensor, targets: list[Targets]) -> tuple[int, int]:
        """How often the likeliest classes are wrong, and of how many; the arguments are those of `loss`."""

    def frames_in(self, targets: list[Targets]) -> int | None:
        """Of how many frames a batch's `loss` is the sum; None where that is all input frames of its utterances.

        The gradient of a step is the mean over these frames, and so is the loss that is told.
        """
        return None

    def misfit(self, utterance: Spoken, frames: int) -> Misfit | None:
        """Why an utterance of so many output frames is in no loss; None if it is in it."""
        return None

    def doubtful(self, ids: Sequence[str], num_frames: np.ndarray) -> np.ndarray | None:
        """(n,) bool, which of n utterances `misfit` has to be asked about; None for all.

        Args:
            ids: of the utterances.
            num_frames: (n,) their feature frames.
        """
        return None
