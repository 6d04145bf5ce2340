"""The schedulers by name, one file each: what does an allocation say of its hosts?

Each file has a `Scheduler` under the contract of `asrpar.launch.scheduler`. The first one, by name, in whose allocation
this process runs counts: Flux, which is often started inside another's, comes before the others.
"""

from asrpar.choices import Family
from asrpar.launch.scheduler import Scheduler

SCHEDULERS = Family("asrpar.launch.schedulers", "scheduler", "Scheduler", mark="Scheduler")


def current() -> Scheduler | None:
    """The scheduler in whose allocation this process runs, as far as it names any hosts; None outside."""
    for name in SCHEDULERS:
        scheduler: Scheduler = SCHEDULERS.load(name)()
        if scheduler.hosts:
            return scheduler
    return None
