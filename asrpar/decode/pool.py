"""What is made of each lattice of a file, in parallel, with no more of them in memory than there is work for."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

from asrpar.workers import Workers

# Tasks that wait for each process.
AHEAD = 4


def each(make: Callable[..., Any], given: Iterable[tuple[Any, ...]], jobs: int) -> Iterator[Any]:
    """``make(*arguments)`` for each of ``given``, in its order.

    Args:
        make: can be pickled, as its arguments and results, if there are several processes.
        given: arguments.
        jobs: processes; 0: as many as there are cores.
    """
    jobs = jobs or len(os.sched_getaffinity(0))
    if jobs == 1:
        yield from (make(*arguments) for arguments in given)
        return
    waiting: deque[Future] = deque()
    with Workers(jobs, "spawn") as workers:
        for arguments in given:
            waiting.append(workers.submit(make, *arguments))
            if len(waiting) >= AHEAD * jobs:
                yield workers.result(waiting.popleft(), "rescoring")
        while waiting:
            yield workers.result(waiting.popleft(), "rescoring")
