"""Which command starts N learners on this machine or cluster, and is the world then the world that was asked for?

Open MPI, MPICH (hydra) and Slurm's srun each have their own words for the same wishes: no binding (a learner has
threads), one setting of OMP_NUM_THREADS for all ranks, output labelled by rank. `build_command` knows them.
`asrpar.launch.run` runs the command and finds out which rank failed.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asrpar.errors import LaunchError
from asrpar.launch import allocation, safepath
from asrpar.launch.allocation import Host, in_slurm, slots_of
from asrpar.launch.launchers import Launcher, choose_launcher
from asrpar.launch.rank import SURVIVE, TERMINAL, WORLD_SIZE


@dataclass(frozen=True)
class LaunchSpec:
    """What the user asks for.

    Attributes:
        learners: number of ranks.
        launcher: one of `asrpar.launch.launchers.LAUNCHERS`.
        hosts: host names, each with ``:slots`` or none of them.
        hostfile: in the launcher's own format.
        threads: OpenMP threads of one learner; None keeps OMP_NUM_THREADS, or shares a host's cores among its learners.
        env: variables for every rank.
        launcher_args: handed to mpirun or srun as they are.
        survive: go on when a rank dies (Open MPI's fault tolerance).
        oversubscribe: however many learners a core has.
    """

    learners: int
    launcher: str = "auto"
    hosts: tuple[str, ...] = ()
    hostfile: str | None = None
    threads: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    launcher_args: tuple[str, ...] = ()
    survive: bool = False
    oversubscribe: bool = False


@dataclass(frozen=True)
class Job:
    """A command line ready to run, with the environment variables that it needs besides the present ones.

    ``one_host``: all ranks run on this machine.
    """

    launcher: Launcher
    learners: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    survive: bool = False
    one_host: bool = False

    def __str__(self) -> str:
        """One line for a shell."""
        env = ["env", *(f"{k}={v}" for k, v in self.env.items())] if self.env else []
        return shlex.join([*env, *self.argv])


def build_command(
    spec: LaunchSpec,
    args: Sequence[str],
    *,
    program: Sequence[str] = ("-m", "asrpar"),
    launcher: Launcher | None = None,
) -> Job:
    """The job that runs ``python -P -m mpi4py <program> <args>`` on every rank.

    ``-m mpi4py`` turns an uncaught exception on one rank into the end of the job; without it the others would wait for
    ever.

    Raises:
        LaunchError: an impossible wish, or no usable launcher on this machine.
    """
    if spec.learners < 1:
        raise LaunchError(f"--learners {spec.learners}: at least one learner is needed")
    if spec.threads is not None and spec.threads < 1:
        raise LaunchError(f"--threads-per-learner {spec.threads}: at least one thread is needed")
    if spec.hosts and spec.hostfile:
        raise LaunchError("give --hosts or --hostfile, not both")
    if spec.hostfile and not Path(spec.hostfile).is_file():
        raise LaunchError(f"no host file {spec.hostfile}")
    hosts = _hosts(spec)
    if not hosts:
        raise LaunchError(f"{spec.hostfile} names no host: give one in each line, as HOST or HOST slots=N")
    limit = allocation.most(hosts)
    if limit is not None and spec.learners > limit and not spec.oversubscribe:
        raise LaunchError(
            f"--learners {spec.learners}: {allocation.CROWDED} learners a core are {limit} here; give fewer, or "
            "--oversubscribe if that many are meant"
        )
    launcher = launcher or choose_launcher(spec.launcher)
    if spec.survive and (launcher.kind != "openmpi" or launcher.major < 5):
        raise LaunchError(f"--survive needs mpirun of Open MPI 5 or newer, not {launcher.path}")
    ranks_env = {
        "OMP_NUM_THREADS": _threads(spec, hosts),
        WORLD_SIZE: str(spec.learners),
        **safepath.environment(),
        **({TERMINAL: os.ttyname(2)} if os.isatty(2) else {}),
        **({SURVIVE: "1"} if spec.survive else {}),
        **spec.env,
    }
    argv, env = {"openmpi": _openmpi, "mpich": _mpich, "srun": _srun}[launcher.kind](spec, launcher, ranks_env)
    one_host = allocation.here(hosts)
    rank_command = [sys.executable, "-P", "-m", "mpi4py", *program, *args]
    return Job(launcher, spec.learners, (*argv, *spec.launcher_args, *rank_command), env, spec.survive, one_host)


def _openmpi(spec: LaunchSpec, launcher: Launcher, ranks_env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    argv = [launcher.path, "-n", str(spec.learners), "--bind-to", "none"]
    argv += ["--output", "tag"] if launcher.major >= 5 else ["--tag-output"]
    argv += ["--with-ft", "mpi"] if spec.survive else []
    env = {}
    if os.geteuid() == 0:  # containers
        env = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if spec.hosts:
        argv += ["--host", ",".join(_with_slots(spec))]
    elif spec.hostfile:
        argv += ["--hostfile", spec.hostfile]
    elif spec.learners > slots_of(allocation.scheduled()):
        argv += ["--map-by", ":OVERSUBSCRIBE"] if launcher.major >= 5 else ["--oversubscribe"]
    for name, value in ranks_env.items():
        argv += ["-x", f"{name}={value}"]
    return argv, env


def _mpich(spec: LaunchSpec, launcher: Launcher, ranks_env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    argv = [launcher.path, "-n", str(spec.learners), "-bind-to", "none", "-prepend-rank"]
    if spec.hosts:
        argv += ["-hosts", ",".join(_with_slots(spec))]
    elif spec.hostfile:
        argv += ["-f", spec.hostfile]
    for name, value in ranks_env.items():
        argv += ["-genv", name, value]
    return argv, {}


def _srun(spec: LaunchSpec, launcher: Launcher, ranks_env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    argv = [launcher.path, "--ntasks", str(spec.learners), "--label", "--cpu-bind=none", "--kill-on-bad-exit=1"]
    argv += ["--input=none"]
    if launcher.pmi:
        argv.append(f"--mpi={launcher.pmi}")
    room = slots_of(allocation.scheduled()) if in_slurm() else 0
    if spec.threads and spec.learners * spec.threads <= room:
        argv.append(f"--cpus-per-task={spec.threads}")
    if spec.hosts:
        argv.append("--nodelist=" + ",".join(host.partition(":")[0] for host in spec.hosts))
    elif spec.hostfile:
        argv.append(f"--nodelist={Path(spec.hostfile).resolve()}")  # a value with a slash is a file for srun
    elif in_slurm() and spec.learners > room:
        argv.append("--overcommit")
    return argv, dict(ranks_env)  # srun hands its environment on; --export would split values at commas


def _hosts(spec: LaunchSpec) -> list[Host]:
    for host in spec.hosts:
        if not re.fullmatch(r"[^:]+(:0*[1-9]\d*)?", host):
            raise LaunchError(f"--hosts {host}: expected HOST or HOST:SLOTS, with at least one slot")
    if spec.hosts:
        return allocation.listed(spec.hosts)
    return allocation.in_file(spec.hostfile) if spec.hostfile else allocation.scheduled()


def _threads(spec: LaunchSpec, hosts: Sequence[Host]) -> str:
    """The value of OMP_NUM_THREADS, which may be a list."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if spec.threads is None and asked:
        # What OpenMP cannot read it ignores, and takes all cores for each learner.
        if not re.fullmatch(r"\s*0*[1-9]\d{0,5}\s*(,\s*0*[1-9]\d{0,5}\s*)*", asked):
            raise LaunchError(f"OMP_NUM_THREADS is '{asked}': expected a number of threads, or none")
        return asked.strip()
    threads = allocation.threads_of(allocation.listed(_with_slots(spec)) if spec.hosts else hosts, spec.learners)
    asked = os.environ.get("SLURM_CPUS_PER_TASK", "") if not spec.hosts and not spec.hostfile else ""
    return str(spec.threads or (min(int(asked), threads) if asked.isdigit() else threads))


def _with_slots(spec: LaunchSpec) -> list[str]:
    if any(":" in host for host in spec.hosts):
        return list(spec.hosts)
    each = -(-spec.learners // len(spec.hosts))
    return [f"{host}:{each}" for host in spec.hosts]
