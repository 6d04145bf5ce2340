"""CMU AN4: 948 training and 130 test utterances of names, numbers and spelled words, 16 kHz.

Read in all three forms that it is distributed in: wav, NIST Sphere, and headerless big-endian samples.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.registry import Archive, Corpus
from asrpar.corpus.text import upper_words
from asrpar.errors import DataError
from asrpar.files.text import text_lines

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split

log = logging.getLogger("asrpar.corpus")

RATE = 16000
DEV_SIZE = 100  # AN4 has no development set; the first 100 training utterances serve, as in ESPnet's recipe
_COMMIT = "b567d132f43304e70a2b2eca6077f22255311812"
_LINE = re.compile(r"(?P<text>.*)\((?P<id>[^()\s]+)\)\s*")


def normalise(text: str) -> str:
    """Upper-case words; the sentence marks ``<s>`` and ``</s>`` of the training transcripts go."""
    return upper_words(text, "A-Z'", drop=frozenset(("<s>", "</s>", "<sil>")))


def check(corpus_dir: Path) -> None:
    """The folder has ``etc/`` with file lists and transcripts, and ``wav/``; raises `DataError` otherwise."""
    for folder in ("etc", "wav"):
        if not (corpus_dir / folder).is_dir():
            inside = (corpus_dir / "an4" / "etc").is_dir()
            hint = f"; give {corpus_dir / 'an4'}" if inside else ""
            hint = f"; give its parent {corpus_dir.parent}" if corpus_dir.name in ("etc", "wav") else hint
            raise DataError(f"{corpus_dir} does not hold AN4: no folder {folder}/ in it{hint}")
    for name in ("train", "test"):
        for end in ("fileids", "transcription"):
            if not (corpus_dir / "etc" / f"an4_{name}.{end}").is_file():
                raise DataError(f"{corpus_dir} does not hold AN4: no file etc/an4_{name}.{end}")


def read_transcripts(path: Path) -> dict[str, str]:
    """File id (the last part of its path) → normalised text.

    Lines are ``<s> YES </s> (an251-fash-b)`` in the training list and ``GO (an409-fcaw-b)`` in the test list.

    Raises:
        DataError: not UTF-8, a line of another form, an empty text, an id twice; the message has file and line.
    """
    texts: dict[str, str] = {}
    for n, line in text_lines(path):
        match = _LINE.fullmatch(line)
        if not match:
            raise DataError(f"{path}:{n}: expected 'WORDS (file-id)', found {line.strip()!r}")
        if match["id"] in texts:
            raise DataError(f"{path}:{n}: {match['id']} has a transcript already")
        try:
            texts[match["id"]] = normalise(match["text"])
        except DataError as e:
            raise DataError(f"{path}:{n}: {e}") from e
    return texts


def prepare(
    corpus_dir: Path, work_dir: Path, parts: Sequence[str] = (), dev_size: int = DEV_SIZE
) -> "dict[str, Split]":
    """Utterance ids ``<speaker>-<file id>``; dev is the first ``dev_size`` training utterances by sorted id.

    Raises:
        DataError: with the number of problems (missing audio or transcripts) and the first of them.
    """
    check(corpus_dir)
    train = _read_list(corpus_dir, work_dir, "train")
    test = _read_list(corpus_dir, work_dir, "test")
    if len(train.supervisions) <= dev_size:
        raise DataError(
            f"{corpus_dir}: {len(train.supervisions)} training utterances, of which the first {dev_size} would be dev: "
            "nothing is left to train on"
        )
    if (len(train.supervisions), len(test.supervisions)) != (948, 130):
        log.warning(
            "%s has %d training and %d test utterances; the whole of AN4 has 948 and 130",
            corpus_dir,
            len(train.supervisions),
            len(test.supervisions),
        )
    from asrpar.corpus.manifests import Split

    dev = Split(train.recordings[:dev_size], train.supervisions[:dev_size])
    return {"train": Split(train.recordings[dev_size:], train.supervisions[dev_size:]), "dev": dev, "test": test}


def _read_list(corpus_dir: Path, work_dir: Path, name: str) -> "Split":
    """One official list, sorted by utterance id (recording and supervision of an utterance share it)."""
    from lhotse import SupervisionSegment

    from asrpar.corpus.audio.files import probe
    from asrpar.corpus.manifests import Split

    etc = corpus_dir / "etc"
    file_ids = [line.strip() for _, line in text_lines(etc / f"an4_{name}.fileids")]
    texts = read_transcripts(etc / f"an4_{name}.transcription")
    problems: list[str] = []
    pairs = []
    for file_id in file_ids:
        stem, speaker = Path(file_id).name, Path(file_id).parent.name
        if not speaker:
            problems.append(f"{file_id} in an4_{name}.fileids names no speaker's folder")
        elif stem not in texts:
            problems.append(f"{stem} has no transcript in an4_{name}.transcription")
        else:
            try:
                recording = probe(_audio(corpus_dir, work_dir, file_id), f"{speaker}-{stem}")
            except DataError as e:
                problems.append(str(e))
                continue
            supervision = SupervisionSegment(
                id=recording.id,
                recording_id=recording.id,
                start=0.0,
                duration=recording.duration,
                channel=0,
                text=texts[stem],
                language="English",
                speaker=speaker,
            )
            pairs.append((recording, supervision))
    unlisted = sorted(texts.keys() - {Path(f).name for f in file_ids})
    problems += [f"{stem} has a transcript, but is not in an4_{name}.fileids" for stem in unlisted]
    if problems:
        raise DataError(f"{corpus_dir}: {len(problems)} problems in the {name} list; the first: {problems[0]}")
    pairs.sort(key=lambda pair: pair[0].id)
    return Split([r for r, _ in pairs], [s for _, s in pairs])


def _audio(corpus_dir: Path, work_dir: Path, file_id: str) -> Path:
    """The wav file of an utterance; Sphere and raw files are decoded into ``work_dir``.

    Lhotse reads a .sph by handing its path to a shell, so it never gets to see one.
    """
    from asrpar.corpus.audio.files import decode_to_wav

    base = corpus_dir / "wav" / file_id
    wav = base.with_name(base.name + ".wav")
    if wav.is_file():
        return wav
    decoded = work_dir / f"{file_id}.wav"
    for end, raw_rate in ((".sph", None), (".raw", RATE)):
        source = base.with_name(base.name + end)
        if source.is_file():
            return decoded if decoded.is_file() else decode_to_wav(source, decoded, raw_rate)
    return wav


CORPUS = Corpus(
    parts={
        "all": (
            Archive(
                urls=(f"https://github.com/cmusphinx/an4/archive/{_COMMIT}.tar.gz",),
                provides=("an4/etc", "an4/wav"),
                content=("81c613612ac721cc800932276eec1defb30958a5fc8bf2a765ba63549a208c3e", ("etc", "wav")),
                rename=(f"an4-{_COMMIT}", "an4"),
                expansion=2.0,
                name="an4.tar.gz",
            ),
        )
    },
    default_parts=("all",),
    check=check,
    prepare=prepare,
    normalise=normalise,
    sampling_rate=RATE,
    home="an4",
)
