"""PBS (OpenPBS, PBS Professional, Torque), with PALS or without: the file of hosts, one line for each rank."""

from collections import Counter
from pathlib import Path

from asrpar.launch.hosts import Host
from asrpar.launch.scheduler import Scheduler as Base


class Scheduler(Base):
    """A job of PBS: ``PBS_NODEFILE`` has ``mpiprocs`` lines (Torque: ``ppn``) for each chunk."""

    known_to = frozenset({"pals"})
    agent = "pbs_tmrsh"

    def find(self) -> list[Host]:
        names = _words(self.env.get("PBS_NODEFILE", ""))
        # Torque: ``n1-gpu0``, a line for each GPU. PBS itself leaves only a job's own GPUs visible, on each host.
        by_host = Counter(line.rpartition("-gpu")[0] for line in _words(self.env.get("PBS_GPUFILE", "")))
        gpus = self.visible_gpus()
        # NCPUS are the cores of the first chunk, PBS has no word for others': taken for those of its host alone if
        # that is the only one.
        cores = self.number("NCPUS") if len(set(names)) == 1 else None
        return [Host(name, 1, cores, by_host.get(name, gpus) if by_host else gpus) for name in names]


def _words(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").split() if path and Path(path).is_file() else []
