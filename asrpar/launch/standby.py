"""A process that has loaded what ranks load, and forks one for each that is started later: it begins at once.

A rank of asrpar spends most of its first seconds with imports, and where all cores are busy these take several times as
long. A learner that comes in a lost one's place (``--rejoin``) is therefore started as this file, a program of the
standard library alone (`stand_for`). It hands its command line over to the process on standby, and stands for the rank:
it is who MPI's launcher knows, gets its signals, and ends as it does, while the rank ends with it. Where nobody is on
standby, as on hosts other than the launcher's, it becomes the rank by itself.

A rank that was forked differs from any other only in the command line and the environment that /proc tells of.
"""

import gc
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

# In a job's folder: where the process listens.
PLACE = "standby"
SERVE = "--serve"
# A process that has as much as counted its GPUs cannot use them once it is forked: let torch count them another way.
COUNT_BY_NVML = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
# What a rank loads before its first step, whatever it trains.
MODULES = (
    *("asrpar.cli", "asrpar.commands.train", "asrpar.train.experiment", "asrpar.parallel.gossip"),
    *("torch._dynamo", "torch.utils.tensorboard", "numpy.random", "omegaconf", "mpi4py.run", "tqdm"),
)
# What is handed on to the program. Its default is what it means there.
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
LIMITS = tuple(name for name in dir(resource) if name.startswith("RLIMIT_"))
# Seconds between two looks at who has started this process; for the one on standby to leave.
_LOOK, _LEAVE = 0.5, 2.0


class Standby:
    """The process, for ranks on this host; a context, at whose end it is gone.

    Args:
        folder: of the job.
        environment: of its ranks.
    """

    def __init__(self, folder: str, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Standby":
        program = [sys.executable, "-P", "-m", "asrpar.launch.standby", SERVE, os.path.join(self.folder, PLACE)]
        with suppress(OSError):  # ranks are started in the usual way then
            self.process = subprocess.Popen(
                program, env={**self.environment, **COUNT_BY_NVML}, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, process_group=0,
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_LEAVE)
            self.process.kill()
            self.process.wait()


def program(place: str, *words: str) -> list[str]:
    """The command that stands for ``python words...``.

    Args:
        place: where a process on standby listens, if there is one.
        words: after the interpreter: options, then ``-m MODULE`` and its arguments.
    """
    return [sys.executable, "-I", "-S", __file__, place, sys.executable, *words]


def load(modules: Iterable[str]) -> None:
    """Import modules, for all that are to be forked."""
    for name in modules:
        with suppress(ImportError):
            importlib.import_module(name)
    if "mpi4py.MPI" in sys.modules:
        raise RuntimeError("MPI must begin in the rank")
    gc.collect()
    gc.freeze()


def serve(place: str, ready: Callable[[], object] = int) -> list[str]:
    """Wait for command lines until standard input ends.

    Args:
        place: where to listen.
        ready: called once anybody can be served.

    Returns:
        In each process that is to run one, which is this process's grandchild: the words after the interpreter. An
        empty list when the input has ended.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(64)
    os.set_blocking(0, False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ready()
    while True:
        asked, _, _ = select.select([listener, 0], [], [])
        if 0 in asked:
            with suppress(OSError):
                os.unlink(place)
            return []
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            if words := _keep(connection):
                return words
            os._exit(0)
        connection.close()


def _keep(connection: socket.socket) -> list[str]:
    """Fork the program, hand signals on to it, and tell how it ended; in the program itself, its words."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, fds, _, _ = socket.recv_fds(connection, 1 << 20, 4)
    length = int.from_bytes(data[:4], "big")
    while len(data) < 4 + length:
        more = connection.recv(1 << 20)
        if not more:  # it was killed
            return []
        data += more
    request = json.loads(data[4:])
    child = os.fork()
    if child == 0:
        connection.close()
        _become(request, fds)
        return request["words"]
    for number in fds:
        os.close(number)
    ended = os.pidfd_open(child)
    while True:
        asked, _, _ = select.select([connection, ended], [], [])
        if ended in asked:
            _, status = os.waitpid(child, 0)
            with suppress(OSError):
                connection.sendall(str(status).encode())
            return []
        try:
            signals = connection.recv(16)
        except OSError:
            signals = b""
        with suppress(ProcessLookupError):
            if not signals:  # who stood for it was killed
                os.killpg(child, signal.SIGKILL)
                return []
            for number in signals:
                os.kill(child, number)


def _become(request: dict, fds: list[int]) -> None:
    """Make this process what would have been started."""
    os.setpgid(0, 0)
    for number, to in zip(fds, (0, 1, 2), strict=False):
        os.dup2(number, to)
    os.fchdir(fds[3])
    for number in fds:
        os.close(number)
    before = os.environ.get("PYTHONPATH")
    os.environ.clear()
    os.environ.update(request["environment"])
    for name, limits in request["limits"].items():
        with suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, name), tuple(limits))
    os.umask(request["umask"])
    with suppress(OSError):
        os.sched_setaffinity(0, request["cores"])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for name in SIGNALS:
        default = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
        signal.signal(getattr(signal, name), signal.SIG_IGN if name in request["ignored"] else default)
    if (path := os.environ.get("PYTHONPATH")) != before:
        sys.path[:0] = filter(None, (path or "").split(os.pathsep))
    sys.orig_argv = [sys.executable, *request["words"]]


def run(words: list[str]) -> None:
    """What ``python words...`` would, in this process: options, then ``-m MODULE`` and its arguments."""
    start = words.index("-m") + 1
    if not sys.flags.safe_path and "-P" not in words[:start]:
        sys.path.insert(0, os.getcwd())
    sys.argv = words[start:]
    runpy.run_module(words[start], run_name="__main__", alter_sys=True)


def stand_for(place: str, words: list[str]) -> None:
    """Let who is on standby fork the program, and end as it does; returns if nobody is.

    Args:
        place: where it listens.
        words: see `program`.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(place)
    except OSError:
        connection.close()
        return
    before = os.umask(0)
    request = {
        "words": words,
        "environment": dict(os.environ),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS},
        "umask": before,
        "cores": sorted(os.sched_getaffinity(0)),
        "ignored": [name for name in SIGNALS if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN],
    }
    for name in SIGNALS:
        if name not in request["ignored"]:
            signal.signal(getattr(signal, name), lambda number, _: connection.sendall(bytes([number])))
    data = json.dumps(request).encode()
    data = len(data).to_bytes(4, "big") + data
    sent = socket.send_fds(connection, [data], [0, 1, 2, os.open(".", os.O_RDONLY)])
    connection.sendall(data[sent:])
    for number in (0, 1, 2):
        os.close(number)  # the program's alone: who reads them sees when it has closed them
    parent = os.getppid()
    while not select.select([connection], [], [], _LOOK)[0]:
        if os.getppid() != parent:
            _end(signal.SIGKILL)
    status = int(connection.recv(16) or signal.SIGKILL)
    if os.WIFSIGNALED(status):
        _end(os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _end(number: int) -> NoReturn:
    """End by a signal, without a core."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def main() -> None:
    """Be on standby, or stand for a rank."""
    if sys.argv[1] == SERVE:
        load(MODULES)
        if words := serve(sys.argv[2]):
            run(words)
        return
    place, python, *words = sys.argv[1:]
    if "-m" in words:
        stand_for(place, words)
    os.execv(python, [python, *words])


if __name__ == "__main__":
    main()
