"""utils/slurm.sh and `asrpar launch` under a real Slurm of one node, started here without systemd.

Needs Debian's slurm-wlm and munge, and root. Everything that the daemons write lies in a temporary folder, and only the
processes started here are ended.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from minidata import prepare, train_options

pytestmark = pytest.mark.slurm

CONF = """
ClusterName=test
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} CPUs=12 RealMemory=500 Gres=gpu:4 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands find the cluster."""
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
            pytest.skip(f"no {program} on this machine (Debian: apt-get install slurm-wlm munge)")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons need root")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    ports = [_free_port(), _free_port()]
    host = socket.gethostname().partition(".")[0]
    conf.write_text(CONF.format(host=host, folder=folder, ctld_port=ports[0], slurmd_port=ports[1]))
    # Any four devices will do to be counted and handed out; nothing touches them.
    devices = ("null", "zero", "full", "random")
    (folder / "gres.conf").write_text("".join(f"Name=gpu File=/dev/{name}\n" for name in devices))
    path = os.environ["PATH"] + ":/usr/sbin"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
    env |= {"SLURM_CONF": str(conf), "PATH": path}
    munged = [f"--{name}-file={folder}/munge/{name}" for name in ("key", "pid", "log", "seed")]
    daemons = []
    try:
        for command in (
            ["munged", "--foreground", "--force", f"--socket={folder}/munge/socket", *munged],
            ["slurmctld", "-D", "-c", "-f", str(conf)],
            ["slurmd", "-D", "-f", str(conf)],
        ):
            with open(folder / f"{command[0]}.out", "w") as out:
                daemons.append(
                    subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True, cwd=folder)
                )
            if command[0] == "munged":
                _wait_for((folder / "munge" / "socket").exists, folder)
        _wait_for(lambda: _node_state(env) == "idle", folder)
        yield env
    finally:
        # slurmd's job steps live in sessions of their own and end with their jobs; the tests wait for those.
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _node_state(env: dict[str, str]) -> str:
    done = subprocess.run(["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True)
    return done.stdout.strip()


def _wait_for(condition: Callable[[], bool], folder: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            logs = "\n".join(f"{p}:\n{p.read_text()[-2000:]}" for p in sorted(folder.glob("*.[lo]*")))
            pytest.fail(f"Slurm did not start in {seconds} s\n{logs}", pytrace=False)
        time.sleep(0.1)


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


def test_failed_jobs_are_named_with_their_logs(submit):
    done = submit("JOB=1:2", "x.JOB.log", "bash", "-c", "exit $(($1 - 1))", "x", "JOB")
    assert done.returncode == 1
    assert "job 2 failed (exit code 1); its log: x.2.log" in done.stderr
    assert "1 of 2 jobs failed" in done.stderr


def test_a_job_that_is_killed_is_a_failed_job(submit):
    done = submit("x.log", "bash", "-c", "kill -9 $PPID")  # as Slurm does when there is no memory or time left
    assert done.returncode == 1
    assert "job 1 failed (killed, or never started)" in done.stderr


def test_what_slurm_refuses(submit):
    done = submit("--queue", "nowhere", "x.log", "true")
    assert done.returncode == 1
    assert "sbatch refused the jobs" in done.stderr


def test_a_stopped_launcher_cancels_its_jobs(slurm, repo, tmp_path):
    command = [str(repo / "utils" / "slurm.sh"), "x.log", "sleep", "100"]
    launcher = subprocess.Popen(command, env=slurm, cwd=tmp_path, stderr=subprocess.DEVNULL)
    _wait_for((tmp_path / "x.log").exists, tmp_path)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(timeout=20) == 143
    _wait_for(lambda: not subprocess.check_output(["squeue", "-h"], env=slurm), tmp_path)


def start(slurm, repo, folder, *args) -> subprocess.Popen:
    """utils/slurm.sh, running."""
    command = [str(a) for a in (repo / "utils" / "slurm.sh", *args)]
    return subprocess.Popen(command, env=slurm, cwd=folder, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def small_jobs(slurm, repo, tmp_path_factory):
    """Jobs that run while others do: ``small_jobs(name)`` waits for one, and gives exit code, stderr and log."""
    folder = tmp_path_factory.mktemp("jobs")
    save = 'trap "echo saved; exit 138" USR1; while true; do sleep 0.1; done'
    show = "scontrol show job --details $SLURM_JOB_ID; echo step: $(srun --ntasks=1 printenv CUDA_VISIBLE_DEVICES)"
    wishes = {
        "limit": ["--time", 1, "limit.log", "bash", "-c", save],
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


@pytest.mark.mpi
@pytest.mark.slow
def test_learners_save_and_stop_when_their_time_ends(slurm, repo, small_jobs, tmp_path):
    exp = tmp_path / "exp"
    options = train_options(prepare(tmp_path / "mini", 8, 2, 2), exp, epochs=10000, strategy="ssgd")
    command = [sys.executable, "-m", "asrpar", "launch", "--learners", 2, "--", "train", *options]
    launcher = start(slurm, repo, tmp_path, "--num-tasks", 2, "train.log", *command)
    _wait_for(lambda: any((exp / "checkpoints").glob("*")) or launcher.poll() is not None, tmp_path, 180)
    assert launcher.poll() is None, (tmp_path / "train.log").read_text()
    # What Slurm itself does two minutes before the limit, as the test of a small job below shows.
    job = (tmp_path / "q" / "train.sh.id").read_text().strip().partition(";")[0]
    subprocess.run(["scancel", "--signal=USR1", "--batch", job], env=slurm, check=True)
    _, err = launcher.communicate(timeout=180)
    log = (tmp_path / "train.log").read_text()
    assert launcher.returncode == 138, log
    assert "job 1 was stopped by SIGUSR1, as at the end of its time" in err
    assert "asrpar: stopped by SIGUSR1 after saving a checkpoint; run the same command again to go on" in log
    assert "stopped by signal 10 (SIGUSR1) after saving a checkpoint" in (exp / "log" / "train.0.log").read_text()
    assert log.splitlines()[-1].startswith("# ended: exit code 138,")


def test_a_program_hears_from_slurm_that_its_time_ends_and_may_finish(small_jobs):
    code, err, log = small_jobs("limit")
    assert code == 138
    assert "job 1 was stopped by SIGUSR1, as at the end of its time" in err
    said, ended = log.splitlines()[-2:]
    assert said == "saved"
    assert ended.startswith("# ended: exit code 138,")


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
