"""Where SCTK's programs are, and how they are run: in a folder of their own, on files whose names need no care."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from asrpar.errors import DataError, MissingInputError

# Debian's package has them here, and `sctk PROGRAM` in the search path.
DEBIAN = Path("/usr/lib/sctk/bin")
NEEDED = ("sclite", "sc_stats", "hubscr.pl", "csrfilt.sh", "rfilter1")


@dataclass(frozen=True)
class Sctk:
    """An installed SCTK: the ``folder`` of its programs."""

    folder: Path

    def run(self, program: str, *arguments: str, cwd: Path, given: Path | None = None) -> str:
        """What a program prints, both of its outputs.

        Args:
            program: one of SCTK's.
            arguments: options, and names of files in ``cwd`` without blanks or anything else that a shell would see:
                hubscr.pl pastes them into commands.
            cwd: where it runs.
            given: a file for its standard input.

        Raises:
            DataError: it failed; with the last line that says why.
        """
        environment = {
            **os.environ,
            "PATH": os.pathsep.join((str(self.folder), os.environ.get("PATH", os.defpath))),
            "LC_ALL": "C",
        }
        try:
            with open(given if given is not None else os.devnull, "rb") as standard_input:
                done = subprocess.run(
                    [str(self.folder / program), *arguments],
                    cwd=cwd,
                    env=environment,
                    stdin=standard_input,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
        except OSError as e:
            raise DataError(f"{self.folder / program} cannot be run ({e.strerror}): install SCTK anew, and Perl") from e
        printed = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            raise DataError(f"{program} stopped (exit code {done.returncode}): {_reason(printed)}")
        return printed

    def version(self) -> str:
        """That of sclite, which all counts come from."""
        # Without arguments it prints how it is used, and fails.
        done = subprocess.run(
            [str(self.folder / "sclite")], capture_output=True, text=True, errors="replace", check=False
        )
        found = re.search(r"sclite Version: (\S+?),", done.stdout + done.stderr)
        return found[1] if found else "unknown"


def find_sctk() -> Sctk:
    """SCTK in the search path, or where Debian has it.

    Raises:
        MissingInputError: it is not installed, or a part of it is missing.
    """
    found = shutil.which("sclite")
    places = [*([Path(found).resolve().parent] if found else []), DEBIAN]
    for folder in places:
        if (folder / "sclite").is_file():
            missing = [name for name in NEEDED if not (folder / name).is_file()]
            if missing:
                raise MissingInputError(
                    f"{folder} has sclite, but not {', '.join(missing)}: install the whole of SCTK in one folder"
                )
            return Sctk(folder)
    raise MissingInputError(
        "NIST's SCTK is not installed, or not in PATH: apt-get install sctk (Debian, Ubuntu), or build "
        "github.com/usnistgov/SCTK and put its bin folder into PATH; --engine asrpar scores without it"
    )


def _reason(printed: str) -> str:
    lines = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]
    # Filters go on after errors of theirs, and what fails then is another program.
    first = [line for line in lines if "*ERR" in line][:1]
    told = [line for line in lines if re.search(r"error|unable|fail|illegal", line, re.IGNORECASE)]
    return "; ".join(dict.fromkeys(first or told[-2:] or lines[-1:] or ["it printed nothing"]))[:400]
