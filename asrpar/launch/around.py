"""A command ends with the scripts around it, those that have named themselves in ``ASRPAR_END_WITH``.

A shell that is killed takes nobody with it: what it has started goes on, holds its folder, and stops the next run. So
run.sh and the scripts of utils/ name themselves (``end_with_me`` of utils/around.sh), and so may any other, by its
process number (``export ASRPAR_END_WITH=$$``). `asrpar launch` looks for itself, since its ranks are to save a
checkpoint first. Beside any other command a small process waits for either end: a thread would have to wait for C++
that holds Python's lock.
"""

import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from asrpar.launch import watcher
from asrpar.launch.guard import JOB, gone

AROUND = "ASRPAR_END_WITH"


class Around:
    """The scripts that `AROUND` names.

    A word is a process number, alone or with what makes it unmistakable, ``PID@START@SESSION@NAMESPACE@HOST``. It
    counts if this process was started by it. Who had ended before anybody looked is known by the longer form only, and
    by the session that both have in common: a batch job has another than the script that has submitted it.

    Attributes:
        handles: of those that are there, to wait for their end.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._ended = False
        self.handles: list[int] = []
        above = set(ancestors())
        for word in os.environ.get(AROUND, "").split():
            number, _, more = word.partition("@")
            if number.isdigit() and int(number) in above:
                with suppress(OSError):
                    self.handles.append(os.pidfd_open(int(number)))
                    self._poll.register(self.handles[-1], select.POLLIN)
            elif more.count("@") == 3:
                start, session, namespace, host = more.split("@")
                ours = session == str(os.getsid(0))
                self._ended = self._ended or (ours and gone(f"{host} {namespace} {number} {start}"))

    def gone(self) -> bool:
        """Whether one of them has ended."""
        return self._ended or bool(self._poll.poll(0))

    def close(self) -> None:
        """Look no more."""
        for handle in self.handles:
            os.close(handle)
        self.handles, self._poll, self._ended = [], select.poll(), False


def ancestors() -> list[int]:
    """The process that started this one, the one that started that, and so on."""
    found = [os.getppid()]
    with suppress(OSError):
        while found[-1] > 1:
            found.append(int(Path(f"/proc/{found[-1]}/stat").read_text().rpartition(")")[2].split()[1]))
    return found


def end_with_scripts(*, look_only: bool = False) -> subprocess.Popen | None:
    """Let this process end within seconds when a script around it has ended; at once if one had before.

    Args:
        look_only: for who will see to it.

    Returns:
        Who sees to it; None if there is no such script, or if this process belongs to a job of `asrpar launch`.
    """
    if not os.environ.get(AROUND) or os.environ.get(JOB):
        return None
    around = Around()
    try:
        if around.gone():
            sys.exit(143)
        if look_only or not around.handles:
            return None
        around.handles.insert(0, os.pidfd_open(os.getpid()))
        return subprocess.Popen(
            [sys.executable, "-I", "-S", watcher.__file__, *map(str, around.handles)], pass_fds=around.handles,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            start_new_session=True,
        )  # fmt: skip
    except OSError:  # no room for another process: the command is what matters
        return None
    finally:
        around.close()
