"""How pytest's workers are dealt files of tests: those with MPI ranks, which take turns, to one of them."""

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadFileScheduling

REPO = Path(__file__).resolve().parents[2]
_RANKS = re.compile(r"mark\.mpi\b(?!\(turn=False\))|\bmpirun\b")


class FileScheduling(LoadFileScheduling):
    """As ``--dist loadfile``, but no worker is given tests with MPI ranks while another has such, if it can be helped.

    Two that both have them would wait for each other most of the time. What takes longest begins early.
    """

    def _assign_work_unit(self, node):
        others = [units for other, units in self.assigned_work.items() if other is not node]
        taken = any(has_ranks(file) and not all(done.values()) for units in others for file, done in units.items())
        if wanted := [file for file in self.workqueue if has_ranks(file) != taken]:
            self.workqueue.move_to_end(min(wanted, key=comes_late), last=False)
        super()._assign_work_unit(node)


@cache
def text(file: str) -> str:
    """Of a file of tests, named from the repository's root."""
    path = REPO / file
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def has_ranks(file: str) -> bool:
    """Whether tests in it take a turn with MPI ranks."""
    return bool(_RANKS.search(text(file)))


def comes_late(file: str) -> bool:
    """False for recipes and for trainings under Slurm, which are long, and wait more than they compute."""
    return "mark.slurm" not in text(file) and not file.startswith("tests/egs/")
