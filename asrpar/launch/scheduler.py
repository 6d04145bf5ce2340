"""The contract of a scheduler: the hosts of the allocation that this process runs in, from its environment."""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from asrpar.launch.hosts import Host


class Scheduler(ABC):
    """A scheduler, as this process sees it.

    Args:
        env: variables; those of this process by default.

    Attributes:
        known_to: launchers that find the hosts of an allocation by themselves; others are given a list.
        agent: the scheduler's own program to start another on a host of the allocation, in place of ssh; or None.
    """

    known_to: ClassVar[frozenset[str]] = frozenset()
    agent: ClassVar[str | None] = None

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self.env = os.environ if env is None else env

    @cached_property
    def hosts(self) -> list[Host]:
        """The hosts of the allocation, in its order, each as often as it says; empty outside of one."""
        return self.find()

    @abstractmethod
    def find(self) -> list[Host]:
        """See `hosts`. What the variables do not tell is None; what makes no sense counts as not told."""

    def number(self, name: str) -> int | None:
        """The number that a variable holds, which may follow a kind, as in ``a100:4``; None if there is none."""
        text = self.env.get(name, "").rpartition(":")[2]
        return int(text) if text.isdecimal() else None

    def visible_gpus(self) -> int | None:
        """GPUs of this host that the scheduler has left visible to its job; None if it does not say so."""
        text = self.env.get("CUDA_VISIBLE_DEVICES")
        if text is None or text.strip().lower() in ("nodevfiles", "none", "-1"):
            return None
        return len([word for word in text.split(",") if word.strip()]) or None

    def starter(self) -> str | None:
        """Path of `agent`, where it is installed."""
        return shutil.which(self.agent) if self.agent else None
