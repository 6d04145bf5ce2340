"""Entries of ``wav.scp``. Commands come with the data, so they are run only where the user says so."""

import logging
import os
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import quote

from asrpar.corpus.audio.files import decode_to_wav
from asrpar.errors import DataError
from asrpar.files.paths import naming
from asrpar.launch.safepath import users_environment

log = logging.getLogger("asrpar.corpus")


_ARCHIVE_ENTRY = re.compile(r".*:\d+(\[[^]]*\])?")


def audio_file(rec: str, entry: str, allow_pipes: bool) -> Path | None:
    """The file of an entry of ``wav.scp``; None for a command that has to be run.

    ``flac -c -d -s FILE |``, the form that Kaldi's recipes use, is a flac file.

    Raises:
        DataError: a command where those are not allowed, or an entry that is not read.
    """
    if entry.startswith("|"):
        raise DataError(f"'{rec}': '{entry}' is a pipe to write to, not to read from")
    if entry.endswith("|"):
        flac = plain_flac(entry)
        if flac is None and not allow_pipes:
            raise DataError(
                f"'{rec}' is a command ({entry}), and commands from data are not run unless you allow it: look through "
                "wav.scp, then give --allow-pipes, or replace the commands by audio files"
            )
        return None if flac is None else Path(flac)
    if _ARCHIVE_ENTRY.fullmatch(entry) and not Path(entry).exists():
        raise DataError(f"'{rec}': audio inside an archive ({entry}) is not read; write wav files with wav-copy")
    return Path(entry)


def plain_flac(entry: str) -> str | None:
    """The file of ``flac -c -d -s FILE |`` (options in any order), which needs no command here; None otherwise."""
    try:
        words = shlex.split(entry.strip()[:-1])
    except ValueError:
        return None
    if (
        len(words) == 5
        and words[0] == "flac"
        and sorted(words[1:4]) == ["-c", "-d", "-s"]
        and words[4][:1] not in ("", "-")
    ):
        # A shell would have expanded these; then it is not this plain form.
        quoted = entry.strip()[:-1].strip().endswith(("'", '"'))
        return words[4] if quoted or not set("$`*?[]{}<>|&;()~") & set(words[4]) else None
    return None


def run_pipe(rec: str, entry: str, work_dir: Path) -> Path:
    """Run the command of one recording in bash, as Kaldi would, and keep its wav output as 16-bit wav.

    Args:
        rec: the recording's id, which names the file.
        entry: ``command |``.
        work_dir: where the file goes.

    Returns:
        The wav file. One from an earlier run of the same command is used again.

    Raises:
        DataError: the command failed, or wrote no wav.
    """
    command = entry.strip()[:-1].strip()
    work_dir.mkdir(parents=True, exist_ok=True)
    target = work_dir / f"{quote(rec, safe='')}.wav"
    stamp = target.with_suffix(".command")
    if target.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == command:
        return target
    raw = work_dir / f".{target.name}.{os.getpid()}.pipe"
    try:
        with raw.open("wb") as out:
            done = subprocess.run(
                ["bash", "-c", f"set -o pipefail\n{command}"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                env=users_environment(),
            )
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().split("\n")[-1]
            raise DataError(f"'{rec}': the command '{command}' ended with {done.returncode}: {last}")
        try:
            decode_to_wav(raw, target)
        except DataError as e:
            raise DataError(f"'{rec}': the command '{command}' wrote no readable audio: {e}") from e
    except FileNotFoundError as e:
        raise DataError(f"'{rec}': pipes in wav.scp need bash, which is not installed") from e
    finally:
        raw.unlink(missing_ok=True)
    with naming(stamp):
        stamp.write_text(command, encoding="utf-8")
    return target
