"""Small audio files, sound and broken, and how a check's finding is looked up: for the tests of validate-data."""

import wave

import numpy as np
import soundfile

from asrpar.corpus.checks.folders import check_paths
from asrpar.corpus.problems import Problem

RATE = 8000


def write_wav(path, seconds=1.0, rate=RATE):
    samples = (np.random.default_rng(0).standard_normal(round(seconds * rate)) * 3000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def validate_kaldi_dir(path, limits=None):
    return check_paths([path], "kaldi", limits)[1]


def validate_manifests(path, limits=None):
    return check_paths([path], "manifests", limits)[1]


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def nan_wav(path):
    samples = np.zeros(RATE, np.float32)
    samples[[7, 8]] = np.nan, np.inf
    soundfile.write(str(path), samples, RATE, subtype="FLOAT")


def assert_found(problems, folder, place, message, warning=False):
    start = f"{folder}/{place}: {'warning: ' if warning else ''}"
    assert any(str(p).startswith(start) and message in str(p) for p in problems), [str(p) for p in problems]
    assert all(isinstance(p, Problem) and "\n" not in str(p) for p in problems)
