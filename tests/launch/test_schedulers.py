"""What allocations say of nodes, tasks and GPUs, by the variables that schedulers document; and what is made of it."""

import os
import sys

import pytest

from asrpar.errors import LaunchError
from asrpar.launch import allocation, schedulers
from asrpar.launch.hosts import Host
from asrpar.launch.job import build_command
from asrpar.launch.launchers import flux, mpich, openmpi, pals, srun
from asrpar.launch.spec import LaunchSpec

OPENMPI = openmpi.Launcher("mpirun", major=5)
OPENMPI4 = openmpi.Launcher("mpirun", major=4)
MPICH = mpich.Launcher("mpiexec")
SRUN = srun.Launcher("srun", pmi="pmix")
PALS = pals.Launcher("mpiexec")
FLUX = flux.Launcher("flux", pmi=None)
TWO_NODES = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NODELIST": "gpu[07-08]",
    "SLURM_TASKS_PER_NODE": "1(x2)",
    "SLURM_JOB_CPUS_PER_NODE": "32(x2)",
}
OURS = ("SLURM", "PBS_", "LSB_", "OMP_", "FLUX_", "CUDA_VIS", "TORCHELASTIC", "NCPUS", "PRTE_", "HYDRA_")


@pytest.fixture
def allocated(monkeypatch, tmp_path):
    """Sets variables, those of more than a line as names of files; makes programs that say something."""
    for name in [n for n in os.environ if n.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PYTHONPATH", raising=False)  # ranks would have it
    monkeypatch.setattr(allocation, "available_cores", lambda: 8)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def make(variables, programs=()):
        for name, value in variables.items():
            if value.endswith("\n"):
                (tmp_path / name).write_text(value)
                value = str(tmp_path / name)
            monkeypatch.setenv(name, value)
        for name, says in dict(programs).items():
            (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'EOF'\n{says}\nEOF\n")
            (tmp_path / name).chmod(0o755)

    return make


def command(launcher, learners=None, **wishes) -> str:
    job = build_command(LaunchSpec(learners, **wishes), [], launcher=launcher)
    words = [w for w in job.argv[: job.argv.index(sys.executable)] if "ASRPAR" not in w and "PYTHON" not in w]
    return " ".join(words)


FOUND = [
    # --gpus-per-node; --gres; --gpus-per-task; --gpus.
    (TWO_NODES | {"SLURM_GPUS_PER_NODE": "a100:4"}, [Host("gpu07", 1, 32, 4), Host("gpu08", 1, 32, 4)]),
    (TWO_NODES | {"SLURM_GPUS_ON_NODE": "2"}, [Host("gpu07", 1, 32, 2), Host("gpu08", 1, 32, 2)]),
    (
        TWO_NODES | {"SLURM_TASKS_PER_NODE": "2,1", "SLURM_GPUS_PER_TASK": "1"},
        [Host("gpu07", 2, 32, 2), Host("gpu08", 1, 32, 1)],
    ),
    (TWO_NODES | {"SLURM_GPUS": "8", "SLURM_GPUS_ON_NODE": "4"}, [Host(f"gpu0{i}", 1, 32, 4) for i in (7, 8)]),
    # Not equally many on each, and nothing says how many on the other.
    (TWO_NODES | {"SLURM_GPUS": "6", "SLURM_GPUS_ON_NODE": "4"}, [Host(f"gpu0{i}", 1, 32) for i in (7, 8)]),
    (TWO_NODES, [Host("gpu07", 1, 32), Host("gpu08", 1, 32)]),
    ({"LSB_MCPU_HOSTS": "a 2 b 4"}, [Host("a", 2), Host("b", 4)]),
    ({"LSB_MCPU_HOSTS": "a 4 b 4", "CUDA_VISIBLE_DEVICES": "0,1"}, [Host("a", 4, None, 2), Host("b", 4, None, 2)]),
    ({"LSB_DJOB_HOSTFILE": "a\na\nb\n"}, [Host("a", 2), Host("b", 1)]),
    ({"LSB_HOSTS": "a b b"}, [Host("a", 1), Host("b", 2)]),
    ({"PBS_NODEFILE": "a\na\nb\nb\n"}, [Host("a", 2), Host("b", 2)]),
    ({"PBS_NODEFILE": "a\na\n", "NCPUS": "16"}, [Host("a", 2, 16)]),
    (
        {"PBS_NODEFILE": "a\nb\n", "PBS_GPUFILE": "a-gpu0\na-gpu1\nb-gpu0\nb-gpu1\n"},
        [Host("a", 1, None, 2), Host("b", 1, None, 2)],
    ),
    ({"PBS_NODEFILE": "a\nb\n", "CUDA_VISIBLE_DEVICES": "0,1,2,3"}, [Host(n, 1, None, 4) for n in "ab"]),
]


@pytest.mark.parametrize(("variables", "hosts"), FOUND, ids=range(len(FOUND)))
def test_nodes_tasks_and_gpus(allocated, variables, hosts):
    allocated(variables)
    assert allocation.scheduled() == hosts


def test_flux_is_asked(allocated):
    # Inside an allocation of Slurm, as it is started there.
    allocated(TWO_NODES | {"FLUX_URI": "local:///run/flux"}, {"flux": "2 32 8 tux[1-2]\n0 0 0"})
    assert allocation.scheduled() == [Host("tux1", 16, 16, 4), Host("tux2", 16, 16, 4)]
    assert command(FLUX) == (
        "flux run --label-io -o cpu-affinity=off --nodes=2 --tasks-per-node=4 --env=OMP_NUM_THREADS=4"
    )
    assert "--ntasks=32 --env=OMP_NUM_THREADS=1" in command(FLUX, 32)
    allocated({}, {"flux": "2 32 0 tux[1-2]"})
    assert command(FLUX).startswith("flux run --label-io -o cpu-affinity=off --ntasks=32 --env=OMP_NUM_THREADS=1")


def test_a_learner_for_each_gpu_or_else_for_each_task(allocated):
    allocated(TWO_NODES)
    assert command(SRUN).startswith("srun --ntasks 2 ")
    allocated({"SLURM_GPUS_PER_NODE": "4"})
    assert command(SRUN).startswith("srun --ntasks 8 ")
    assert command(SRUN).endswith("--ntasks-per-node=4 --overcommit")
    assert command(OPENMPI) == (
        "mpirun -n 8 --bind-to none --output tag --map-by ppr:4:node:OVERSUBSCRIBE -x OMP_NUM_THREADS=8 -x -x"
    )
    assert "--map-by ppr:4:node --oversubscribe" in command(OPENMPI4)
    assert "-ppn 4 -genv OMP_NUM_THREADS 8" in command(MPICH)
    assert "ppr" not in command(OPENMPI, 2)  # the scheduler's tasks do
    assert "ppr" not in command(OPENMPI, 16)  # more than GPUs: these are not what counts
    with pytest.raises(LaunchError, match=r"one for each GPU are 4, 1 on the nodes; name the hosts with --hosts"):
        command(SRUN, 5)


def test_on_one_node_gpus_are_just_more_ranks(allocated):
    allocated(TWO_NODES | {"SLURM_JOB_NODELIST": "n1", "SLURM_TASKS_PER_NODE": "1", "SLURM_JOB_CPUS_PER_NODE": "16"})
    allocated({"SLURM_GPUS_ON_NODE": "4", "SLURMD_NODENAME": "n1"})
    assert "--ntasks 4" in command(SRUN)
    assert "--overcommit" in command(SRUN)


def test_launchers_that_do_not_find_the_hosts_are_told(allocated):
    allocated({"PBS_NODEFILE": "a\na\nb\nb\n"}, {"pbs_tmrsh": ""})
    assert "-n 4 --bind-to none --output tag --host a:2,b:2 -x OMP_NUM_THREADS=4" in command(OPENMPI)
    assert "--host a:2,b:1 " in command(OPENMPI, 3)
    assert "-hosts a:2,b:2" in command(MPICH)
    assert command(PALS).startswith("mpiexec -n 4 --label --cpu-bind none --env OMP_NUM_THREADS=4")
    job = build_command(LaunchSpec(4), [], launcher=OPENMPI)
    assert job.env["PRTE_MCA_plm_ssh_agent"].endswith("/pbs_tmrsh")
    assert build_command(LaunchSpec(4), [], launcher=OPENMPI4).env["OMPI_MCA_plm_rsh_agent"].endswith("/pbs_tmrsh")
    assert build_command(LaunchSpec(4), [], launcher=MPICH).env["HYDRA_LAUNCHER_EXEC"].endswith("/pbs_tmrsh")
    assert not job.one_host
    # The user's own list goes before.
    assert "--host c:2,d:2" in command(OPENMPI, 4, hosts=("c", "d"))
    assert "PRTE_MCA_plm_ssh_agent" not in build_command(LaunchSpec(4, hosts=("c",)), [], launcher=OPENMPI).env


def test_lsf_has_blaunch(allocated):
    allocated({"LSB_MCPU_HOSTS": "a 4 b 4", "CUDA_VISIBLE_DEVICES": "0,1"}, {"blaunch": ""})
    assert "mpirun -n 4 --bind-to none --output tag --host a:2,b:2" in command(OPENMPI)
    assert build_command(LaunchSpec(None), [], launcher=OPENMPI).env["PRTE_MCA_plm_ssh_agent"].endswith("/blaunch")


def test_a_job_on_this_host_alone_needs_no_list(allocated):
    allocated({"PBS_NODEFILE": f"{allocation.Host('').name or os.uname().nodename}\n" * 2})
    assert "--host" not in command(OPENMPI)
    assert build_command(LaunchSpec(None), [], launcher=OPENMPI).one_host


def test_pals_puts_gpus_and_hosts_in_its_own_words(allocated):
    allocated({"PBS_NODEFILE": "a\nb\n", "CUDA_VISIBLE_DEVICES": "0,1,2,3"})
    assert command(PALS).startswith("mpiexec -n 8 --label --cpu-bind none --ppn 4 --env")
    assert "--ppn 2 --hosts c,d" in command(PALS, 4, hosts=("c", "d"))
    with pytest.raises(LaunchError, match="equally many ranks on each host"):
        command(PALS, 3, hosts=("c:1", "d:2"))
    assert PALS.take_apart("x1000c0s0b0n0.hsn.cm 3: hello: all") == (3, "hello: all")
    assert PALS.ended(["x1.org: rank 3 exited with code 5"], 5) == (3, "exit code 5", 5)
    assert PALS.ended(["x1.org: rank 2 died from signal 9"], 137).code == 137


def test_outside_of_an_allocation_the_number_is_needed(allocated):
    allocated({})
    assert schedulers.current() is None
    with pytest.raises(LaunchError, match="--learners N is needed"):
        command(OPENMPI)


def test_threads_of_the_user_are_kept_in_allocations(allocated):
    allocated(TWO_NODES | {"OMP_NUM_THREADS": "3", "SLURM_GPUS_PER_NODE": "4"})
    assert "-x OMP_NUM_THREADS=3" in command(OPENMPI)
    allocated({"PBS_NODEFILE": "a\nb\n"})
    assert "-x OMP_NUM_THREADS=3" in command(OPENMPI)
