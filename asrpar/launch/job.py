"""The job: which command line starts N learners on this machine or cluster?"""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asrpar.errors import LaunchError
from asrpar.launch import allocation, safepath, schedulers
from asrpar.launch.hosts import Host
from asrpar.launch.launchers import choose_launcher
from asrpar.launch.program import Program
from asrpar.launch.rank import QUORUM, REJOIN, SURVIVE, TERMINAL, WORLD_SIZE
from asrpar.launch.spec import LaunchSpec

# The interpreter of the ranks.
PYTHON: tuple[str, ...] = (sys.executable,)


@dataclass(frozen=True)
class Job:
    """A command line ready to run, with the environment variables that it needs besides the present ones.

    ``one_host``: all ranks run on this machine. ``called``: the variables of ranks that others start, if any do so.
    """

    launcher: Program
    learners: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    survive: bool = False
    one_host: bool = False
    called: Mapping[str, str] | None = None

    def __str__(self) -> str:
        """One line for a shell."""
        env = ["env", *(f"{k}={v}" for k, v in self.env.items())] if self.env else []
        return shlex.join([*env, *self.argv])


def build_command(
    spec: LaunchSpec,
    args: Sequence[str],
    *,
    program: Sequence[str] = ("-m", "asrpar"),
    launcher: Program | None = None,
) -> Job:
    """The job that runs ``python -P -m mpi4py <program> <args>`` on every rank.

    ``-m mpi4py`` turns an uncaught exception on one rank into the end of the job; without it the others would wait for
    ever.

    Raises:
        LaunchError: an impossible wish, or no usable launcher on this machine.
    """
    if spec.learners is not None and spec.learners < 1:
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
    if spec.learners is None:
        if schedulers.current() is None or spec.hosts or spec.hostfile:
            raise LaunchError("--learners N is needed: there is no allocation of a scheduler here to tell how many")
        spec = replace(spec, learners=allocation.learners_for(hosts))
    hosts, dealt = allocation.with_gpus(hosts, spec.learners), hosts
    limit = allocation.most(hosts)
    if limit is not None and spec.learners > limit and not spec.oversubscribe:
        raise LaunchError(
            f"--learners {spec.learners}: {allocation.CROWDED} learners a core are {limit} here; give fewer, or "
            "--oversubscribe if that many are meant"
        )
    launcher = launcher or choose_launcher(spec.launcher)
    if spec.quorum is not None and not 1 <= spec.quorum <= spec.learners:
        raise LaunchError(f"--quorum {spec.quorum}: expected a number from 1 to the {spec.learners} learners")
    if spec.rejoin or spec.quorum is not None:
        spec = replace(spec, survive=True)
    if spec.survive and not launcher.can_survive():
        option = "--rejoin" if spec.rejoin else "--survive" if spec.quorum is None else "--quorum"
        raise LaunchError(f"{option} needs mpirun of Open MPI 5 or newer, not {launcher.path}")
    threads = _threads(spec, hosts)
    if not spec.hosts and not spec.hostfile:
        spec = _placed(spec, hosts, launcher, again=hosts != dealt)
    ranks_env = {
        "OMP_NUM_THREADS": threads,
        WORLD_SIZE: str(spec.learners),
        **safepath.environment(),
        **({TERMINAL: os.ttyname(2)} if os.isatty(2) else {}),
        **({SURVIVE: "1"} if spec.survive else {}),
        **({QUORUM: str(spec.quorum)} if spec.quorum is not None else {}),
        **spec.env,
    }
    if spec.rejoin:
        ranks_env[REJOIN] = ",".join(sorted({*ranks_env, REJOIN} - {TERMINAL}))
    argv, env = launcher.command(spec, ranks_env)
    one_host = allocation.here(hosts)
    rank_command = [*PYTHON, "-P", "-m", "mpi4py", *program, *args]
    whole = (*argv, *spec.launcher_args, *rank_command)
    return Job(launcher, spec.learners, whole, env, spec.survive, one_host, ranks_env if spec.rejoin else None)


def _hosts(spec: LaunchSpec) -> list[Host]:
    for host in spec.hosts:
        if not re.fullmatch(r"[^:]+(:0*[1-9]\d*)?", host):
            raise LaunchError(f"--hosts {host}: expected HOST or HOST:SLOTS, with at least one slot")
    if spec.hosts:
        return allocation.listed(spec.hosts)
    return allocation.in_file(spec.hostfile) if spec.hostfile else allocation.scheduled()


def _placed(spec: LaunchSpec, hosts: Sequence[Host], launcher: Program, again: bool) -> LaunchSpec:
    """With the hosts of an allocation, for a launcher that would not find them, or would deal them ranks otherwise.

    Args:
        spec: that names no hosts.
        hosts: of the allocation.
        launcher: that is to start the ranks.
        again: whether ranks go by GPUs, not by the scheduler's tasks.
    """
    scheduler = schedulers.current()
    if scheduler is None or (len(hosts) < 2 and allocation.here(hosts)) or any(" " in host.name for host in hosts):
        return spec
    ranks = allocation.ranks_of(hosts, spec.learners)
    if launcher.kind not in scheduler.known_to:
        listed = tuple(f"{host.name}:{n}" for host, n in zip(hosts, ranks, strict=True) if n)
        return replace(spec, hosts=listed, agent=scheduler.starter())
    equal = len(set(ranks)) == 1
    if again and not equal:
        raise LaunchError(
            f"--learners {spec.learners}: one for each GPU are {', '.join(map(str, ranks))} on the nodes; name the "
            "hosts with --hosts A:n,B:m to have it so"
        )
    return replace(spec, per_node=ranks[0]) if again else spec


def _threads(spec: LaunchSpec, hosts: Sequence[Host]) -> str:
    """The value of OMP_NUM_THREADS, which may be a list."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if spec.threads is None and asked:
        # What OpenMP cannot read it ignores, and takes all cores for each learner.
        if not re.fullmatch(r"\s*0*[1-9]\d{0,5}\s*(,\s*0*[1-9]\d{0,5}\s*)*", asked):
            raise LaunchError(f"OMP_NUM_THREADS is '{asked}': expected a number of threads, or none")
        return asked.strip()
    threads = allocation.threads_of(allocation.listed(spec.hosts_with_slots()) if spec.hosts else hosts, spec.learners)
    own = None if spec.hosts or spec.hostfile else allocation.cpus_of_a_task()
    return str(spec.threads or (threads if own is None else min(own, threads)))
