"""LSF: the variables of bsub's jobs."""

from pathlib import Path

from asrpar.launch.hosts import Host
from asrpar.launch.scheduler import Scheduler as Base


class Scheduler(Base):
    """A job of LSF ("Environment variables set for job execution" of its reference)."""

    agent = "blaunch"

    def find(self) -> list[Host]:
        gpus = self.visible_gpus()  # LSF gives each host of a job equally many
        words = self.env.get("LSB_MCPU_HOSTS", "").split()
        if words and len(words) % 2 == 0 and all(n.isdecimal() for n in words[1::2]):
            return [Host(name, int(n), None, gpus) for name, n in zip(words[::2], words[1::2], strict=True)]
        # A job of many hosts has them in a file, or in a list, one for each slot.
        file = Path(self.env.get("LSB_DJOB_HOSTFILE", ""))
        names = file.read_text(encoding="utf-8").split() if file.is_file() else self.env.get("LSB_HOSTS", "").split()
        if names:
            return [Host(name, 1, None, gpus) for name in names]
        slots = self.number("LSB_DJOB_NUMPROC")
        return [Host("hosts of LSF", slots)] if slots else []
