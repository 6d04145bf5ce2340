"""The synthetic corpus: connected digits and short commands, spoken by espeak-ng, in noise.

Every utterance follows from (settings, split, index) alone, so the corpus is the same bytes each time, in whatever
order and by however many processes it is made.

A corpus folder holds::

    wav/<split>/<speaker>/<utterance>.wav   16-bit mono
    text.<split>                            Kaldi form, sorted: utterance WORD WORD ...
    lexicon.txt                             Kaldi form
    utterances.jsonl                        how each utterance was made
    corpus.json                             settings and espeak-ng's version; written last
"""

import json
import math
import os
import wave
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.config import check
from asrpar.corpus.synthetic import espeak
from asrpar.corpus.synthetic.config import SyntheticConfig, speaker_of
from asrpar.corpus.synthetic.noise import add_noise, babble_noise, pink_noise, unit_power, white_noise
from asrpar.corpus.synthetic.words import draw_sentence, lexicon_text, spoken_text
from asrpar.errors import DataError
from asrpar.files.json_files import read_json_if_any
from asrpar.files.lock import alone_with
from asrpar.files.replacing import replacing_folder
from asrpar.log import get_logger
from asrpar.workers import Workers

log = get_logger(__name__)

# A voice, and its clean speech (S,) float64 at the corpus's rate.
Talker = tuple[str, np.ndarray]


def synthesize_corpus(config: SyntheticConfig, output: Path, num_jobs: int | None = None) -> bool:
    """Make the corpus in the folder ``output``, all of it or nothing.

    Args:
        config: settings.
        output: an older synthetic corpus there is replaced, unless it is this one.
        num_jobs: processes; None for one per usable core. The result does not depend on it.

    Returns:
        False if ``output`` holds this very corpus already.

    Raises:
        ConfigError: impossible settings. DataError: espeak-ng is unusable, or ``output`` holds something else.
    """
    check(config)
    output = Path(output).resolve()  # a link to a folder stays
    with _processes(num_jobs or len(os.sched_getaffinity(0))) as pool:
        header = {"settings": asdict(config), "espeak_ng": pool.submit(_check_voices, config).result()}
        if _is_made(output, header):
            return False
        with alone_with(output):
            _replace(config, header, output, pool)
    return True


@contextmanager
def _processes(num_jobs: int) -> Iterator[Workers]:
    """Processes for espeak-ng, which can crash, and whose state must be nobody else's.

    They are spawned: a fork would inherit the locks of whatever threads the caller runs.
    """
    try:
        with Workers(num_jobs, "spawn", begin=_mute) as pool:
            yield pool
    except BrokenProcessPool as e:
        raise DataError(
            "espeak-ng crashed: its files are damaged, pip install --force-reinstall espeakng-loader"
        ) from e


