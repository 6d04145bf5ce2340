"""Stage 1 of Switchboard and Fisher: from files to train and dev."""

import logging
from pathlib import Path
from typing import Any

from asrpar.corpus.conversations import fisher, selecting, switchboard
from asrpar.corpus.conversations.files import Found, check_found, find_files
from asrpar.corpus.conversations.manifests import UNREADABLE, Reader
from asrpar.corpus.conversations.tally import Tally
from asrpar.corpus.conversations.words import NOISES, Normaliser
from asrpar.corpus.counts import Count, check_counts
from asrpar.corpus.manifests import Split
from asrpar.errors import DataError

log = logging.getLogger("asrpar.corpus")

REPORT = "report_swbd.txt"


def find_corpus(corpus_dir: Path, size: str) -> tuple[Found, Normaliser]:
    """The files, and the normaliser that knows the acronyms of the dictionary and of Fisher, if it is there.

    Raises:
        DataError: some are missing.
    """
    found = find_files(corpus_dir)
    check_found(found, size)
    entries = switchboard.read_dictionary(found.tables["dict"][0])
    return found, Normaliser(switchboard.spelled_words(entries) | fisher.spelled_words(found))


def prepare_swbd(corpus_dir: Path, output: Path, settings: Any, partial: bool = False) -> dict[str, Split]:
    """The splits, and `REPORT` in ``output``.

    Args:
        corpus_dir: with everything somewhere below it.
        output: folder of the manifests.
        settings: of `asrpar.corpus.corpora.swbd`.
        partial: counts are not compared with those of the whole corpus.

    Raises:
        DataError: see `find_corpus`, `check_counts`; a line of another form; nothing to train on.
    """
    found, normaliser = find_corpus(corpus_dir, settings.size)
    whole = settings.size == "swb2000"
    if not partial:  # before anything is read
        check_counts(settings.size, corpus_dir, _counts_of_files(found, whole))
    tally = Tally()
    for path in found.twice:
        tally.add("files that are there twice, the first was taken", str(path), warn=True)
    _tell_lone_audio(found, whole, tally)
    reader = Reader(normaliser, tally, settings.max_seconds, settings.spoken_only)
    split = reader.read(switchboard.read_calls(found, tally))
    if not split.supervisions:
        reason = tally.first(UNREADABLE.format("Switchboard")) or "no audio and transcript are of the same call"
        raise DataError(f"{corpus_dir}: no call of Switchboard can be used: {reason}")
    if not partial:
        check_counts(settings.size, corpus_dir, _counts_of_switchboard(split, found))
    if settings.dev == "first":
        dev, train, rest = selecting.first(split.supervisions, settings.dev_size)
    else:
        dev, train, rest = selecting.by_speakers(split.supervisions, settings.dev_size, settings.seed)
    for utterance in rest:
        tally.add("utterances dropped, of dev's last speaker beyond dev_size", utterance.id)
    recordings = split.recordings
    if whole:
        more = reader.read(fisher.read_calls(found, tally))
        if not partial:
            check_counts(settings.size, corpus_dir, _counts_of_fisher(more))
        recordings = [*recordings, *more.recordings]
        train += more.supervisions
    if settings.max_copies:
        train, out = selecting.capped(train, settings.max_copies, settings.seed)
        for text, count in out.most_common():
            tally.add(f"utterances left out of train, beyond {settings.max_copies} of the same text", text, count)
    for token, count in normaliser.odd.most_common():
        tally.add("words with characters or marks that are not part of the markup, which were left out", token, count)
    tally.write(output / REPORT)
    tally.log(log)
    log.info("%s tells of what was left out, and of whom", output / REPORT)
    return {"train": _with_recordings(recordings, train), "dev": _with_recordings(recordings, dev)}


def _with_recordings(recordings: list, supervisions: list) -> Split:
    used = {s.recording_id for s in supervisions}
    return Split([r for r in recordings if r.id in used], supervisions)


def _tell_lone_audio(found: Found, whole: bool, tally: Tally) -> None:
    for call in sorted(found.switchboard.keys() - found.calls().keys()):
        tally.add("calls of Switchboard with audio and without transcript", f"sw0{call}")
    if whole:
        for call in sorted(found.fisher.keys() - found.fisher_text.keys()):
            tally.add("calls of Fisher with audio and without transcript", f"fe_03_{call}")


def _counts_of_files(found: Found, whole: bool) -> list[Count]:
    """Of Switchboard there are two editions, with 2,435 and 2,438 files (Kaldi pull request 1144)."""
    counts = [
        Count("Sphere files of Switchboard", len(found.switchboard), (2435, 2438)),
        Count("sides of Switchboard with a transcript", len(found.trans), 4876),
    ]
    if whole:
        counts += [
            Count("Sphere files of Fisher", len(found.fisher), 11699),
            Count("transcripts of Fisher", len(found.fisher_text), 11699),
        ]
    return counts


def _counts_of_switchboard(split: Split, found: Found) -> list[Count]:
    """RWTH counts 249,536 segments with words, 311.62 h, without 2167 B (i6_core); half a percent for other rules."""
    spoken = [s for s in split.supervisions if not set(s.text.split()) <= set(NOISES)]
    counts = [
        Count("utterances of Switchboard with words", len(spoken), 249536, tolerance=1250),
        Count("hours of Switchboard with words", sum(s.duration for s in spoken) / 3600, 311.62, tolerance=1.6),
    ]
    if found.table("conv") is not None:
        counts.append(Count("callers of Switchboard by its tables", len(split.speakers), 520, tolerance=23))
    return counts


def _counts_of_fisher(split: Split) -> list[Count]:
    """Kaldi has 1,761 h (multi_en), after the same was dropped; others of its rules differ a little."""
    return [Count("hours of Fisher", split.seconds / 3600, 1761, tolerance=53)]
