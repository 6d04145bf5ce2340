"""Flux: its instance is asked, for its variables do not tell."""

import subprocess

from asrpar.launch.hosts import Host, expand
from asrpar.launch.scheduler import Scheduler as Base


class Scheduler(Base):
    """An instance of Flux, as ``flux batch`` and ``flux alloc`` start one."""

    known_to = frozenset({"flux"})

    def find(self) -> list[Host]:
        if "FLUX_URI" not in self.env:
            return []
        # All that the instance has; of a batch job that is the job's alone.
        ask = [
            "flux",
            "resource",
            "list",
            "--states=all",
            "--no-header",
            "--format={nnodes} {ncores} {ngpus} {nodelist}",
        ]
        try:
            done = subprocess.run(ask, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired):
            return []
        hosts = []
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) != 4 or not all(word.isdecimal() for word in words[:3]) or not int(words[0]):
                continue
            nodes, cores, gpus = map(int, words[:3])
            names = expand(words[3])
            names = names if len(names) == nodes else [f"node {i}" for i in range(nodes)]
            hosts += [Host(name, cores // nodes, cores // nodes, gpus // nodes or None) for name in names]
        return hosts
