"""A process that has loaded what asrpar's commands load, and forks one for each command line.

What a test of a command costs is then the command, and not two or three seconds of imports. Each command is a process
as any other: its own folder, environment, limits, signals, output and exit code; see `asrpar.launch.standby`.

`command` is what comes before the arguments.
"""

import contextlib
import os
import pkgutil
import shlex
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
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
        [sys.executable, __file__, place],
        cwd=REPO,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError("the server of command lines did not start: see what it said on stderr")
    return place, process


def _python(*words: str) -> list[str]:
    return standby().program(server()[0], *words) if hasattr(os, "pidfd_open") else [sys.executable, *words]


def standby():
    """The module, which is imported late: pytest's own process is to take `asrpar` from where the tests do."""
    from asrpar.launch import standby

    return standby


def command(name: str = "") -> list[str]:
    """What comes before the arguments of ``asrpar`` on a command line.

    Args:
        name: the first argument: `asrpar launch` is always a process of its own, whose group is looked at; but its
            ranks are forked.
    """
    if name != "launch":
        return _python("-m", "asrpar")
    return [sys.executable, __file__, server()[0]] if hasattr(os, "pidfd_open") else [sys.executable, "-m", "asrpar"]


def rank_command() -> list[str]:
    """What comes before a program and its arguments where ``python -m mpi4py`` would."""
    return _python("-m", "mpi4py")


def shell_function(launch: bool = True) -> dict[str, str]:
    """Environment in which ``asrpar`` in a bash script is `command`.

    Args:
        launch: also ``asrpar launch``.
    """
    other, words = (" ".join(map(shlex.quote, command(name))) for name in ("launch", ""))
    own = f'if [[ $1 == launch ]]; then {other if launch else "command asrpar"} "$@"; else {words} "$@"; fi'
    return {"BASH_FUNC_asrpar%%": f"() {{ {own}\n}}"}


def modules() -> list[str]:
    """`MODULES`, with all that packages hold."""
    import importlib

    found = []
    for name in MODULES.split():
        found.append(name.removesuffix(".*"))
        if name.endswith(".*"):
            package = importlib.import_module(found[-1])
            walk = pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda _: None)
            found += [module.name for module in walk]
    return found


def serve(place: str) -> None:
    """Answer until whoever started this has ended; be each command."""
    sys.path[:] = [str(REPO), *(p for p in sys.path if p != str(Path(__file__).parent))]
    here = standby()
    here.load(modules())
    # The cells of a study, too.
    study = sys.modules["asrpar.study.run"]
    known = study.run_study.__defaults__
    study.run_study.__defaults__ = (*(here.program(place, "-m", "asrpar") if d is study.PROGRAM else d for d in known),)
    assert len(os.listdir("/proc/self/task")) == 1, "threads do not survive a fork"
    words = here.serve(place, ready=lambda: os.write(1, b"ready\n"))
    tempfile.tempdir = None
    if not words:
        os.rmdir(os.path.dirname(place))
    elif words[words.index("-m") + 1] == "mpi4py":
        here.run(words)  # ends MPI at the very end of the interpreter
    else:
        end(code_of(words))


def launch(place: str, words: list[str]) -> None:
    """Be ``asrpar words...``, a launch, whose ranks are forked."""
    sys.path[:] = [str(REPO), *(p for p in sys.path if p != str(Path(__file__).parent))]
    from asrpar import cli
    from asrpar.launch import job

    job.PYTHON = tuple(standby().program(place))
    sys.exit(cli.main(words))


def code_of(words: list[str]) -> int:
    """Run the command; its exit code."""
    try:
        standby().run(words)
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


if __name__ == "__main__":
    if len(sys.argv) > 2:
        launch(sys.argv[1], sys.argv[2:])
    serve(sys.argv[1])
