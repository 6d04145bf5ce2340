"""utils/local.sh, utils/slurm.sh and what they share: jobs with numbers, logs and signals."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest


def local(utils, *args, cwd=None):
    return subprocess.run([str(utils / "local.sh"), *map(str, args)], capture_output=True, text=True, cwd=cwd)


def test_each_job_has_its_number_and_its_log(utils, tmp_path):
    done = local(utils, "JOB=1:3", "log/x.JOB.log", "echo", "part JOB", "of 3;", "JOB", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for i in (1, 2, 3):
        first, started, said, ended = (tmp_path / f"log/x.{i}.log").read_text().splitlines()
        assert first == rf"# command: echo part\ {i} of\ 3\; {i} "
        assert started.startswith("# started: 20")
        assert said == f"part {i} of 3; {i}"
        assert ended.startswith("# ended: exit code 0, 20")


def test_any_name_and_a_single_number_and_none(utils, tmp_path):
    assert local(utils, "PART=7", tmp_path / "x.PART.log", "true").returncode == 0
    assert (tmp_path / "x.7.log").exists()
    assert local(utils, tmp_path / "JOB.log", "echo", "JOB").returncode == 0
    assert "\nJOB\n" in (tmp_path / "JOB.log").read_text()


def test_failed_jobs_are_named_with_their_logs(utils, tmp_path):
    code = 'case $1 in 2) exit 5 ;; 3) kill -9 $PPID ;; esac; echo "done $1"'
    done = local(utils, "--max-jobs-run", 2, "JOB=1:4", tmp_path / "x.JOB.log", "bash", "-c", code, "x", "JOB")
    assert done.returncode == 1
    assert f"job 2 failed (exit code 5); its log: {tmp_path}/x.2.log" in done.stderr
    assert f"job 3 failed (killed, or never started); its log: {tmp_path}/x.3.log" in done.stderr
    assert "2 of 4 jobs failed" in done.stderr
    assert "done 4" in (tmp_path / "x.4.log").read_text()


def test_a_job_that_was_asked_to_stop_has_not_failed(utils, tmp_path):
    code = "exit $((136 + $1))"
    done = local(utils, "JOB=2:2", tmp_path / "x.JOB.log", "bash", "-c", code, "x", "JOB")
    assert done.returncode == 138
    assert done.stderr == (
        "local.sh: job 2 was stopped by SIGUSR1, as at the end of its time, and the same command goes on; "
        f"its log: {tmp_path}/x.2.log\n"
    )
    done = local(utils, "JOB=1:2", tmp_path / "x.JOB.log", "bash", "-c", code, "x", "JOB")
    assert done.returncode == 1
    assert "job 1 failed (exit code 137)" in done.stderr and "job 2 was stopped" in done.stderr


def test_an_old_log_does_not_hide_a_failure(utils, tmp_path):
    log = tmp_path / "x.log"
    assert local(utils, log, "true").returncode == 0
    log.chmod(0o644)
    assert local(utils, log, "bash", "-c", "kill -9 $PPID").returncode == 1


def test_a_log_that_is_a_link_or_a_device_stays_one(utils, tmp_path):
    link = tmp_path / "x.log"
    link.symlink_to("elsewhere")
    (tmp_path / "elsewhere").write_text("# ended: exit code 0, of an earlier run\n")
    assert local(utils, link, "true").returncode == 0
    assert link.is_symlink() and (tmp_path / "elsewhere").read_text().startswith("# command: true")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = f". {utils}/jobs/options.sh; . {utils}/jobs/logs.sh; parse_job_options {fifo} true; clear_logs"
    assert subprocess.run(["bash", "-c", code]).returncode == 0 and fifo.is_fifo()


def test_command_that_does_not_exist(utils, tmp_path):
    done = local(utils, tmp_path / "x.log", "no-such-program")
    assert done.returncode == 1
    assert "exit code 127" in done.stderr


def test_at_most_so_many_at_once(utils, tmp_path):
    # Each job sees how many run with it: a folder that can be made only once is the room.
    code = f"mkdir {tmp_path}/room && sleep 0.1 && rmdir {tmp_path}/room"
    assert local(utils, "--max-jobs-run", 1, "JOB=1:4", tmp_path / "x.JOB.log", "bash", "-c", code).returncode == 0


def test_threads_reach_the_job(utils, tmp_path, monkeypatch):
    local(utils, "--num-threads", 3, tmp_path / "x.log", "bash", "-c", "echo $OMP_NUM_THREADS")
    assert "\n3\n" in (tmp_path / "x.log").read_text()
    for value, threads in (("5,2", 5), ("", 1), ("all", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        local(utils, tmp_path / "x.log", "bash", "-c", "echo $OMP_NUM_THREADS")
        assert f"\n{threads}\n" in (tmp_path / "x.log").read_text()


def running(pid: str) -> bool:
    """Whether a process is there, and not only a zombie that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stopped_launcher_takes_its_jobs_with_it(utils, tmp_path):
    marker = tmp_path / "pid"
    code = f"echo $$ > {marker}.tmp; mv {marker}.tmp {marker}; sleep 100"
    launcher = subprocess.Popen([str(utils / "local.sh"), str(tmp_path / "x.log"), "bash", "-c", code])
    while not marker.exists():
        assert launcher.poll() is None
        time.sleep(0.02)
    launcher.send_signal(signal.SIGTERM)
    launcher.send_signal(signal.SIGTERM)  # as `timeout` does
    assert launcher.wait(timeout=10) == 143
    deadline = time.monotonic() + 10
    while running(marker.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started_job(utils, log, *command):
    job = subprocess.Popen([str(utils / "jobs/run_job.sh"), "", "1", str(log), *map(str, command)])
    deadline = time.monotonic() + 30
    while not (log.exists() and "ready" in log.read_text().splitlines()):
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job


@pytest.mark.parametrize(("name", "number"), [("USR1", 10), ("USR1", 12), ("TERM", 15)])
def test_a_job_hands_signals_on_and_waits_for_its_command(utils, tmp_path, name, number):
    log = tmp_path / "x.log"
    code = f'trap "sleep 0.2; echo saved; exit 7" {name}; echo ready; while ((SECONDS < 300)); do sleep 0.05; done'
    job = started_job(utils, log, "bash", "-c", code)
    job.send_signal(number)
    assert job.wait(timeout=10) == 7
    said, ended = log.read_text().splitlines()[-2:]
    assert said == "saved"
    assert ended.startswith("# ended: exit code 7,")


def test_a_command_that_does_not_know_the_signal_is_left_alone(utils, tmp_path):
    log = tmp_path / "x.log"
    go_on = tmp_path / "go on"
    job = started_job(utils, log, "bash", "-c", f"echo ready; until [ -e '{go_on}' ]; do sleep 0.05; done; echo well")
    job.send_signal(signal.SIGUSR1)
    time.sleep(0.2)
    go_on.touch()
    assert job.wait(timeout=10) == 0
    assert log.read_text().splitlines()[-2] == "well"


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_asrpar_launch_gets_sigusr1_even_if_its_handler_is_late(utils, tmp_path, number):
    program = tmp_path / "asrpar"
    program.write_text(
        "#!/usr/bin/env bash\necho ready\nsleep 0.5\n"
        "trap 'echo term; exit 143' TERM\ntrap 'echo usr1; exit 138' USR1\n"
        "while ((SECONDS < 300)); do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    job = started_job(utils, tmp_path / "x.log", program, "launch", "--learners", 2, "--", "train")
    job.send_signal(number)
    # Who cancels a job does not want it queued again, as with 138.
    assert job.wait(timeout=20) == (138 if number == signal.SIGUSR1 else 143)
    assert (tmp_path / "x.log").read_text().splitlines()[-2] == "usr1"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["JOB=1:3", "x.log", "true"], "must contain JOB"),
        (["JOB=0:3", "x.JOB.log", "true"], "expected FIRST:LAST"),
        (["JOB=3:1", "x.JOB.log", "true"], "expected FIRST:LAST"),
        (["JOB=1:010", "x.JOB.log", "true"], "expected FIRST:LAST"),
        (["--requeue", "08", "x.log", "true"], "--requeue 08: expected a whole number"),
        (["--max-jobs-run", "9" * 20, "x.log", "true"], "expected a whole number"),
        (["JOB=1:3", "x.JOB.log"], "a log file and a command are needed"),
        (["--memory", "4G", "x.log", "true"], "unknown option --memory"),
        (["--num-threads", "two", "x.log", "true"], "--num-threads two: expected a whole number"),
        (["--mem"], "--mem: a value is missing"),
        (["--submit-args", "--comment='a b", "x.log", "true"], "a quote is not closed"),
    ],
)
@pytest.mark.parametrize("launcher", ["local.sh", "slurm.sh"])
def test_wrong_arguments(utils, tmp_path, launcher, args, says):
    done = subprocess.run([str(utils / launcher), *args], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{launcher}: error: " in done.stderr
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_slurm_launcher_without_slurm(utils, tmp_path):
    path = tmp_path / "bin"
    path.mkdir()
    for tool in ("bash", "dirname"):
        (path / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        [str(path / "bash"), str(utils / "slurm.sh"), str(tmp_path / "x.log"), "true"],
        capture_output=True, text=True, env={"PATH": str(path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "no sbatch on PATH" in done.stderr
