"""Slurm: the variables of sbatch, salloc and srun."""

import re

from asrpar.launch.hosts import Host, expand
from asrpar.launch.scheduler import Scheduler as Base


class Scheduler(Base):
    """An allocation of Slurm (the output variables of sbatch(1))."""

    known_to = frozenset({"srun", "openmpi", "mpich"})

    def find(self) -> list[Host]:
        tasks = counts(self.env.get("SLURM_TASKS_PER_NODE", ""))
        if "SLURM_JOB_ID" not in self.env or not tasks:
            return []
        each = self.number("SLURM_CPUS_PER_TASK")
        cpus: list[int | None] = [None if each is None else n * each for n in tasks]
        if len(known := counts(self.env.get("SLURM_JOB_CPUS_PER_NODE", ""))) == len(tasks):
            cpus = list(known)
        gpus = self._gpus(tasks)
        return [Host(*host) for host in zip(self._names(len(tasks)), tasks, cpus, gpus, strict=True)]

    def _names(self, nodes: int) -> list[str]:
        names = expand(self.env.get("SLURM_JOB_NODELIST", "") or self.env.get("SLURM_NODELIST", ""))
        if len(names) == nodes:
            return names
        # Where salloc was called there may be no node of the allocation.
        return [self.env.get("SLURMD_NODENAME", "node 0")] if nodes == 1 else [f"node {i}" for i in range(nodes)]

    def _gpus(self, tasks: list[int]) -> list[int | None]:
        if per_node := self.number("SLURM_GPUS_PER_NODE"):
            return [per_node] * len(tasks)
        if per_task := self.number("SLURM_GPUS_PER_TASK"):
            return [n * per_task for n in tasks]
        total, here = self.number("SLURM_GPUS"), self.number("SLURM_GPUS_ON_NODE")
        if total and total % len(tasks) == 0 and here in (None, total // len(tasks)):
            return [total // len(tasks)] * len(tasks)
        if here and not total:  # --gres=gpu:N, the same on each node
            return [here] * len(tasks)
        return [None] * len(tasks)


def counts(text: str) -> list[int]:
    """Slurm's ``2(x3),1``: three nodes with two and one with one."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(n) for n, times in found for _ in range(int(times or 1))]
