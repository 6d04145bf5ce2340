"""What ranks tell each other of a training that stands still: in files, past the transport, which may be what hangs."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any


class Notices:
    """Files in ``EXP/log`` that all ranks see.

    Args:
        folder: that one.
        rank: who writes.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self.folder, self.rank = folder, rank
        self.marker_file, self.diagnosis_file = folder / "stalled", folder / "beats" / "diagnosis"
        # Those who did not answer, for whoever can end them.
        self.silent_file = folder / "beats" / "silent"

    def open(self) -> None:
        """Nothing of this rank's is left of an earlier run."""
        with suppress(OSError):
            (self.folder / "beats").mkdir(parents=True, exist_ok=True)
            self.close()

    def close(self) -> None:
        """Remove what this rank tells of itself."""
        self._file(self.rank).unlink(missing_ok=True)

    def forget(self) -> None:
        """There is no stall any more, or not yet."""
        for file in (self.marker_file, self.diagnosis_file, self.silent_file):
            file.unlink(missing_ok=True)

    def notice(self, marker: str) -> None:
        """Be the first to notice a stall; `FileExistsError` if another was."""
        with self.marker_file.open("x", encoding="utf-8") as file:
            file.write(marker)

    def noticed(self) -> str:
        """Who noticed a stall, and when; empty if nobody has."""
        return self.read(self.marker_file)

    def blame(self, rank: int, message: str) -> None:
        """Have a rank end, and say so."""
        with suppress(OSError):
            self._replace(self.diagnosis_file, f"{rank} {message}")

    def blamed(self) -> tuple[str, str]:
        """The rank that is to end, and what it is to say; empty if none is."""
        rank, _, message = self.read(self.diagnosis_file).partition(" ")
        return rank, message

    def call_silent(self, members: list[int]) -> None:
        """Some do not answer."""
        with suppress(OSError):
            self._replace(self.silent_file, json.dumps(members))

    def silent(self) -> list[int]:
        """Those who do not answer."""
        with suppress(ValueError, TypeError):
            return list(json.loads(self.read(self.silent_file) or "[]"))
        return []

    def tell(self, record: dict[str, Any]) -> None:
        """How far this rank is."""
        with suppress(OSError):
            self._replace(self._file(self.rank), json.dumps(record))

    def told(self, members: Iterable[int]) -> dict[int, str]:
        """What others of ``members`` have told last, as it stands in their files."""
        return {r: self.read(self._file(r)) for r in members if r != self.rank}

    def answers(self, members: Iterable[int], marker: str) -> dict[int, dict[str, Any]]:
        """By rank, what all have told since they know of the stall of this ``marker``."""
        found = {}
        for rank in members:
            with suppress(ValueError):
                record = json.loads(self.read(self._file(rank)) or "{}")
                if record.get("marker") == marker:
                    found[rank] = record
        return found

    def write(self, text: str) -> None:
        """Into this rank's log, not through logging: the thread that hangs may hold its lock."""
        with suppress(OSError), self.log(self.rank).open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def log(self, rank: int) -> Path:
        """A rank's log."""
        return self.folder / f"train.{rank}.log"

    def read(self, path: Path) -> str:
        """A file's text; empty if there is none."""
        try:
            return path.read_text(encoding="utf-8")
        except OSError:
            return ""

    def _file(self, rank: int) -> Path:
        return self.folder / "beats" / f"{rank}.json"

    def _replace(self, path: Path, text: str) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
