"""Which utterances are dev, and how many of the same text are learnt from: both follow from the seed and the ids."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from asrpar.errors import DataError

if TYPE_CHECKING:
    from lhotse import SupervisionSegment


def draw(seed: int, name: str) -> bytes:
    """A number that is as good as random, and always the same for a name."""
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()


def capped(
    utterances: "Sequence[SupervisionSegment]", most: int, seed: int
) -> "tuple[list[SupervisionSegment], Counter[str]]":
    """At most ``most`` utterances of the same text; which of them is drawn, and each has the same chance.

    Returns:
        Those that are left, in their order, and how often each text was left out.
    """
    same: dict[str, list[str]] = defaultdict(list)
    for utterance in utterances:
        same[utterance.text].append(utterance.id)
    kept = {i for ids in same.values() if len(ids) > most for i in sorted(ids, key=lambda i: draw(seed, i))[:most]}
    out: Counter[str] = Counter()
    left = []
    for utterance in utterances:
        if len(same[utterance.text]) <= most or utterance.id in kept:
            left.append(utterance)
        else:
            out[utterance.text] += 1
    return left, out


def first(utterances: "Sequence[SupervisionSegment]", size: int) -> "tuple[list, list, list]":
    """(dev, train, []): dev is the first ``size`` utterances by id, as in Kaldi; train has its speakers, too."""
    ordered = sorted(utterances, key=lambda u: u.id)
    _check_size(size, len(ordered))
    return ordered[:size], ordered[size:], []


def by_speakers(utterances: "Sequence[SupervisionSegment]", size: int, seed: int) -> "tuple[list, list, list]":
    """(dev, train, rest) without a speaker in both dev and train: all of some speakers, up to ``size`` utterances.

    Speakers with few calls come first, so that dev has many and train loses little; among those with as many calls the
    draw decides. What is too much of the last speaker is the rest, which neither has.
    """
    _check_size(size, len(utterances))
    sides: dict[str, set[tuple]] = defaultdict(set)
    said: dict[str, list] = defaultdict(list)
    for utterance in utterances:
        sides[utterance.speaker].add((utterance.recording_id, utterance.channel))
        said[utterance.speaker].append(utterance)
    chosen: set[str] = set()
    dev: list = []
    for speaker in sorted(sides, key=lambda s: (len(sides[s]), draw(seed, s))):
        if len(dev) >= size:
            break
        chosen.add(speaker)
        dev += sorted(said[speaker], key=lambda u: u.id)
    train = [u for u in utterances if u.speaker not in chosen]
    if not train:
        raise DataError(f"dev_size is {size}, which takes all {len(sides)} speakers: nothing is left to train on")
    return dev[:size], train, dev[size:]


def _check_size(size: int, there: int) -> None:
    if there <= size:
        raise DataError(
            f"dev_size is {size}, and there are {there} utterances: nothing is left to train on; --set dev_size=N "
            "makes dev smaller"
        )
