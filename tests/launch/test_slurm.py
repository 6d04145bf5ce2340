"""utils/slurm.sh and `asrpar launch` under a real Slurm of one node."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from slurm import Cluster
from slurm import cluster as running

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Slurm of one node, which has this machine's name."""
    host = socket.gethostname().partition(".")[0]
    with running(tmp_path_factory.mktemp("slurm"), {host: "CPUs=12 RealMemory=500 Gres=gpu:4"}) as slurm:
        yield slurm


@pytest.fixture(scope="module")
def slurm(cluster: Cluster) -> dict[str, str]:
    """The environment in which Slurm's commands find the cluster."""
    return cluster.env


@pytest.fixture
def submit(slurm, repo, tmp_path):
    """Run utils/slurm.sh with these arguments, from a folder of its own."""

    def start(*args: object, **options: object) -> subprocess.CompletedProcess:
        command = [str(repo / "utils" / "slurm.sh"), *map(str, args)]
        return subprocess.run(command, env=slurm, cwd=tmp_path, capture_output=True, text=True, timeout=90, **options)

    return start


def test_an_array_of_jobs(submit, tmp_path):
    done = submit(
        "--mem", "100M", "--time", "1", "JOB=1:2", "log/x.JOB.log", "bash", "-c", "echo part $1 of 2; pwd", "x", "JOB"
    )
    assert (done.returncode, done.stderr) == (0, "")
    for i in (1, 2):
        lines = (tmp_path / f"log/x.{i}.log").read_text().splitlines()
        assert lines[0].startswith("# command: bash -c ")
        assert lines[2:4] == [f"part {i} of 2", str(tmp_path)]
        assert lines[4].startswith("# ended: exit code 0,")


def test_failed_jobs_run_again_alone_and_are_named_with_their_logs(submit, tmp_path):
    done = submit("JOB=1:2", "x.JOB.log", "bash", "-c", "exit $(($1 - 1))", "x", "JOB")
    assert done.returncode == 1
    assert "job 2 failed (exit code 1), and runs again" in done.stderr
    assert "job 2 failed (exit code 1); its log: x.2.log" in done.stderr
    assert "1 of 2 jobs failed" in done.stderr
    assert [(tmp_path / f"x.{i}.log").read_text().count("# started") for i in (1, 2)] == [1, 2]


def test_tasks_of_an_array_queue_themselves_again_and_no_others(cluster, slurm, repo, tmp_path):
    code = '[[ $1 == 2 || $SLURM_RESTART_COUNT ]] && exit; trap "exit 138" USR1; touch here$1; '
    code += "while ((SECONDS < 300)); do sleep 0.1; done"
    launcher = start(slurm, repo, tmp_path, "--requeue", 1, "PART=1:3", "x.PART.log", "bash", "-c", code, "x", "PART")
    cluster.wait_for(lambda: (tmp_path / "here1").exists() and (tmp_path / "here3").exists())
    cluster.wait_for(lambda: (tmp_path / "x.2.log").read_text().splitlines()[-1].startswith("# ended"))
    cluster.say("scancel", "--signal=USR1", "--batch", (tmp_path / "q/x.PART.sh.id").read_text().strip())
    assert (launcher.wait(timeout=60), launcher.stderr.read()) == (0, "")
    assert [(tmp_path / f"x.{i}.log").read_text().count("# started") for i in (1, 2, 3)] == [2, 1, 2]


def test_a_job_that_is_killed_is_a_failed_job(submit):
    done = submit("x.log", "bash", "-c", "kill -9 $PPID")  # as Slurm does when there is no memory or time left
    assert done.returncode == 1
    assert "job 1 failed (killed, or never started)" in done.stderr


def test_what_slurm_refuses(submit):
    done = submit("--queue", "nowhere", "x.log", "true")
    assert done.returncode == 1
    assert "sbatch refused the jobs" in done.stderr


def test_a_stopped_launcher_cancels_its_jobs(cluster, slurm, repo, tmp_path):
    command = [str(repo / "utils" / "slurm.sh"), "x.log", "sleep", "100"]
    launcher = subprocess.Popen(command, env=slurm, cwd=tmp_path, stderr=subprocess.DEVNULL)
    cluster.wait_for((tmp_path / "x.log").exists)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(timeout=20) == 143
    cluster.wait_for(lambda: not cluster.say("squeue", "-h"))


