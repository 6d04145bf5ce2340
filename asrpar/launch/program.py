"""The contract of a launcher: the program that starts the ranks, its command line, and how it tells of them."""

import os
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from asrpar.errors import LaunchError
from asrpar.launch.fate import Fate, RankOutput
from asrpar.launch.spec import LaunchSpec


@dataclass(frozen=True)
class Program(ABC):
    """A program that starts ranks.

    Attributes:
        path: of the program.
        label: how it labels a line of a rank's output; its group 1 is the rank.
        frames_aborts: whether ranks that abort say so between two rules, as those of Open MPI do.
    """

    path: str
    label: ClassVar[re.Pattern[str]]
    frames_aborts: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def find(cls, vendor: str) -> "Program":
        """This machine's launcher of this kind.

        Args:
            vendor: of the MPI library behind mpi4py, such as ``Open MPI``.

        Raises:
            LaunchError: there is none that can be used.
        """

    @classmethod
    @abstractmethod
    def serves(cls, vendor: str) -> bool:
        """Whether ranks with this MPI library find each other when this launcher starts them."""

    @classmethod
    def in_allocation(cls) -> bool:
        """Whether this is the launcher of the scheduler in whose allocation this process runs."""
        return False

    @abstractmethod
    def command(self, spec: LaunchSpec, variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        """The command line as far as the ranks' program, and the variables that the launcher itself is to have.

        The ranks are bound to no cores (a learner has threads), and their output is labelled.

        Args:
            spec: what the user asks for.
            variables: what each rank is to have in its environment.
        """

    def can_survive(self) -> bool:
        """Whether the other ranks can go on when one dies."""
        return False

    def take_apart(self, line: str) -> tuple[int | None, str]:
        """The rank that said a line, None for the launcher itself, and what it said."""
        found = self.label.match(line)
        return (int(found[1]), line[found.end() :]) if found else (None, line)

    def killed(self, said: list[str], ranks: Mapping[int, RankOutput]) -> Fate | None:
        """The rank that was killed first, or ended with an error, if the launcher's lines say so beyond doubt."""
        return None

    def ended(self, said: list[str], code: int) -> Fate | None:
        """The rank whose end ended the job; asked when no rank has told of an abort.

        Args:
            said: the launcher's lines.
            code: its exit code.
        """
        return None

    @property
    def kind(self) -> str:
        """The launcher's name."""
        return type(self).__module__.rpartition(".")[2]


@dataclass(frozen=True)
class Mpirun(Program):
    """The launcher that comes with an MPI library.

    Attributes:
        says: what it answers to ``--version``.
    """

    says: ClassVar[re.Pattern[str]]

    @classmethod
    def find(cls, vendor: str) -> "Program":
        for path in mpiruns():
            if cls.says.search(version_text(path)):
                return cls(path)
        raise LaunchError(f"no mpirun of {vendor} beside {sys.executable} or on PATH; load your MPI module")


def mpiruns() -> Iterator[str]:
    """Paths of what is called like an mpirun: beside the interpreter, then on PATH."""
    for folder in (str(Path(sys.executable).parent), *os.get_exec_path()):
        for name in ("mpirun", "mpiexec", "mpiexec.hydra", "mpirun.openmpi", "mpirun.mpich"):
            if path := shutil.which(name, path=folder):
                yield path


@lru_cache(maxsize=32)
def version_text(path: str) -> str:
    """What a program answers to ``--version``; empty if it cannot be asked."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
