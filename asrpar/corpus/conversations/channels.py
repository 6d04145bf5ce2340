"""Whether the transcripts of a call's sides stand on the channels on which they are heard."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from asrpar.corpus.audio.files import open_audio
from asrpar.corpus.conversations.calls import SIDES, Turn

FRAME = 0.01  # s
FLOOR = 1e-8  # of the energy of a frame, full scale 1: about one step of 16 bits
MARGIN = 3.0  # dB, by which the other channel has to be louder


def louder_by(audio: Path, turns: Mapping[str, Sequence[Turn]]) -> float:
    """How much louder (dB) a side's channel is than the other one while it talks, on average; 0 if nobody does.

    Args:
        audio: a file of two channels.
        turns: by side, only those with words.

    Raises:
        DataError: the audio cannot be read.
    """
    with open_audio(audio) as file:
        samples, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    width = round(FRAME * rate)
    frames = samples[: len(samples) // width * width, : len(SIDES)].reshape(-1, width, len(SIDES))
    levels = 10 * np.log10((frames**2).mean(axis=1) + FLOOR)
    found = []
    for own, side in enumerate(SIDES):
        for turn in turns.get(side, []):
            heard = levels[int(turn.start / FRAME) : int(turn.end / FRAME)]
            found.append(heard[:, own] - heard[:, 1 - own])
    return float(np.concatenate(found).mean()) if found else 0.0