def _mute() -> None:
    """Drop what the library prints: it is many lines, and errors come back as exceptions."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _check_voices(config: SyntheticConfig) -> str:
    version = espeak.version()
    for split in config.splits().values():
        for voice in split.voices:
            espeak.check_voice(voice)
    return version


def _replace(config: SyntheticConfig, header: dict[str, Any], output: Path, pool: Workers) -> None:
    if output.exists() and not (output / "corpus.json").is_file() and (output.is_file() or any(output.iterdir())):
        raise DataError(f"{output} exists and is not a synthetic corpus: give another --output, or remove it")
    with replacing_folder(output) as new:
        _make(config, header, new, pool)


def _is_made(output: Path, header: dict[str, Any]) -> bool:
    try:
        if read_json_if_any(output / "corpus.json") != header:
            return False
        with open(output / "utterances.jsonl", encoding="utf-8") as lines:
            return all((output / json.loads(line)["wav"]).is_file() for line in lines)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def _make(config: SyntheticConfig, header: dict[str, Any], folder: Path, pool: Workers) -> None:
    tasks = [(split, index) for split, s in config.splits().items() for index in range(s.utterances)]
    for split, settings in config.splits().items():
        for voice in settings.voices:
            (folder / "wav" / split / speaker_of(voice)).mkdir(parents=True)
    log.info("speaking %d utterances", len(tasks))
    talking = {split: pool.submit(speak_talkers, config, split) for split in config.splits()}
    talkers = {split: future.result() for split, future in talking.items()}
    num_parts = min(8, len(tasks))  # few, as each takes the talkers along
    parts = [pool.submit(_speak_part, config, tasks[i::num_parts], talkers, folder) for i in range(num_parts)]
    made = [part.result() for part in parts]
    utterances = sorted((u for part in made for u in part), key=lambda u: u["id"])
    for split in config.splits():
        lines = [f"{u['id']} {u['text']}\n" for u in utterances if u["split"] == split]
        (folder / f"text.{split}").write_text("".join(lines), encoding="utf-8")
    (folder / "lexicon.txt").write_text(lexicon_text(), encoding="utf-8")
    (folder / "utterances.jsonl").write_text("".join(json.dumps(u) + "\n" for u in utterances), encoding="utf-8")
    (folder / "corpus.json").write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")


def _speak_part(
    config: SyntheticConfig, tasks: list[tuple[str, int]], talkers: dict[str, list[Talker]], folder: Path
) -> list[dict[str, Any]]:
    made = []
    for split, index in tasks:
        samples, facts = synthesize_utterance(config, split, index, talkers[split])
        with wave.open(str(folder / facts["wav"]), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(config.sampling_rate)
            file.writeframes(samples.astype("<i2").tobytes())
        made.append(facts)
    return made


def synthesize_utterance(
    config: SyntheticConfig, split: str, index: int, talkers: list[Talker]
) -> tuple[np.ndarray, dict[str, Any]]:
    """Utterance number ``index`` of ``split``; ``talkers``, from `speak_talkers`, are who babbles behind it.

    Returns:
        Samples (S,) int16 at ``config.sampling_rate``, and what they are: id, split, speaker, wav (path inside the
        corpus), text, voice, rate, pitch, noise, snr (dB), level (dB), seconds, and times: begin and end in seconds of
        each word.
    """
    rng = np.random.default_rng([config.seed, _number(config, split), index, 0])
    voices = config.splits()[split].voices
    voice = voices[index % len(voices)]
    words = draw_sentence(rng, int(rng.integers(config.words_min, config.words_max + 1)), config.digits_share)
    rate, pitch = _pick(rng, config.rates), _pick(rng, config.pitches)
    noise_kind, snr, level = _pick(rng, config.noises), _pick(rng, config.snrs), _pick(rng, config.levels)

    spoken, spans = _voice_samples(config, rng, words, voice, rate, pitch)
    speech = unit_power(spoken) * 10 ** (level / 20)
    before, after = (round(s * config.sampling_rate) for s in rng.uniform(config.padding_min, config.padding_max, 2))
    speech_power = 10 ** (level / 10)
    speech = np.pad(speech, (before, after))
    if noise_kind == "white":
        noise = white_noise(rng, len(speech))
    elif noise_kind == "pink":
        noise = pink_noise(rng, len(speech), config.sampling_rate)
    else:
        others = [samples for who, samples in talkers if who != voice] or [samples for _, samples in talkers]
        chosen = rng.permutation(len(others))[: config.babble_talkers]
        noise = babble_noise(rng, len(speech), [others[i] for i in chosen])
    mixture = add_noise(speech, noise, snr, speech_power)
    mixture *= min(1.0, 0.99 / np.max(np.abs(mixture)))  # quieter rather than clipped
    samples = np.round(mixture * 32767).astype(np.int16)

    speaker = speaker_of(voice)
    utterance = f"{speaker}-{index:05d}"
    return samples, {
        "id": utterance,
        "split": split,
        "speaker": speaker,
        "wav": f"wav/{split}/{speaker}/{utterance}.wav",
        "text": " ".join(words),
        "voice": voice,
        "rate": rate,
        "pitch": pitch,
        "noise": noise_kind,
        "snr": snr,
        "level": level,
        "seconds": len(samples) / config.sampling_rate,
        "times": [[round(t + before / config.sampling_rate, 4) for t in span] for span in spans],
    }


def speak_talkers(config: SyntheticConfig, split: str) -> list[Talker]:
    """The people who babble in the background of ``split``: its own voices, four times as many as talk at once."""
    if "babble" not in config.noises:
        return []
    voices = config.splits()[split].voices
    talkers = []
    for index in range(4 * config.babble_talkers):
        # The fourth number sets these apart from the utterances' own random numbers.
        rng = np.random.default_rng([config.seed, _number(config, split), index, 1])
        words = draw_sentence(rng, config.words_max, config.digits_share)
        voice = voices[index % len(voices)]
        rate, pitch = _pick(rng, config.rates), _pick(rng, config.pitches)
        talkers.append((voice, _voice_samples(config, rng, words, voice, rate, pitch)[0]))
    return talkers


def _voice_samples(
    config: SyntheticConfig, rng: np.random.Generator, words: list[str], voice: str, rate: int, pitch: int
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Clean speech (S,) float64 at the corpus's rate, without the silence around it; begin and end of words in it."""
    from scipy.signal import resample_poly

    seed, text = int(rng.integers(1, 2**31)), spoken_text(words)
    samples, source_rate, spans = espeak.speak(text, voice, rate=rate, pitch=pitch, seed=seed)
    if None in spans:
        raise DataError(f"espeak-ng does not say where the words of '{text}' are with voice '{voice}'")
    common = math.gcd(source_rate, config.sampling_rate)
    speech = resample_poly(samples / 32768.0, config.sampling_rate // common, source_rate // common)
    loud = np.flatnonzero(np.abs(speech) > 0.01 * np.max(np.abs(speech)))
    if len(loud) == 0:
        raise DataError(f"espeak-ng said nothing for '{text}' with voice '{voice}'")
    first, last = loud[0] / config.sampling_rate, (loud[-1] + 1) / config.sampling_rate
    times = [(np.clip(a / source_rate, first, last), np.clip(b / source_rate, first, last)) for a, b in spans]
    return speech[loud[0] : loud[-1] + 1], [(float(a - first), float(b - first)) for a, b in times]


def _number(config: SyntheticConfig, split: str) -> int:
    return list(config.splits()).index(split)


def _pick(rng: np.random.Generator, choices: list) -> Any:
    return choices[int(rng.integers(len(choices)))]
