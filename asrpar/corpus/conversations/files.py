"""The files of Switchboard and Fisher, wherever below one folder their discs and archives were unpacked.

Everybody arranges them in a way of his own (and Linux users in capitals, too), but nobody renames them, so they are
found by name.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.text import BYTE_ORDER_MARK

_SWITCHBOARD = re.compile(r"sw0?(\d{4})\.sph")
_FISHER = re.compile(r"fe_03_(\d{5})\.(sph|txt)")
_TRANS = re.compile(r"sw(\d{4})([ab])-ms98-a-(trans|word)\.text")
_TABLES = {
    "conv": re.compile(r"conv_?tab(\.csv|\.tbl|\.tab)?|conv\.tab"),
    "caller": re.compile(r"caller_?tab(\.csv|\.tbl|\.tab)?|caller\.tab"),
    "calldata": re.compile(r"fe_03_p[12]_calldata\.tbl"),
    "pindata": re.compile(r"fe_03_pindata\.tbl"),
    "filelist": re.compile(r"fe_03_p[12]_filelist\.tbl|filetable2?\.txt"),
    "dict": re.compile(r"sw-ms98-dict\.text"),
    "cmudict": re.compile(r"cmudict\.dict"),
}


@dataclass
class Found:
    """Where things are.

    Attributes:
        root: the folder that was searched.
        switchboard: call (four digits) → Sphere file.
        trans, words: (call, side "A" or "B") → transcript and word times of Mississippi State.
        fisher: call (five digits) → Sphere file.
        fisher_text: call → transcript.
        tables: kind → files, sorted.
        twice: files that are there a second time, of the same size; the first by path is taken.
    """

    root: Path
    switchboard: dict[str, Path] = field(default_factory=dict)
    trans: dict[tuple[str, str], Path] = field(default_factory=dict)
    words: dict[tuple[str, str], Path] = field(default_factory=dict)
    fisher: dict[str, Path] = field(default_factory=dict)
    fisher_text: dict[str, Path] = field(default_factory=dict)
    tables: dict[str, list[Path]] = field(default_factory=dict)
    twice: list[Path] = field(default_factory=list)

    def table(self, kind: str) -> Path | None:
        """The first table of a kind, or None."""
        return next(iter(self.tables.get(kind, [])), None)

    def calls(self) -> dict[str, set[str]]:
        """Calls of Switchboard that have transcripts → their sides."""
        sides: dict[str, set[str]] = {}
        for call, side in self.trans:
            sides.setdefault(call, set()).add(side)
        return sides


def find_files(root: Path) -> Found:
    """Search ``root``, through links too.

    Raises:
        DataError: a file is there twice with different sizes.
    """
    found = Found(root)
    seen = {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, followlinks=True):
        folders.sort()
        for name in list(folders):
            real = os.path.realpath(os.path.join(folder, name))
            if real in seen:  # a link to what was searched already, or a circle of them
                folders.remove(name)
            seen.add(real)
        # Beside the transcripts proper Fisher has those of which they were made.
        original = "bbn_orig" in folder.lower().split(os.sep)
        for name in sorted(names):
            _place(found, Path(folder, name), name.lower(), original)
    return found


def check_found(found: Found, size: str) -> None:
    """Raise `DataError`, naming all that is missing and where it comes from.

    Args:
        found: what is there.
        size: swb300, swb2000, or text for all but the audio of Switchboard.
    """
    wanted = [
        (found.switchboard or size == "text", "Sphere files such as sw02001.sph (LDC97S62)"),
        (found.trans, "transcripts such as sw2001A-ms98-a-trans.text (OpenSLR 5, switchboard_word_alignments.tar.gz)"),
        (found.tables.get("dict"), "dictionary sw-ms98-dict.text (comes with the transcripts)"),
    ]
    if size == "swb2000":
        wanted += [
            (found.fisher, "Sphere files such as fe_03_00001.sph (LDC2004S13, LDC2005S13)"),
            (found.fisher_text, "transcripts such as fe_03_00001.txt (LDC2004T19, LDC2005T19)"),
        ]
    missing = [what for there, what in wanted if not there]
    if missing:
        raise DataError(f"{found.root} does not hold all of {size}: no {'; no '.join(missing)}")


def _place(found: Found, path: Path, name: str, original: bool) -> None:
    if match := _SWITCHBOARD.fullmatch(name):
        _keep(found, found.switchboard, match[1], path)
    elif match := _TRANS.fullmatch(name):
        kind = found.trans if match[3] == "trans" else found.words
        _keep(found, kind, (match[1], match[2].upper()), path)
    elif (match := _FISHER.fullmatch(name)) and not original:
        _keep(found, found.fisher if match[2] == "sph" else found.fisher_text, match[1], path)
    else:
        kind = next((kind for kind, pattern in _TABLES.items() if pattern.fullmatch(name)), None)
        if kind is not None:
            found.tables.setdefault(kind, []).append(path)


def _keep(found: Found, kind: dict, key: object, path: Path) -> None:
    first = kind.setdefault(key, path)
    if first != path:
        if first.stat().st_size != path.stat().st_size:
            raise DataError(f"{path.name} is there twice and not the same, as {first} and {path}: move one away")
        found.twice.append(path)


def lines_of(path: Path) -> list[tuple[int, str]]:
    """(number, line) of what holds something; where a byte is no UTF-8 the file is read as Latin 1, as it was made.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        raw = path.read_bytes().removeprefix(BYTE_ORDER_MARK)
    except OSError as e:
        raise DataError(f"{path} cannot be read: {e.strerror}") from e
    if b"\0" in raw:
        raise DataError(f"{path} has a zero byte in it: it is damaged, or no text")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return [(n, line.strip()) for n, line in enumerate(text.replace("\r", "").split("\n"), 1) if line.strip()]
