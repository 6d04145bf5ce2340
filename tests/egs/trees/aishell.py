"""AISHELL-1 as distributed: ``data_aishell`` with a tar file for each speaker, and ``resource_aishell/lexicon.txt``.

With real speech it has 1,000 utterances of two speakers, and 20 of others in the test set. Their texts are brought to
the form that AISHELL-1's have: words with spaces between them, characters and letters alone.
"""

import io
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from trees.mandarin import OTHERS, SENTENCES, lexicon_lines
from trees.speech import RATE, resample

# Recordings without transcript, as the original has some.
UNTRANSCRIBED = 3
_DIGITS = str.maketrans("0123456789.", "零一二三四五六七八九点")
# Not said: brackets, marks of noise, dots in names, and marks of byte order.
_UNSAID = re.compile(r"\[\w+\]|[()（）·\ufeff]")


class Utterance(NamedTuple):
    """One recording: id, speaker, split, words (empty: no transcript), and what gives its 16-bit samples (S,)."""

    id: str
    speaker: str
    split: str
    words: tuple[str, ...]
    load: Callable[[], np.ndarray]


def make_aishell(folder: Path, corpora: Path | None = None, *, apart: bool = False) -> Path:
    """Write the tree below ``folder``; returns it.

    Args:
        folder: which ``--corpus-dir`` then names.
        corpora: that of ASRPAR_CORPORA, for real speech; None for espeak-ng's.
        apart: of real speech, no speaker is in two sets: one to train on, the other for dev and test. By default
            both are in all, each tenth utterance of theirs in dev and in test.
    """
    return write_aishell(folder, _spoken() if corpora is None else _recorded(corpora, apart))


def write_aishell(folder: Path, utterances: Iterable[Utterance]) -> Path:
    """Write a tree of such utterances below ``folder``, which may exist; returns it."""
    utterances = list(utterances)
    texts = {u.id: " ".join(u.words) for u in utterances if u.words}
    (folder / "data_aishell/transcript").mkdir(parents=True)
    lines = "".join(f"{utt} {text}\n" for utt, text in sorted(texts.items()))
    (folder / "data_aishell/transcript/aishell_transcript_v0.8.txt").write_text(lines, encoding="utf-8")
    wav = folder / "data_aishell/wav"
    wav.mkdir()
    for speaker in sorted({u.speaker for u in utterances}):
        with tarfile.open(wav / f"{speaker}.tar.gz", "w:gz", compresslevel=1) as tar:
            for u in utterances:
                if u.speaker == speaker:
                    _add(tar, f"{u.split}/{speaker}/{u.id}.wav", u.load())
    (folder / "resource_aishell").mkdir()
    words = {word for u in utterances for word in u.words}
    (folder / "resource_aishell/lexicon.txt").write_text("\n".join(lexicon_lines(words)) + "\n", encoding="utf-8")
    return folder


def unpack_in_place(folder: Path, *, keep: bool) -> None:
    """Unpack the speakers' archives where they lie, as Kaldi's recipe does, which then deletes them."""
    for archive in sorted((folder / "data_aishell/wav").glob("*.tar.gz")):
        shutil.unpack_archive(archive, archive.parent, filter="data")
        if not keep:
            archive.unlink()


def _add(tar: tarfile.TarFile, name: str, samples: np.ndarray) -> None:
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, format="WAV", subtype="PCM_16")
    entry = tarfile.TarInfo(name)
    entry.size = content.tell()
    content.seek(0)
    tar.addfile(entry, content)


def _spoken() -> Iterator[Utterance]:
    """Two speakers to train on, who say the same sentences, one for dev and one for test, who say others."""
    for speaker, split, voice, sentences in (
        ("S0002", "train", "cmn+m1", SENTENCES),
        ("S0003", "train", "cmn+f2", SENTENCES),
        ("S0724", "dev", "cmn+m3", OTHERS[:5]),
        ("S0764", "test", "cmn+f4", OTHERS[5:]),
    ):
        for number, sentence in enumerate(sentences, 122):
            words = tuple(sentence.split())
            yield Utterance(f"BAC009{speaker}W{number:04d}", speaker, split, words, _voice(sentence, voice))
    yield Utterance("BAC009S0003W0499", "S0003", "train", (), _voice(SENTENCES[0], "cmn+f2"))


def _voice(sentence: str, voice: str) -> Callable[[], np.ndarray]:
    def load() -> np.ndarray:
        from asrpar.corpus.synthetic import espeak

        spoken = espeak.speak(sentence, voice, rate=170, pitch=50, seed=1)
        samples = resample(spoken.samples.astype(np.float32), spoken.rate, RATE)
        return np.clip(np.round(samples), -32768, 32767).astype(np.int16)

    return load


def _recorded(corpora: Path, apart: bool) -> Iterator[Utterance]:
    texts = _texts(corpora / "aishell_sample/transcript.txt")
    others = _texts(corpora / "aishell_20utt/text.derived")
    words = _segmented([*texts.values(), *others.values()])
    for number, (utt, text) in enumerate(texts.items()):
        speaker = utt[6:11]
        load = _file(corpora / "aishell_sample/flac" / speaker / f"{utt}.flac")
        said = tuple(_full_width(word) if number % 3 == 0 else word for word in words[text])
        yield Utterance(utt, speaker, _split(utt, apart), said, load)
        if number < UNTRANSCRIBED:
            yield Utterance(f"BAC009{speaker}W{901 + number:04d}", speaker, _split(utt, True), (), load)
    # Whose they are is not known: each is its own speaker, for a wrong one would spoil their normalisation.
    for number, (name, text) in enumerate(sorted(others.items()), 1):
        speaker, (place, file) = f"S9{number:03d}", name.split("-")
        load = _file(corpora / "aishell_20utt" / place / "audios" / f"{file}.wav")
        yield Utterance(f"BAC009{speaker}W0122", speaker, "test", words[text], load)


def _split(utt: str, apart: bool) -> str:
    speaker, number = utt[6:11], int(utt[12:])
    if apart:
        return "train" if speaker == "S0150" else "dev" if number % 5 == 0 else "test"
    return {0: "dev", 5: "test"}.get(number % 10, "train")


def _texts(path: Path) -> dict[str, str]:
    """Utterance → text without what AISHELL-1 has not; letters that are not spelled keep spaces around them."""
    texts = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        utt, text = line.split(" ", 1)
        text = _UNSAID.sub("", text).translate(_DIGITS)
        text = re.sub(r"([A-Za-zＡ-Ｚ]+)", r" \1 ", text)
        texts[utt] = " ".join(text.split())
    return texts


def _segmented(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Text → words: the longest of what stands at least three times in all texts, else single characters."""
    texts = set(texts)
    runs = [run for text in texts for run in text.split()]
    seen = Counter(run[i : i + n] for run in runs for n in (2, 3, 4) for i in range(len(run) - n + 1))
    known = {piece for piece, count in seen.items() if count >= 3}

    def words(run: str) -> Iterator[str]:
        while run:
            size = next((n for n in (4, 3, 2) if run[:n] in known and len(run) >= n), 1)
            yield run[:size]
            run = run[size:]

    return {text: tuple(w for run in text.split() for w in ((run,) if run.isascii() else words(run))) for text in texts}


def _full_width(word: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in word)


def _file(path: Path) -> Callable[[], np.ndarray]:
    return lambda: soundfile.read(path, dtype="int16")[0]
