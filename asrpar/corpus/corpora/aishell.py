"""AISHELL-1 (OpenSLR 33): 178 hours of read Mandarin by 400 speakers, 16 kHz, with a lexicon.

``data_aishell.tgz`` holds a tar file for each speaker. They are opened in stage 1, beside the manifests, and stay where
they are; a copy whose archives somebody has unpacked in place is read as it is, also where some were.

Some recordings have no transcript: they are left out, and counted.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.counts import Count, check_counts
from asrpar.corpus.nested import unpack_each
from asrpar.corpus.registry import Archive, Corpus
from asrpar.corpus.text import upper_words
from asrpar.errors import DataError
from asrpar.files.replacing import replacing_text
from asrpar.files.text import text_lines

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split

log = logging.getLogger("asrpar.corpus")

RATE = 16000
TRANSCRIPT = Path("data_aishell/transcript/aishell_transcript_v0.8.txt")
WAV = Path("data_aishell/wav")
LEXICON = Path("resource_aishell/lexicon.txt")
# Split → speakers, utterances with a transcript, and their characters where those are published.
SPLITS = {"train": (340, 120_098, None), "dev": (40, 14_326, 205_341), "test": (20, 7_176, 104_765)}
RECORDINGS = 141_925
# Gzip makes 16-bit speech smaller by about a quarter.
_EXPANSION = 1.4
_NO_WORDS = ("SIL", "<SPOKEN_NOISE>")
_ID = re.compile(r"BAC009(?P<speaker>S\d{4})W\d{4}")
_SPEAKER = re.compile(r"S\d{4}")
# Full-width forms of ASCII, and the full-width space.
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


@dataclass(frozen=True)
class Found:
    """A recording: its file, and the folders that it lies in."""

    path: Path
    split: str
    speaker: str


def normalise(text: str) -> str:
    """Words of Chinese characters, and letters in upper case, ASCII where they are full-width; all else is refused."""
    return upper_words(text.translate(_NARROW), "A-Z\u3007\u3400-\u4dbf\u4e00-\u9fff")


def check(corpus_dir: Path) -> None:
    """The folder has ``data_aishell/`` with transcript and wav; raises `DataError` otherwise."""
    if not (corpus_dir / "data_aishell").is_dir():
        inside = corpus_dir.name == "data_aishell" or (corpus_dir / "wav").is_dir()
        hint = f"; give its parent {corpus_dir.parent}" if inside else ""
        packed = corpus_dir / "data_aishell.tgz"
        hint = f"; unpack {packed} there (tar -xzf)" if packed.is_file() else hint
        raise DataError(f"{corpus_dir} does not hold AISHELL-1: no folder data_aishell/ in it{hint}")
    if not (corpus_dir / TRANSCRIPT).is_file():
        raise DataError(f"{corpus_dir} does not hold AISHELL-1: no file {TRANSCRIPT}")
    if not (corpus_dir / WAV).is_dir():
        raise DataError(f"{corpus_dir} does not hold AISHELL-1: no folder {WAV}/")


def read_transcripts(path: Path) -> dict[str, str]:
    """Utterance → normalised text, words separated by spaces as they are there.

    Lines are ``BAC009S0002W0999 今天 天气 不错``.

    Raises:
        DataError: not UTF-8, a line without an id or a text, an id twice, or characters that no transcript has; with
            file and line, and how many such lines there are.
    """
    texts: dict[str, str] = {}
    problems: list[str] = []
    for n, line in text_lines(path):
        utt, _, text = line.strip().partition(" ")
        if not _ID.fullmatch(utt):
            problems.append(f"{path}:{n}: expected 'BAC009S0002W0999 TEXT', found {line.strip()[:60]!r}")
        elif utt in texts:
            problems.append(f"{path}:{n}: {utt} has a transcript already")
        else:
            try:
                texts[utt] = normalise(text)
            except DataError as e:
                problems.append(f"{path}:{n}: {e}")
    _refuse(path, problems)
    return texts


def find_recordings(corpus_dir: Path, work_dir: Path) -> dict[str, Found]:
    """Utterance → recording, of all speakers, ordered by id.

    Args:
        corpus_dir: which has `WAV`; nothing is written there.
        work_dir: where the archives of speakers are unpacked who have no folder beside them.

    Raises:
        DataError: no recordings, an archive that cannot be used or holds another speaker, a file that lies twice, or
            with a speaker whose it is not.
    """
    wav = corpus_dir / WAV
    archives = {path.name.split(".", 1)[0]: path for path in sorted(wav.glob("S*.tar.gz"))}
    unpacked = {path.name for split in SPLITS for path in (wav / split).glob("S*") if path.is_dir()}
    opened = unpack_each([a for speaker, a in archives.items() if speaker not in unpacked], work_dir, _EXPANSION)
    problems: list[str] = []
    found: dict[str, Found] = {}
    for root, only in [(wav, None), *((folder, archive) for archive, folder in opened.items())]:
        recordings = list(_recordings(root))
        if only is not None and {r.speaker for r in recordings} != {only.name.split(".", 1)[0]}:
            problems.append(f"{only} does not hold {{train,dev,test}}/{only.name.split('.', 1)[0]}/*.wav")
            continue
        for recording in recordings:
            utt = recording.path.stem
            match = _ID.fullmatch(utt)
            if not match or match["speaker"] != recording.speaker:
                problems.append(f"{recording.path} is not named like BAC009{recording.speaker}W0122.wav")
            elif utt in found:
                problems.append(f"{utt} lies in two places: {found[utt].path} and {recording.path}")
            else:
                found[utt] = recording
    _refuse(wav, problems)
    if not found:
        raise DataError(f"{wav} has no recordings: neither S0002.tar.gz and others, nor {{train,dev,test}}/S0002/*.wav")
    return dict(sorted(found.items()))


def dictionary(corpus_dir: Path, manifests: Path, output: Path) -> None:
    """Write ``lexicon.txt``: that of resource_aishell, with words in the form of `normalise`.

    Its entries for silence and noise are no words, and left out, as is what no transcript can have, which is counted.

    Raises:
        MissingInputError, DataError: there is no lexicon, or a line without a pronunciation.
    """
    path = corpus_dir / LEXICON
    missing = f"asrpar download --corpus aishell --part resource --output {corpus_dir} fetches it"
    entries: dict[str, None] = {}
    odd: list[str] = []
    for n, line in text_lines(path, missing):
        word, *phones = line.split()
        if not phones:
            raise DataError(f"{path}:{n}: expected 'WORD PHONE PHONE', found {line.strip()!r}")
        if word in _NO_WORDS:
            continue
        try:
            entries.setdefault(f"{normalise(word)} {' '.join(phones)}")
        except DataError:
            odd.append(word)
    if odd:
        log.warning("%s: %d entries are left out, which no transcript can have, such as %s", path, len(odd), odd[0])
    output.mkdir(parents=True, exist_ok=True)
    with replacing_text(output / "lexicon.txt") as file:
        file.writelines(f"{entry}\n" for entry in sorted(entries))
    log.info("lexicon: %d pronunciations of %d words", len(entries), len({e.split(" ", 1)[0] for e in entries}))


def prepare(corpus_dir: Path, work_dir: Path, parts: Sequence[str] = (), partial: bool = False) -> "dict[str, Split]":
    """Splits as the folders say; the speaker is a recording's folder, and texts keep their spaces between words.

    Recordings without transcript are left out, with a warning that counts them.

    Args:
        corpus_dir: see `check`.
        work_dir: where archives are unpacked.
        parts: the corpus is in one piece.
        partial: it is a part of the corpus: no counts are compared, and transcripts may have no recording.

    Raises:
        DataError: as `read_transcripts` and `find_recordings`; recordings are missing; or a count is off.
    """
    check(corpus_dir)
    texts = read_transcripts(corpus_dir / TRANSCRIPT)
    recordings = find_recordings(corpus_dir, work_dir)
    silent = [utt for utt in recordings if utt not in texts]
    if len(silent) == len(recordings):
        raise DataError(f"{corpus_dir / WAV}: none of {len(silent)} recordings has a transcript in {TRANSCRIPT.name}")
    if silent:
        log.warning(
            "%d of %d recordings have no transcript and are left out, such as %s",
            len(silent),
            len(recordings),
            silent[0],
        )
    missing = sorted(texts.keys() - recordings.keys())
    if missing and partial:
        log.warning("%d of %d transcripts have no recording here, such as %s", len(missing), len(texts), missing[0])
    splits = _splits({utt: found for utt, found in recordings.items() if utt in texts}, texts)
    if not partial:
        _check_whole(corpus_dir, splits, len(recordings), missing)
    return splits


def _recordings(root: Path) -> Iterator[Found]:
    for split in SPLITS:
        for path in sorted((root / split).glob("*/*.wav")):
            if _SPEAKER.fullmatch(path.parent.name):
                yield Found(path, split, path.parent.name)


def _splits(found: dict[str, Found], texts: dict[str, str]) -> "dict[str, Split]":
    from lhotse import SupervisionSegment

    from asrpar.corpus.audio.files import probe
    from asrpar.corpus.manifests import Split

    splits = {name: Split([], []) for name in SPLITS}
    problems: list[str] = []
    for utt, one in found.items():
        try:
            recording = probe(one.path, utt)
        except DataError as e:
            problems.append(str(e))
            continue
        supervision = SupervisionSegment(
            id=utt,
            recording_id=utt,
            start=0.0,
            duration=recording.duration,
            channel=0,
            text=texts[utt],
            language="Chinese",
            speaker=one.speaker,
        )
        splits[one.split].recordings.append(recording)
        splits[one.split].supervisions.append(supervision)
    _refuse(next(iter(found.values())).path.parents[2], problems)
    return {name: split for name, split in splits.items() if split.supervisions}


def _check_whole(corpus_dir: Path, splits: "dict[str, Split]", recordings: int, missing: Sequence[str]) -> None:
    """Compare with the published counts; recordings that are missing are told first, for that is why they are off."""
    if missing:
        speakers = {utt[6:11] for utt in missing}
        raise DataError(
            f"{corpus_dir / WAV}: {len(missing)} transcripts of {len(speakers)} speakers have no recording; the "
            f"first: {missing[0]}. Where an archive was unpacked half-way, delete that speaker's folder; if it holds a "
            "part of the corpus on purpose, say so with --partial"
        )
    counts = [Count("recordings", recordings, RECORDINGS)]
    for name, (speakers, utterances, characters) in SPLITS.items():
        supervisions = splits[name].supervisions if name in splits else []
        counts += [
            Count(f"speakers of {name}", len({s.speaker for s in supervisions}), speakers),
            Count(f"utterances of {name}", len(supervisions), utterances),
        ]
        if characters:
            here = sum(len((s.text or "").replace(" ", "")) for s in supervisions)
            counts.append(Count(f"characters of {name}", here, characters))
    check_counts("AISHELL-1", corpus_dir, counts)


def _refuse(where: Path, problems: Sequence[str]) -> None:
    if problems:
        raise DataError(
            problems[0] if len(problems) == 1 else f"{where}: {len(problems)} problems; the first: {problems[0]}"
        )


def _archive(name: str, size: int, md5: str, *provides: str) -> Archive:
    hosts = ("https://www.openslr.org", "https://openslr.elda.org")
    urls = tuple(f"{host}/resources/33/{name}.tgz" for host in hosts)
    return Archive(urls=urls, provides=provides, md5=md5, size=size)


CORPUS = Corpus(
    parts={
        "data": (
            _archive("data_aishell", 15_582_913_665, "2f494334227864a8a8fec932999db9d8", str(TRANSCRIPT), str(WAV)),
        ),
        "resource": (_archive("resource_aishell", 1_246_920, "957d480a0fcac85fc18e550756f624e5", str(LEXICON)),),
    },
    default_parts=("data", "resource"),
    check=check,
    prepare=prepare,
    normalise=normalise,
    dictionary=dictionary,
    sampling_rate=RATE,
    counted=True,
)
