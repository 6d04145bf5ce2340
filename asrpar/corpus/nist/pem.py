"""PEM: the segments of conversations that are to be recognised, ``en_4156 A unknown_speaker 301.85 302.48``."""

import math
from dataclasses import dataclass
from pathlib import Path

from asrpar.corpus.nist.text import old_lines
from asrpar.errors import DataError


@dataclass(frozen=True, order=True)
class PemSegment:
    """``start`` and ``end`` in seconds."""

    recording: str
    channel: str
    start: float
    end: float


def read_pem(path: str | Path) -> list[PemSegment]:
    """The segments in the file's order, each once; lines that begin with ``;;`` are comments.

    Raises:
        MissingInputError: no such file. DataError: another kind of line, with its number; no segments.
    """
    found: dict[PemSegment, None] = {}
    for number, line in old_lines(path):
        if line.lstrip().startswith(";;"):
            continue
        fields = line.split()
        try:
            recording, channel, _, start, end = fields
            segment = PemSegment(recording, channel.upper(), float(start), float(end))
            if not 0 <= segment.start < segment.end < math.inf:
                raise ValueError(line)
        except ValueError as e:
            raise DataError(f"{path}:{number}: expected 'CONVERSATION A SPEAKER BEGIN END', found {line!r}") from e
        found[segment] = None
    if not found:
        raise DataError(f"{path} has no segments: it is no PEM file")
    return list(found)
