"""Checks of features that Kaldi made: every matrix's header, and the numbers of many."""

import struct
from pathlib import Path

from asrpar.corpus.checks.report import Limits
from asrpar.corpus.kaldi.ark import read_matrix, scp_entries
from asrpar.corpus.kaldi.tables import Table
from asrpar.corpus.problems import Problems
from asrpar.errors import DataError

READ = 500  # matrices whose numbers are looked at without --read-audio
# Bytes of a value and of the header of a column, by what an entry begins with.
_KINDS = {b"FM \4": (4, 0), b"DM \4": (8, 0), b"CM ": (1, 8), b"CM2 ": (2, 0), b"CM3 ": (1, 0)}


def check_feats(problems: Problems, scp: Path, rows: Table, limits: Limits) -> None:
    """Check the archives behind a feats.scp, and note what cannot be used.

    Args:
        problems: takes what is wrong.
        scp: the table's file.
        rows: its lines that are well-formed.
        limits: with ``read_audio`` all numbers are read; otherwise those of `READ` matrices, evenly chosen.
    """
    try:
        entries = scp_entries(scp, rows)
    except DataError as e:
        problems.error(scp, f"cannot be used: {e}")
        return
    sound = []
    widths: dict[int, str] = {}
    for utterance, (archive, offset) in entries.items():
        shape, fault = _header(archive, offset)
        if fault:
            problems.error(rows[utterance].place, f"features of '{utterance}' at {archive}:{offset} {fault}")
            continue
        sound.append(utterance)
        if shape is None:
            continue
        first = widths.setdefault(shape[1], utterance)
        if len(widths) > 1 and first == utterance:
            usual, those = next(iter(widths.items()))
            what = f"'{utterance}' has {shape[1]} features a frame, '{those}' has {usual}"
            problems.error(rows[utterance].place, what)
    step = 1 if limits.read_audio else max(1, -(-len(sound) // READ))
    for utterance in sound[::step]:
        try:
            read_matrix(utterance, *entries[utterance])
        except DataError as e:
            problems.error(rows[utterance].place, f"features of '{utterance}' cannot be used: {e}")


def _header(archive: str, offset: int) -> tuple[tuple[int, int] | None, str | None]:
    """((frames, width), None) of a binary matrix, (None, None) of one in text form, or (None, what is wrong)."""
    size = Path(archive).stat().st_size
    with open(archive, "rb") as file:
        file.seek(offset)
        head = file.read(22)
    if head[:2] != b"\0B":
        return None, None if head.lstrip().startswith(b"[") else "are no matrix in Kaldi's form"
    name = next((name for name in _KINDS if head[2:].startswith(name)), None)
    if name is None:
        return None, f"are no matrix, but begin with {head[2:6]!r}"
    # Compressed ones begin with two floats (8 bytes); in others a byte stands before each number.
    at, gap, begin = (len(name) + 10, 4, len(name) + 18) if name[:1] == b"C" else (6, 5, 15)
    head = head.ljust(22, b"\0")
    rows, columns = struct.unpack_from("<i", head, at)[0], struct.unpack_from("<i", head, at + gap)[0]
    there = size - offset - begin
    if rows <= 0 or columns <= 0 or columns * (rows * _KINDS[name][0] + _KINDS[name][1]) > there:
        return None, f"are damaged or cut short: {max(there, 0)} bytes are there of {rows} frames of {columns} values"
    return (rows, columns), None
