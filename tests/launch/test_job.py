"""The job: which command line for which launcher."""

import os
import subprocess
import sys

import pytest

from asrpar.errors import LaunchError
from asrpar.launch import allocation
from asrpar.launch.job import build_command
from asrpar.launch.launchers import mpich, openmpi, srun
from asrpar.launch.program import Program
from asrpar.launch.spec import LaunchSpec

OPENMPI5 = openmpi.Launcher("/opt/bin/mpirun", major=5)
OPENMPI4 = openmpi.Launcher("/opt/bin/mpirun", major=4)
MPICH = mpich.Launcher("/opt/bin/mpiexec")
SRUN = srun.Launcher("/opt/bin/srun", pmi="pmix")


@pytest.fixture
def machine(monkeypatch):
    """Two cores, not root, no scheduler, no terminal."""
    for name in [n for n in os.environ if n.startswith(("SLURM", "PBS_", "LSB_", "OMP_", "PYTHONPATH"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(allocation, "available_cores", lambda: 2)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "isatty", lambda fd: False)


def words(launcher: Program, learners: int = 2, **wishes) -> list[str]:
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
        ({"learners": 2, "quorum": 3}, "--quorum 3: expected a number from 1 to the 2 learners"),
    ],
)
def test_impossible_wishes(machine, wishes, says):
    with pytest.raises(LaunchError, match=says):
        build_command(LaunchSpec(**wishes), ["info"], launcher=OPENMPI5)


def test_a_quorum_survives(machine):
    job = build_command(LaunchSpec(4, quorum=3), ["train"], launcher=OPENMPI5)
    assert job.survive and "--with-ft" in job.argv
    assert {"ASRPAR_SURVIVE", "ASRPAR_QUORUM"} <= set(job.env) | {word.partition("=")[0] for word in job.argv}
    with pytest.raises(LaunchError, match="--quorum needs mpirun of Open MPI 5"):
        build_command(LaunchSpec(4, quorum=3), ["train"], launcher=SRUN)


def test_dry_run_prints_and_does_not_start(asrpar_cli):
    done = asrpar_cli("launch", "--learners", 2, "--dry-run", "--", "train", "--config", "a b.yaml")
    assert "mpi4py -m asrpar train --config 'a b.yaml'" in done.stdout


@pytest.mark.parametrize("wrong", [["--env", "A-B=1"], ["--env", "AB"], ["--learners", "0"], ["--launcher", "pvm"]])
def test_wrong_options(asrpar_cli, wrong):
    done = asrpar_cli("launch", "--learners", 2, *wrong, "--", "info", check=False)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("asrpar: error: ")
    assert done.stderr.count("\n") == 1
