"""mini_librispeech (OpenSLR 31): five hours of LibriSpeech for training, two for development, 16 kHz, flac."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.corpora import librispeech
from asrpar.corpus.corpora.cmudict import CMUDICT
from asrpar.corpus.registry import Corpus

if TYPE_CHECKING:
    from lhotse import SupervisionSegment

    from asrpar.corpus.manifests import Split

log = logging.getLogger("asrpar.corpus")

_OWN = {
    "train-clean-5": librispeech.Part("train", "5df7d4e78065366204ca6845bb08f490"),
    "dev-clean-2": librispeech.Part("dev", "6d7ab67ac6a1d2c993d050e16d61080d"),
}
PARTS: librispeech.Parts = _OWN | {"test-clean": librispeech.PARTS["test-clean"]}  # the last if the user put it there


def check(corpus_dir: Path) -> None:
    """The folder has ``LibriSpeech/`` with a part of mini_librispeech; raises `DataError` otherwise."""
    librispeech.check_parts(corpus_dir, "mini_librispeech", PARTS)


def prepare(corpus_dir: Path, work_dir: Path, parts: Sequence[str] = ()) -> "dict[str, Split]":
    """train-clean-5 is train and dev-clean-2 dev; test is test-clean where that is there.

    mini_librispeech has no test set. Without test-clean, every second speaker of dev-clean-2 (by number) is test, so
    that the language-model scale is never chosen on the speech that it is reported on.
    """
    check(corpus_dir)
    splits = librispeech.prepare_parts(corpus_dir, PARTS, parts)
    if "dev" in splits and "test" not in splits:
        dev = splits["dev"]
        test_speakers = set(sorted(dev.speakers, key=int)[1::2])
        if not test_speakers:
            log.warning("dev-clean-2 has one speaker only, so there is no test set")
            return splits
        splits["dev"], splits["test"] = _divide(dev, test_speakers)
        log.info("no test-clean in %s: every second speaker of dev-clean-2 is test", corpus_dir)
    return splits


def _divide(split: "Split", speakers: set[str]) -> "tuple[Split, Split]":
    """(the rest, those of ``speakers``)."""
    from asrpar.corpus.manifests import Split

    def only(chosen: "list[SupervisionSegment]") -> Split:
        ids = {s.recording_id for s in chosen}
        return Split([r for r in split.recordings if r.id in ids], chosen)

    return (
        only([s for s in split.supervisions if s.speaker not in speakers]),
        only([s for s in split.supervisions if s.speaker in speakers]),
    )


CORPUS = Corpus(
    parts={name: (librispeech.archive(name, part, 31),) for name, part in _OWN.items()}
    | {"test-clean": librispeech.CORPUS.parts["test-clean"], "cmudict": (CMUDICT,)},
    default_parts=("train-clean-5", "dev-clean-2", "cmudict"),
    check=check,
    prepare=prepare,
    normalise=librispeech.normalise,
)
