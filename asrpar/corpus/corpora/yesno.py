"""yesno (OpenSLR 1): 60 recordings of one speaker, eight words YES or NO each, 8 kHz. The file name is the text."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.registry import Archive, Corpus
from asrpar.corpus.text import upper_words
from asrpar.errors import DataError

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split

SPEAKER = "global"  # Kaldi's name for the one speaker
_NAME = re.compile(r"[01](_[01]){7}")


def normalise(text: str) -> str:
    """YES and NO in upper case; raises `DataError` on any other word."""
    text = upper_words(text, "A-Z")
    if set(text.split()) - {"YES", "NO"}:
        raise DataError(f"yesno has only the words YES and NO, not {text!r}")
    return text


def check(corpus_dir: Path) -> None:
    """The folder has ``waves_yesno/`` with the 60 recordings; raises `DataError` otherwise."""
    waves = corpus_dir / "waves_yesno"
    if not waves.is_dir():
        hint = f"; give its parent {corpus_dir.parent}" if corpus_dir.name == "waves_yesno" else ""
        raise DataError(f"{corpus_dir} does not hold the yesno corpus: no folder waves_yesno/ in it{hint}")
    found = sorted(p.stem for p in waves.glob("*.wav"))
    odd = [stem for stem in found if not _NAME.fullmatch(stem)]
    if len(found) != 60 or odd:
        detail = f"{odd[0]}.wav is not named like 0_1_0_0_0_1_0_0.wav" if odd else f"it has {len(found)}"
        raise DataError(f"{waves} should hold 60 recordings named after their words: {detail}")


def prepare(corpus_dir: Path, work_dir: Path, parts: Sequence[str] = ()) -> "dict[str, Split]":
    """By file name every second recording is test (30), from the first on; of the others every fifth is dev (6).

    Lhotse's test set is the other half, which holds 0_1_0_1_0_0_0_0: seven words, not the eight of its name, so that a
    correct recogniser is charged with an error. Halves as in Kaldi leave only sentences with NO first to learn from.
    """
    from lhotse.recipes.yesno import prepare_yesno
    from lhotse.utils import fastcopy

    from asrpar.corpus.audio.files import probe
    from asrpar.corpus.manifests import Split

    check(corpus_dir)
    waves = (corpus_dir / "waves_yesno").absolute()
    for path in sorted(waves.glob("*.wav")):
        probe(path, path.stem)  # names the bad file, which Lhotse's errors do not
    both = prepare_yesno(waves).values()
    texts = {s.id: s for sets in both for s in sets["supervisions"]}
    recordings = sorted((r for sets in both for r in sets["recordings"]), key=lambda r: r.id)
    splits = {name: Split([], []) for name in ("train", "dev", "test")}
    for n, recording in enumerate(recordings):
        split = splits["test" if n % 2 == 0 else "dev" if n % 10 == 9 else "train"]
        supervision = texts[recording.id]
        utt = f"{SPEAKER}-{recording.id}"
        split.recordings.append(fastcopy(recording, id=utt))
        split.supervisions.append(
            fastcopy(supervision, id=utt, recording_id=utt, speaker=SPEAKER, text=normalise(supervision.text))
        )
    return splits


CORPUS = Corpus(
    parts={
        "all": (
            Archive(
                urls=(
                    "https://www.openslr.org/resources/1/waves_yesno.tar.gz",
                    "https://openslr.elda.org/resources/1/waves_yesno.tar.gz",
                ),
                provides=("waves_yesno",),
                sha256="c3f49e0cca421f96b75b41640749167b52118f232498667ca7a5f9416aef8e73",
                expansion=3.0,
            ),
        )
    },
    default_parts=("all",),
    check=check,
    prepare=prepare,
    normalise=normalise,
    sampling_rate=8000,
)
