"""Which hosts, how many ranks on each, how many threads for each."""

import platform

import pytest

from asrpar.errors import LaunchError
from asrpar.launch import allocation
from asrpar.launch.job import build_command
from asrpar.launch.launchers import openmpi
from asrpar.launch.spec import LaunchSpec

OPENMPI = openmpi.Launcher("mpirun", major=5)
SLURM = {"SLURM_JOB_ID": "7"}


@pytest.fixture
def machine(monkeypatch):
    """Eight cores, and no scheduler but what a test sets."""

    def make(**variables):
        for name in [n for n in allocation.os.environ if n.startswith(("SLURM", "PBS_", "LSB_", "OMP_"))]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    monkeypatch.setattr(allocation, "available_cores", lambda: 8)
    return make


def threads(learners: int, **wishes) -> int:
    job = build_command(LaunchSpec(learners, oversubscribe=True, **wishes), [], launcher=OPENMPI)
    return int(next(word for word in job.argv if word.startswith("OMP_NUM_THREADS=")).partition("=")[2])


@pytest.mark.parametrize(
    ("learners", "environment", "expected"),
    [
        (2, {}, 4),
        (3, {}, 2),
        (9, {}, 1),
        (4, {"OMP_NUM_THREADS": "3"}, 3),
        # Two nodes with two tasks and four CPUs each.
        (4, SLURM | {"SLURM_TASKS_PER_NODE": "2(x2)", "SLURM_JOB_CPUS_PER_NODE": "4(x2)"}, 2),
        (2, SLURM | {"SLURM_TASKS_PER_NODE": "2(x2)", "SLURM_JOB_CPUS_PER_NODE": "4(x2)"}, 2),
        (8, SLURM | {"SLURM_TASKS_PER_NODE": "2(x2)", "SLURM_JOB_CPUS_PER_NODE": "4(x2)"}, 1),
        # The fullest node counts.
        (4, SLURM | {"SLURM_TASKS_PER_NODE": "3,1", "SLURM_JOB_CPUS_PER_NODE": "12,2"}, 2),
        (2, SLURM | {"SLURM_TASKS_PER_NODE": "2", "SLURM_CPUS_PER_TASK": "4"}, 4),
        # One task of 16 CPUs, taken for four learners.
        (4, SLURM | {"SLURM_TASKS_PER_NODE": "1", "SLURM_CPUS_PER_TASK": "16", "SLURM_JOB_CPUS_PER_NODE": "16"}, 4),
        # Whole cores were given for three CPUs a task.
        (1, SLURM | {"SLURM_TASKS_PER_NODE": "1", "SLURM_CPUS_PER_TASK": "3", "SLURM_JOB_CPUS_PER_NODE": "4"}, 3),
        (4, {"LSB_DJOB_NUMPROC": "4", "LSB_MCPU_HOSTS": "a 2 b 2"}, 4),
        (8, {"LSB_DJOB_NUMPROC": "8"}, 1),
    ],
)
def test_cores_are_shared_by_the_learners_of_a_host(machine, learners, environment, expected):
    machine(**environment)
    assert threads(learners) == expected


def test_of_pbs_each_line_is_a_rank(machine, tmp_path):
    (tmp_path / "nodes").write_text("a\na\nb\nb\n")
    machine(PBS_NODEFILE=str(tmp_path / "nodes"))
    assert threads(4) == 4


@pytest.mark.parametrize(
    ("text", "learners", "expected"),
    [
        ("a slots=2\nb slots=2 max_slots=8\n", 4, 4),
        ("a slots=4\nb slots=4\n", 4, 2),  # the first host takes all four
        ("# ours\na:2\nb:2  # too\n", 4, 4),  # MPICH's words
        ("a\na\nb\nb\n", 4, 4),
        ("a\nb\n", 4, 4),
        ("a max-slots=9\n", 2, 4),
        ("a slots=1\nb slots=1\n", 6, 2),
    ],
)
def test_hostfiles(machine, tmp_path, text, learners, expected):
    machine()
    hosts = tmp_path / "hosts"
    hosts.write_text(text)
    assert threads(learners, hostfile=str(hosts)) == expected


@pytest.mark.parametrize(
    ("hosts", "learners", "expected"),
    [(("a", "b"), 4, 4), (("a:1", "b:3"), 4, 2), (("a", "a", "b"), 6, 2), (("a", "a"), 2, 4), (("a:2", "b"), 3, 4)],
)
def test_listed_hosts(machine, hosts, learners, expected):
    machine()
    assert threads(learners, hosts=hosts) == expected


def test_ranks_fill_one_host_before_the_next():
    hosts = [allocation.Host("a", 2), allocation.Host("b", 3)]
    assert allocation.ranks_of(hosts, 4) == [2, 2]
    assert allocation.ranks_of(hosts, 9) == [4, 5]
    assert allocation.ranks_of(hosts, 1) == [1, 0]


def test_whether_all_ranks_are_here(machine):
    machine()
    assert allocation.here(allocation.scheduled())
    assert allocation.here(allocation.listed(["localhost", platform.node()]))
    assert not allocation.here(allocation.listed(["localhost", "elsewhere"]))
    machine(SLURM_JOB_ID="7", SLURM_TASKS_PER_NODE="2", SLURMD_NODENAME=platform.node())
    assert allocation.here(allocation.scheduled())
    machine(SLURM_JOB_ID="7", SLURM_TASKS_PER_NODE="2")  # salloc: this may be the login node
    assert not allocation.here(allocation.scheduled())
    machine(LSB_DJOB_NUMPROC="8")
    assert not allocation.here(allocation.scheduled())


@pytest.mark.parametrize(
    "environment", [SLURM | {"SLURM_TASKS_PER_NODE": ""}, {"LSB_DJOB_NUMPROC": "0"}, {"PBS_NODEFILE": "/dev/null"}]
)
def test_variables_that_name_no_host_count_as_none(machine, environment):
    machine(**environment)
    assert threads(2) == 4


@pytest.mark.parametrize(
    ("variable", "wishes", "says"),
    [
        ("abc", {}, "OMP_NUM_THREADS is 'abc': expected a number"),
        ("0", {}, "is '0'"),
        ("4,x", {}, "is '4,x'"),
        ("", {"hosts": ("a:x",)}, "--hosts a:x: expected HOST or HOST:SLOTS"),
        ("", {"hosts": ("a:0", "b:2")}, "--hosts a:0"),
        ("", {"hostfile": "hosts"}, "hosts names no host"),
    ],
)
def test_threads_and_hosts_that_are_none_are_refused(machine, tmp_path, variable, wishes, says):
    machine(OMP_NUM_THREADS=variable)
    if "hostfile" in wishes:
        wishes = {"hostfile": str(tmp_path / "hosts")}
        (tmp_path / "hosts").write_text("# to be filled in\n\n")
    with pytest.raises(LaunchError, match=says):
        threads(2, **wishes)
    if variable:
        assert threads(2, threads=3) == 3
        machine(OMP_NUM_THREADS=" 4 ")
        assert threads(2) == 4
