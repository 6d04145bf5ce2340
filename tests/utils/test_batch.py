"""utils/pbs.sh and utils/lsf.sh with small schedulers that know the documented options, and what all three share."""

import json
import os
import signal
import subprocess
import time

import fake_batch
import pytest

SYSTEMS = ["pbs", "lsf"]


class Batch:
    """One of the systems, installed: ``batch(*args)`` runs its launcher in ``place``."""

    def __init__(self, utils, system, place):
        self.system, self.place, self.state = system, place, place / "state"
        fake_batch.install(place / "bin", self.state)
        self.launcher = str(utils / f"{system}.sh")
        self.env = os.environ | {"PATH": f"{place}/bin:{os.environ['PATH']}", "HOME": str(place / "bin"), "MINE": "a b"}
        self.env[fake_batch.MINUTE] = "1"

    def start(self, *args, **options):
        return subprocess.Popen([self.launcher, *map(str, args)], env=self.env, cwd=self.place, text=True, **options)

    def __call__(self, *args):
        run = self.start(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = run.communicate(timeout=100)
        return subprocess.CompletedProcess(args, run.returncode, out, err)

    def jobs(self):
        """What was asked for, job after job."""
        folders = sorted(self.state.iterdir(), key=lambda p: int(p.name))
        return [json.loads((p / "job.json").read_text())["job"] for p in folders]

    def log(self, name="x.log"):
        return (self.place / name).read_text()


@pytest.fixture(params=SYSTEMS)
def batch(request, utils, tmp_path):
    return Batch(utils, request.param, tmp_path)


def test_an_array_with_its_numbers_environment_and_limit(batch):
    code = 'echo "part $1 with $MINE in $PWD on $OMP_NUM_THREADS"; sleep 0.3'
    done = batch(
        "--max-jobs-run", 2, "--num-threads", 3, "JOB=3:6", "log/x.JOB.log", "bash", "-c", code, "x", "JOB"
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for i in (3, 4, 5, 6):
        assert f"\npart {i} with a b in {batch.place} on 3\n" in batch.log(f"log/x.{i}.log")
    assert (batch.state / "1/busiest").read_text() == "2"
    assert not list(batch.place.glob("log/q/*.id"))


def test_what_the_script_asks_for(batch):
    more = {"pbs": "-A 'my proj' -l place=scatter", "lsf": "-P 'my proj' -app chem"}[batch.system]
    wanted = ["--mem", "4G", "--num-threads", 2, "--num-tasks", 3, "--gpu", 1, "--time", "26:30:00", "--queue", "long"]
    shown = batch(*wanted, "--requeue", 2, "--submit-args", more, "--dry-run", "dir/1 x.log", "a program", "with $x")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert not list(batch.state.iterdir()) and not (batch.place / "dir").exists()
    word, parse = {"pbs": ("#PBS", fake_batch.pbs), "lsf": ("#BSUB", fake_batch.lsf)}[batch.system]
    job, rest = parse(fake_batch.directives(shown.stdout, word))
    assert rest == []
    if batch.system == "pbs":
        assert job == {
            "N": "j1_x", "S": "/bin/bash", "V": "", "j": "oe", "o": f"{batch.place}/dir/q/1 x.1.out",
            "select": "3:ncpus=2:mpiprocs=1:ompthreads=2:ngpus=1:mem=4gb", "walltime": "26:30:00", "q": "long",
            "r": "y", "A": "my proj", "place": "scatter",
        }  # fmt: skip
    else:
        assert job == {
            "J": "1_x", "o": "dir/q/1 x.1.out", "n": "3", "R": "affinity[core(2)] rusage[mem=4GB]",
            "gpu": "num=1/task", "W": "26:30",
            "wa": "USR1", "wt": "2", "q": "long", "r": "", "P": "my proj", "app": "chem",
        }  # fmt: skip
    assert r"run_job.sh '' \"$number\" dir/1\ x.log a\ program with\ \$x".replace('\\"', '"') in shown.stdout
    assert subprocess.run(["bash", "-n"], input=shown.stdout, text=True).returncode == 0


def test_failed_tasks_run_again_alone(batch):
    code = f"echo $1; mkdir {batch.place}/$1 2>/dev/null || exit 0; exit $(($1 % 2 * 3))"
    done = batch("JOB=1:5", "x.JOB.log", "bash", "-c", code, "x", "JOB")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("failed (exit code 3), and runs again") == 3
    assert [batch.log(f"x.{i}.log").count("# started") for i in range(1, 6)] == [2, 1, 2, 1, 2]
    assert "\n# failed, runs again: 1 of at most 1 times\n" in batch.log("x.5.log")
    again = batch.jobs()[1]["J"]
    assert again == {"pbs": "1-3", "lsf": "x.JOB[1,3,5]"}[batch.system]


def test_what_fails_everywhere_or_has_failed_often_enough_ends(batch):
    done = batch("JOB=1:2", "x.JOB.log", "false")
    assert done.returncode == 1 and "2 of 2 jobs failed" in done.stderr
    assert len(batch.jobs()) == 1
    done = batch("--retries", 1, "x.log", "false")
    assert done.returncode == 1 and "job 1 failed (exit code 1); its log: x.log" in done.stderr
    assert len(batch.jobs()) == 3


SAVES = (
    'trap "echo saved; exit 138" USR1; test -e here && exit; touch here; while ((SECONDS < 300)); do sleep 0.05; done'
)


def test_a_job_that_its_time_limit_stops_is_submitted_again(batch):
    batch.env[fake_batch.MINUTE] = "4"
    limit = {"pbs": "0:08", "lsf": "2"}[batch.system]  # eight seconds, the warning after four
    done = batch("--requeue", 1, "--time", limit, "x.log", "bash", "-c", SAVES)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in batch.log().splitlines() if line == "saved" or line.startswith("# ")]
    assert lines[2] == "saved" and lines[3].startswith("# ended: exit code 138,")
    assert lines[4] == "# queued again, 1 of at most 1 times"
    assert lines[-1].startswith("# ended: exit code 0,")
    assert len(batch.jobs()) == 2


def test_a_lost_job_is_submitted_again_and_a_cancelled_one_is_not(batch):
    code = "test -e here && exit; touch here; kill -9 $PPID"
    done = batch("--requeue", 1, "x.log", "bash", "-c", code)
    assert done.returncode == 0
    assert ("without --time nobody here knows" in done.stderr) == (batch.system == "pbs")
    run = batch.start("--requeue", 1, "--retries", 3, "y.log", "sleep", 100, stderr=subprocess.PIPE)
    wait_for(lambda: (batch.place / "q/y.sh.id").exists() and (batch.place / "y.log").exists())
    second = batch("y.log", "true")
    number = (batch.place / "q/y.sh.id").read_text().strip()
    assert second.returncode == 1
    assert f"job {number} of the same log is still queued or running: wait for it, or cancel it" in second.stderr
    subprocess.run([{"pbs": "qdel", "lsf": "bkill"}[batch.system], number], env=batch.env, check=True)
    assert "was stopped by SIGTERM" in run.communicate(timeout=100)[1]
    assert run.returncode == 143
    assert len(batch.jobs()) == 3


def test_a_cancelled_training_is_not_submitted_again(batch):
    program = batch.place / "asrpar"  # it saves, and ends as after SIGUSR1
    program.write_text(
        "#!/bin/bash\ntrap 'exit 138' TERM USR1\ntouch ready\nwhile ((SECONDS < 300)); do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    run = batch.start("--requeue", 1, "x.log", program, "launch", "--", "train", stderr=subprocess.PIPE)
    wait_for((batch.place / "ready").exists)
    wait_for((batch.place / "q/x.sh.id").exists)
    subprocess.run([{"pbs": "qdel", "lsf": "bkill"}[batch.system], "1"], env=batch.env, check=True)
    assert "was stopped by SIGTERM" in run.communicate(timeout=30)[1]
    assert run.returncode == 143 and len(batch.jobs()) == 1


def test_jobs_of_a_job_do_not_take_its_number_for_theirs(batch):
    batch.env |= {"PBS_ARRAY_INDEX": "7", "LSB_JOBINDEX": "7"}
    assert batch("JOB=3:3", "x.JOB.log", "true").returncode == 0
    assert batch.log("x.3.log").startswith("# command: true")


def test_jobs_of_a_slurm_job_do_not_take_its_number_for_theirs(utils, tmp_path):
    (tmp_path / "sbatch").write_text("#!/bin/sh\nenv > environment\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    theirs = {"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "9", "SLURM_RESTART_COUNT": "4"}
    env = os.environ | theirs | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([utils / "slurm.sh", "x.log", "true"], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert "sbatch refused the jobs" in done.stderr
    assert "SLURM_ARRAY" not in (said := (tmp_path / "environment").read_text()) and "RESTART_COUNT" not in said


def test_memory_without_a_unit_is_in_megabytes(utils):
    args = [utils / "pbs.sh", "--mem", "4000", "--dry-run", "x.log", "true"]
    assert ":mem=4000mb\n" in subprocess.run(args, capture_output=True, text=True).stdout


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_stopped_launcher_cancels_its_jobs(batch):
    run = batch.start("x.log", "sleep", "100")
    wait_for(lambda: (batch.place / "x.log").exists())
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=10) == 143
    assert (batch.state / "1/done").exists()


def test_what_the_system_refuses(batch):
    done = batch("--queue", "nowhere", "x.log", "true")
    assert done.returncode == 1
    assert "sub refused the jobs (exit code 1); the script was ./q/x.sh" in done.stderr


def test_the_scripts_of_slurm_and_of_this_machine(utils, tmp_path):
    args = ["--time", "4:00:00", "--max-jobs-run", "4", "--requeue", "3", "--submit-args", "-A proj", "--dry-run"]
    job = ["JOB=1:20", "log/x.JOB.log", "program", "JOB", "a b"]
    shown = {
        system: subprocess.run([utils / f"{system}.sh", *args, *job], cwd=tmp_path, capture_output=True, text=True)
        for system in ("slurm", "local")
    }
    for done in shown.values():
        assert (done.returncode, done.stderr) == (0, "")
    lines = shown["slurm"].stdout.splitlines()
    for line in ("--array=1-20%4", "--time=4:00:00", "--signal=B:USR1@120", "--requeue", "-A proj"):
        assert f"#SBATCH {line}" in lines
    assert lines[-1].endswith(r'run_job.sh JOB "$number" log/x.JOB.log program JOB a\ b ')
    bare = [utils / "slurm.sh", "--dry-run"], ["x.log", "true"]
    for more, warned in (([], False), (["--requeue", "0"], False), (["--requeue", "1"], True)):
        done = subprocess.run([*bare[0], *more, *bare[1]], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert ("--signal=B:USR1@120" in done.stdout) == warned, more
    jobs = shown["local"].stdout.splitlines()
    assert len(jobs) == 20 and jobs[6].endswith(r"run_job.sh JOB 7 log/x.JOB.log program JOB a\ b ")
    assert not list(tmp_path.iterdir())
    for limit in ("soon", "0", "00:00", "9" * 20):
        wrong = subprocess.run([utils / "pbs.sh", "--time", limit, "x.log", "true"], capture_output=True, text=True)
        assert wrong.returncode == 1 and wrong.stderr == f"pbs.sh: error: --time {limit}: expected HH:MM:SS\n"
