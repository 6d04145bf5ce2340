"""A process that has loaded what asrpar's commands load, and forks one for each command line.

What a test of a command costs is then the command, and not two or three seconds of imports. Each command is a process
as any other: its own folder, environment, limits, signals, output and exit code.

`command` is what comes before the arguments. It is a small program that hands the command line over to the server, and
stands for the command: it gets its signals, and ends as it does.
"""

import contextlib
import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
# Instead of a command's name: a program on a rank of MPI.
RANK = "-m mpi4py"
MODULES = """
    asrpar.commands.* asrpar.corpus.* asrpar.feats.*
    asrpar.lang.* asrpar.lm.* asrpar.hmm.* asrpar.graph.*
    asrpar.decode.*
    asrpar.score.* asrpar.train.* asrpar.simulate.* asrpar.nn.*
    asrpar.parallel.strategies.* asrpar.parallel.virtual.* asrpar.study.*
    torch.utils.tensorboard torch._dynamo kaldifst kaldi_decoder kaldialign sentencepiece tqdm greenlet
"""


@cache
def server() -> tuple[str, subprocess.Popen]:
    """Where the server listens, and the server; it ends with this process."""
    folder = tempfile.mkdtemp(prefix="asrpar-warm-", dir="/tmp")
    place = os.path.join(folder, "socket")
    process = subprocess.Popen(
        [sys.executable, __file__, "serve", place],
        cwd=REPO,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError("the server of command lines did not start: see what it said on stderr")
    return place, process


def command(name: str = "") -> list[str]:
    """What comes before the arguments of ``asrpar`` on a command line.

    Args:
        name: the first argument: `asrpar launch` is always a process of its own, whose group is looked at.
    """
    if name == "launch" or not hasattr(os, "pidfd_open"):
        return [sys.executable, "-m", "asrpar"]
    return client(server()[0])


def client(place: str) -> list[str]:
    """The program that stands for a command."""
    return [sys.executable, "-IS", __file__, place]


def rank_command() -> list[str]:
    """What comes before a program and its arguments where ``python -m mpi4py`` would."""
    return [*client(server()[0]), RANK] if hasattr(os, "pidfd_open") else [sys.executable, "-m", "mpi4py"]


def shell_function() -> dict[str, str]:
    """Environment in which ``asrpar`` in a bash script is `command`."""
    words = " ".join(map(shlex.quote, command()))
    own = f'if [[ $1 == launch ]]; then command asrpar "$@"; else {words} "$@"; fi'
    return {"BASH_FUNC_asrpar%%": f"() {{ {own}\n}}"}


def serve(place: str) -> None:
    """Answer until whoever started this has ended. Returns in each process that is to become a command."""
    import gc
    import importlib
    import pkgutil

    sys.path[:] = [str(REPO), *(p for p in sys.path if p != str(Path(__file__).parent))]
    for name in MODULES.split():
        package = importlib.import_module(name.removesuffix(".*"))
        if name.endswith(".*"):
            for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda _: None):
                with contextlib.suppress(ImportError):
                    importlib.import_module(module.name)
    # The cells of a study, too.
    study = sys.modules["asrpar.study.run"]
    study.run_study.__defaults__ = (
        *(client(place) if d is study.PROGRAM else d for d in study.run_study.__defaults__),
    )
    assert "mpi4py.MPI" not in sys.modules, "MPI must begin in the command"
    assert len(os.listdir("/proc/self/task")) == 1, "threads do not survive a fork"
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(64)
    os.set_blocking(0, False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(1, b"ready\n")
    import select

    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            os.unlink(place)
            os.rmdir(os.path.dirname(place))
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            if keep(connection):
                return
            os._exit(0)
        connection.close()


def keep(connection: socket.socket) -> bool:
    """Fork the command, hand signals on to it, and tell how it ended; True in the command itself."""
    import select

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, fds, _, _ = socket.recv_fds(connection, 1 << 20, 4)
    length = int.from_bytes(data[:4], "big")
    while len(data) < 4 + length:
        data += connection.recv(1 << 20)
    request = json.loads(data[4:])
    child = os.fork()
    if child == 0:
        connection.close()
        become(request, fds)
        return True
    for number in fds:
        os.close(number)
    ended = os.pidfd_open(child)
    while True:
        ready, _, _ = select.select([connection, ended], [], [])
        if ended in ready:
            _, status = os.waitpid(child, 0)
            connection.sendall(str(status).encode())
            return False
        word = connection.recv(16)
        with contextlib.suppress(ProcessLookupError):
            if not word:  # whoever stood for the command was killed
                os.killpg(child, signal.SIGKILL)
                return False
            for number in word:
                os.kill(child, number)


def become(request: dict, fds: list[int]) -> None:
    """Make this process the command."""
    os.setsid()
    for number, to in zip(fds, (0, 1, 2), strict=False):
        os.dup2(number, to)
    os.fchdir(fds[3])
    for number in fds:
        os.close(number)
    os.environ.clear()
    os.environ.update(request["environment"])
    resource.setrlimit(resource.RLIMIT_FSIZE, tuple(request["file_size"]))
    os.umask(request["umask"])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"):
        default = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
        signal.signal(getattr(signal, name), signal.SIG_IGN if name in request["ignored"] else default)
    import random

    random.seed()
    sys.path[:0] = filter(None, request["environment"].get("PYTHONPATH", "").split(os.pathsep))
    tempfile.tempdir = None
    program, *rest = request["arguments"] or [""]
    if program == RANK:
        import mpi4py.__main__ as main

        sys.path.insert(0, "")  # where the program's folder goes
    else:
        import asrpar.__main__ as main

        rest = request["arguments"]
    sys.modules["__main__"] = main  # what processes that it starts look at
    sys.argv = [main.__file__, *rest]


def run() -> int:
    """The command; its exit code."""
    from asrpar.cli import main

    try:
        main()
    except SystemExit as e:
        if e.code is None or isinstance(e.code, int):
            return e.code or 0
        print(e.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def end(code: int) -> None:
    """End as an interpreter does, without the work of taking all modules down."""
    import atexit
    import threading

    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        code = 120
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code & 0xFF)


def stand_for(place: str, arguments: list[str]) -> None:
    """Let the server fork the command; end as it does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(place)
    before = os.umask(0)
    names = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    request = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "file_size": resource.getrlimit(resource.RLIMIT_FSIZE),
        "umask": before,
        "ignored": [n for n in names if signal.getsignal(getattr(signal, n)) == signal.SIG_IGN],
    }
    for name in names:
        if name not in request["ignored"]:
            signal.signal(getattr(signal, name), lambda number, _: connection.sendall(bytes([number])))
    data = json.dumps(request).encode()
    here = os.open(".", os.O_RDONLY)
    data = len(data).to_bytes(4, "big") + data
    sent = socket.send_fds(connection, [data], [0, 1, 2, here])
    connection.sendall(data[sent:])
    for number in (0, 1, 2):
        os.close(number)  # the command's alone: who reads them sees when it has closed them
    status = int(connection.recv(16) or b"9")
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
        if "mpi4py" in sys.modules["__main__"].__name__:
            from mpi4py.run import main

            main()  # ends MPI at the very end of the interpreter
        else:
            end(run())
    else:
        stand_for(sys.argv[1], sys.argv[2:])
