"""Whether a loss can be computed of a set's utterances; found out before the first step.

An utterance has none if CTC finds no room for its transcript, or if a word of it has no pronunciation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from asrpar.errors import DataError
from asrpar.feats.store import Utterance
from asrpar.lang.lang import Lang
from asrpar.log import get_logger
from asrpar.nn.frontend import output_frames
from asrpar.nn.losses.ctc import frames_needed
from asrpar.train.config import TrainConfig

log = get_logger(__name__)

# Ids that a message names.
NAMED = 5


@dataclass
class Misfits:
    """Utterances of a set that are in no loss.

    Attributes:
        short: ids of those with fewer output frames than CTC needs for any way to say the transcript.
        worst: of the first one, its output frames and the frames that it needs at least.
        unknown: ids of those with a word that has no pronunciation.
        words: those words.
    """

    short: list[str] = field(default_factory=list)
    worst: tuple[int, int] = (0, 0)
    unknown: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)


def find_misfits(utterances: Sequence[Utterance], lang: Lang, subsampling: int) -> Misfits:
    """Look at all transcripts; ``subsampling`` input frames are one output frame."""
    found = Misfits()
    sizes: dict[str, int | None] = {}
    for utterance in utterances:
        words = lang.split(utterance.text)
        for word in words:
            if word not in sizes:
                units = lang.pronounce(word)
                sizes[word] = None if units is None else len(units)
        missing = {word for word in words if sizes[word] is None}
        if missing:
            found.unknown.append(utterance.id)
            found.words |= missing
            continue
        frames = output_frames(utterance.num_frames, subsampling)
        # With a blank after each token any transcript fits, and most are that short: only others are spelt out.
        if 2 * sum(sizes[word] for word in words) > frames:
            fewest = min(map(frames_needed, lang.encode_variants(utterance.text)))
            if fewest > frames:
                found.worst = found.worst if found.short else (frames, fewest)
                found.short.append(utterance.id)
    return found


def check_set(utterances: Sequence[Utterance], split: str, lang: Lang, config: TrainConfig, tell: bool) -> None:
    """Refuse a set of which too much is in no loss; warn of less.

    Only those that are too short count in ``max_misfit_fraction``: that a dev set has words that nobody knows is usual.

    Args:
        utterances: of the set.
        split: its name.
        lang: whose units a transcript is made of.
        config: of the training.
        tell: whether to warn.

    Raises:
        DataError: more than ``max_misfit_fraction`` are too short, or none is left, or none has words; or a word of the
            training set has no pronunciation though the OOV policy is not to skip it.
    """
    found, count = find_misfits(utterances, lang, config.model.subsampling), len(utterances)
    left_out = len(found.short) + len(found.unknown)
    where = f"the set '{split}' in {config.data.feats}"
    if not any(lang.split(utterance.text) for utterance in utterances):
        raise DataError(f"{where}: all transcripts are empty: mend those of stage 1, then run stage 2 again")
    if not left_out:
        return
    if found.unknown and lang.config.oov.policy != "skip" and split == config.data.train:
        raise DataError(
            f"{len(found.words)} words of {where} have no pronunciation in {config.data.lang}, such as "
            f"'{min(found.words)}': run stage 3 (asrpar prepare-lang) for these data"
        )
    reasons = []
    if found.short:
        frames, needed = found.worst
        reasons.append(
            f"{len(found.short)} of {count} utterances are too short for their transcripts ({_some(found.short)}: the "
            f"first has {frames} frames after model.subsampling and needs {needed})"
        )
    if found.unknown:
        reasons.append(
            f"{len(found.unknown)} of {count} utterances have words without pronunciation ({_some(found.unknown)}: "
            f"such as '{min(found.words)}')"
        )
    said = f"{where}: {' and '.join(reasons)}"
    if left_out == count:
        raise DataError(f"{said}: no utterance is left to compute a loss of")
    if len(found.short) > config.max_misfit_fraction * count:
        raise DataError(
            f"{said}: more than max_misfit_fraction = {config.max_misfit_fraction:g} allows; mend the transcripts, "
            "lower model.subsampling, or raise it to train without them"
        )
    if tell:
        log.warning("%s: they are left out of the loss", said)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:NAMED]) + (", ..." if len(ids) > NAMED else "")
