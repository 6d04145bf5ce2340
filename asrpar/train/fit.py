"""Whether a loss can be computed of a set's utterances; found out before the first step.

An utterance has none if CTC finds no room for its transcript, for instance, or if a word of it has no pronunciation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from asrpar.errors import DataError
from asrpar.feats.utterances import Utterance, Utterances
from asrpar.files.replacing import replacing_text
from asrpar.lang.lang import Lang
from asrpar.log import get_logger
from asrpar.nn.frontend import output_frames
from asrpar.nn.objective import Objective
from asrpar.train.config import TrainConfig
from asrpar.train.objective import subsampling

log = get_logger(__name__)

# Ids that a message names.
NAMED = 5


@dataclass
class Misfits:
    """Utterances of a set that are in no loss.

    Attributes:
        short: ids of those with fewer output frames than the loss needs.
        reasons: of each utterance, in words.
        worst: of the first one, its output frames and the frames that it needs at least.
        unknown: ids of those of which something is missing that targets are made from.
        missing: all that is, such as words without pronunciation.
    """

    short: list[str] = field(default_factory=list)
    worst: tuple[int, int] = (0, 0)
    unknown: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)


def find_misfits(utterances: Sequence[Utterance], objective: Objective, subsampling: int) -> Misfits:
    """Look at all utterances; ``subsampling`` input frames are one output frame."""
    found = Misfits()
    for utterance in suspects(utterances, objective, subsampling):
        frames = output_frames(utterance.num_frames, subsampling)
        misfit = objective.misfit(utterance, frames)
        if misfit is None:
            continue
        if misfit.missing:
            found.unknown.append(utterance.id)
            found.missing.update(misfit.missing)
            found.reasons[utterance.id] = f"{objective.lacking}: {' '.join(misfit.missing)}"
        else:
            found.worst = found.worst if found.short else (frames, misfit.frames)
            found.short.append(utterance.id)
            found.reasons[utterance.id] = f"{frames} frames after subsampling, {misfit.frames} needed"
    return found


def suspects(utterances: Sequence[Utterance], objective: Objective, subsampling: int) -> Iterable[Utterance]:
    """Those that may be misfits, in their order.

    What transcripts alone decide is asked once for each, of its shortest utterance: corpora have many copies of a
    transcript, at other speeds or of "yes", and where one fits, longer ones do.
    """
    if not isinstance(utterances, Utterances):
        return utterances
    if objective.of_labels or not objective.of_text:
        known = objective.doubtful(utterances.ids, utterances.num_frames)
        return utterances if known is None else (utterances[i] for i in np.flatnonzero(known))
    shortest = utterances.spoken_frames().tolist()
    doubtful = np.zeros(len(shortest), bool)
    for number, (text, frames) in enumerate(zip(utterances.texts, shortest, strict=True)):
        spoken = SimpleNamespace(id="", text=text, num_frames=frames)
        doubtful[number] = objective.misfit(spoken, output_frames(frames, subsampling)) is not None
    return (utterances[i] for i in np.flatnonzero(doubtful[utterances.text_of]))


def check_set(
    utterances: Sequence[Utterance], split: str, objective: Objective, lang: Lang, config: TrainConfig, tell: bool
) -> None:
    """Refuse a set of which too much is in no loss; warn of less.

    Words without pronunciation do not count in ``max_misfit_fraction``: that a dev set has such words is usual. Missing
    labels of frames do.

    Args:
        utterances: of the set.
        split: its name.
        objective: of the training.
        lang: whose units a transcript is made of.
        config: of the training.
        tell: whether to warn.

    Raises:
        DataError: more than ``max_misfit_fraction`` are in no loss, or none is left, or none has words; or a word of
            the training set has no pronunciation though the OOV policy is not to skip it.
    """
    found, count = find_misfits(utterances, objective, subsampling(config)), len(utterances)
    left_out = len(found.short) + len(found.unknown)
    where = f"the set '{split}' in {config.data.feats}"
    if objective.of_text and not any(lang.split(utterance.text) for utterance in utterances):
        raise DataError(f"{where}: all transcripts are empty: mend those of stage 1, then run stage 2 again")
    if not left_out:
        return
    if objective.of_text and found.unknown and lang.config.oov.policy != "skip" and split == config.data.train:
        raise DataError(
            f"{len(found.missing)} words of {where} have no pronunciation in {config.data.lang}, such as "
            f"'{min(found.missing)}': run stage 3 (asrpar prepare-lang) for these data"
        )
    reasons = []
    if found.short:
        frames, needed = found.worst
        reasons.append(
            f"{len(found.short)} of {count} utterances are too short{' for their transcripts' * objective.of_text} "
            f"({_some(found.short)}: the first has {frames} frames after subsampling and needs {needed})"
        )
    if found.unknown:
        such = f": such as '{min(found.missing)}'" if objective.of_text else ""
        reasons.append(
            f"{len(found.unknown)} of {count} utterances have {objective.lacking} ({_some(found.unknown)}{such})"
        )
    said = f"{where}: {' and '.join(reasons)}"
    if left_out == count:
        raise DataError(f"{said}: no utterance is left to compute a loss of")
    counted = len(found.short) + (0 if objective.of_text else len(found.unknown))
    if counted > config.max_misfit_fraction * count:
        if objective.of_text or not found.unknown:
            first = "mend the transcripts, " if objective.of_text else ""
            mend = f"{first}lower models.{config.model}.subsampling"
        else:
            mend = f"see why in {Path(config.data.ali) / f'left_out_{split}.txt'}"
        raise DataError(
            f"{said}: more than max_misfit_fraction = {config.max_misfit_fraction:g} allows; {mend}, or raise it to "
            "train without them"
        )
    if tell:
        log.warning("%s: they are left out of the loss%s", said, _listed(config, split, found))


def _listed(config: TrainConfig, split: str, found: Misfits) -> str:
    """Write a line for each misfit, its id and the reason; returns where to look."""
    if not config.exp:
        return ""
    path = Path(config.exp) / "log" / f"left_out_{split}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_text(path) as file:
        file.writelines(f"{name} {reason}\n" for name, reason in found.reasons.items())
    return f", and listed in {path}"


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:NAMED]) + (", ..." if len(ids) > NAMED else "")