def start(slurm, repo, folder, *args) -> subprocess.Popen:
    """utils/slurm.sh, running."""
    command = [str(a) for a in (repo / "utils" / "slurm.sh", *args)]
    return subprocess.Popen(command, env=slurm, cwd=folder, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def small_jobs(slurm, repo, tmp_path_factory):
    """Jobs that run while others do: ``small_jobs(name)`` waits for one, and gives exit code, stderr and log."""
    folder = tmp_path_factory.mktemp("jobs")
    save = '[[ $SLURM_RESTART_COUNT != 1 ]] || { echo again; exit; }; trap "echo saved; exit 138" USR1; '
    save += "while ((SECONDS < 300)); do sleep 0.1; done"
    show = "scontrol show job --details $SLURM_JOB_ID; echo step: $(srun --ntasks=1 printenv CUDA_VISIBLE_DEVICES)"
    wishes = {
        "limit": ["--time", 1, "--requeue", 1, "limit.log", "bash", "-c", save],
        "two": ["--num-tasks", 2, "--gpu", 1, "two.log", "bash", "-c", show],
        "one": ["--gpu", 2, "one.log", "bash", "-c", show],
    }
    started = {name: start(slurm, repo, folder, *args) for name, args in wishes.items()}

    def wait(name: str) -> tuple[int, str, str]:
        _, err = started[name].communicate(timeout=180)
        return started[name].returncode, err, (folder / f"{name}.log").read_text()

    yield wait
    for launcher in started.values():
        launcher.terminate()  # cancels the job of one that has not ended
        launcher.wait()


def test_gpus_are_counted_for_each_task(small_jobs):
    # The step stands for mpirun's one daemon on each node, whose ranks share what it sees.
    for name, wanted in (("two", "TresPerTask=gres:gpu:1"), ("one", "TresPerNode=gres:gpu:2")):
        code, err, log = small_jobs(name)
        assert (code, err) == (0, "")
        assert "GRES=gpu:2" in log
        assert wanted in log
        assert re.search(r"^step: (\d+),(\d+)$", log, re.MULTILINE), log


def test_a_job_that_stops_without_being_queued_again(cluster, slurm, repo, tmp_path):
    code = 'trap "exit 138" USR1; touch here; while ((SECONDS < 300)); do sleep 0.1; done'
    launcher = start(slurm, repo, tmp_path, "x.log", "bash", "-c", code)
    cluster.wait_for((tmp_path / "here").exists)
    cluster.say("scancel", "--signal=USR1", "--batch", (tmp_path / "q/x.sh.id").read_text().strip())
    assert launcher.wait(timeout=60) == 138
    assert "job 1 was stopped by SIGUSR1, as at the end of its time" in launcher.stderr.read()


def test_a_program_hears_from_slurm_that_its_time_ends_and_is_started_once_more(small_jobs):
    code, err, log = small_jobs("limit")
    assert (code, err) == (0, "")
    lines = [line for line in log.splitlines() if line in ("saved", "again") or line.startswith("# ")]
    assert lines[2] == "saved" and lines[3].startswith("# stopped: exit code 138,")
    assert lines[3].endswith("queued again, 1 of at most 1 times")
    assert lines[6] == "again" and lines[7].startswith("# ended: exit code 0,")


PROGRAM = """
import os
from mpi4py import MPI
from asrpar.launch.rank import check_world
check_world(MPI.COMM_WORLD.size)
print("sum", MPI.COMM_WORLD.allreduce(MPI.COMM_WORLD.rank + 1), "job", os.environ["SLURM_JOB_ID"], flush=True)
"""
START = """
import sys
from asrpar.launch.job import build_command
from asrpar.launch.spec import LaunchSpec
from asrpar.launch.run import run
job = build_command(LaunchSpec(2, launcher=sys.argv[1]), [], program=[sys.argv[2]])
print(job.launcher.kind, flush=True)
failure = run(job)
print(failure or "all well", flush=True)
sys.exit(failure is not None)
"""


@pytest.mark.mpi
def test_two_ranks_in_an_allocation(slurm, repo, tmp_path):
    # At the same time, because `sbatch --wait` looks only every ten seconds whether a job is done.
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "start.py").write_text(START)
    jobs = {
        "auto": ["start.py", "auto", tmp_path / "program.py"],
    }
    trial = subprocess.run(["srun", "--mpi=pmix", "true"], env=slurm, capture_output=True)
    if trial.returncode == 0:  # Debian's Slurm has the plugin, and needs libpmix-dev besides
        jobs["srun"] = ["start.py", "srun", tmp_path / "program.py"]
    launcher = [repo / "utils" / "slurm.sh", "--num-tasks", 2]
    started = []
    for name, args in jobs.items():
        command = [*launcher, f"{name}.log", sys.executable, *args]
        started.append(subprocess.Popen([str(c) for c in command], env=slurm, cwd=tmp_path))
    codes = [process.wait(timeout=90) for process in started]
    logs = {name: (tmp_path / f"{name}.log").read_text() for name in jobs}
    assert codes == [0] * len(jobs), logs
    for name in jobs:
        assert logs[name].count("sum 3 job") == 2
        assert "all well" in logs[name]
