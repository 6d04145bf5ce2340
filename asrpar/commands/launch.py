"""``asrpar launch``: run an asrpar command on N learners."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asrpar.errors import LaunchError
from asrpar.launch.launchers import LAUNCHERS
from asrpar.option_types import FINITE

if TYPE_CHECKING:
    from asrpar.launch.fate import Failure
    from asrpar.launch.torchrun import Store


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--learners",
    type=int,
    metavar="N",
    help="Number of learners (MPI ranks) [default, in an allocation: one for each GPU, else for each task].",
)
@click.option(
    "--launcher",
    default="auto",
    show_default=True,
    metavar="NAME",
    shell_complete=LAUNCHERS.complete,
    help=f"{', '.join(LAUNCHERS)}; auto: the one that belongs to the MPI of mpi4py.",
)
@click.option("--hosts", default="", metavar="A,B or A:2,B:2", help="Machines, with slots if they differ.")
@click.option("--hostfile", metavar="FILE", help="Machines, in the launcher's own format.")
@click.option(
    "--threads-per-learner",
    type=int,
    metavar="T",
    help="OpenMP threads [default: OMP_NUM_THREADS, or cores of a host / its learners].",
)
@click.option(
    "--log-dir", metavar="DIR", help="Folder of train.<rank>.log [default: EXP/log of the command's setting exp=EXP]."
)
@click.option("--env", "env", multiple=True, metavar="K=V", help="A variable for every rank; several allowed.")
@click.option("--launcher-arg", "launcher_args", multiple=True, metavar="ARG", help="Handed to mpirun or srun.")
@click.option(
    "--grace", type=FINITE, default=60.0, show_default=True, help="Seconds to save and stop after SIGTERM or Ctrl-C."
)
@click.option(
    "--survive",
    is_flag=True,
    help="If a learner dies, let the others go on (adpsgd, hadpsgd, asgd, easgd, block algorithms; Open MPI 5).",
)
@click.option("--rejoin", is_flag=True, help="As --survive, and start a learner that died anew.")
@click.option("--quorum", type=int, metavar="K", help="--survive as long as K learners are left; with fewer, stop.")
@click.option("--oversubscribe", is_flag=True, help="Start more than two learners a core.")
@click.option("--dry-run", is_flag=True, help="Print the command and stop.")
@click.argument("args", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARGS]...")
def command(
    learners: int | None,
    launcher: str,
    hosts: str,
    hostfile: str | None,
    threads_per_learner: int | None,
    log_dir: str | None,
    env: tuple[str, ...],
    launcher_args: tuple[str, ...],
    grace: float,
    survive: bool,
    rejoin: bool,
    quorum: int | None,
    oversubscribe: bool,
    dry_run: bool,
    args: tuple[str, ...],
) -> None:
    """Run an asrpar command on N learners, with Open MPI, MPICH, srun or what else starts MPI's ranks here.

    For example: asrpar launch --learners 2 -- train --config conf/train.yaml. Hosts, tasks and GPUs of an allocation
    (Slurm, PBS, LSF, Flux) are found; under torchrun its ranks are counted. SIGTERM, SIGUSR1 and Ctrl-C let the
    trainer save a checkpoint and stop; the exit code is then 128 + the signal (138, SIGUSR1, at a time limit of its
    own), else that of the rank that failed first.
    """
    from asrpar.cli import COMMANDS
    from asrpar.launch import torchrun
    from asrpar.launch.job import build_command
    from asrpar.launch.run import run
    from asrpar.launch.spec import LaunchSpec

    if args[0] not in COMMANDS or args[0] == "launch":
        raise LaunchError(f"'{args[0]}' is not an asrpar command that learners can run (asrpar --help lists them)")
    store = None
    if (place := torchrun.place()) is not None:
        if place.rank:
            torchrun.stand_aside(place, _torchruns_store)
            return
        learners = learners or place.size
        if place.nodes > 1:
            store = _torchruns_store()
            found = torchrun.gather_hosts(place, store)
            hosts = hosts or ("" if hostfile else ",".join(found))
        torchrun.forget()
    variables = dict(item.partition("=")[::2] for item in env if _is_assignment(item))
    spec = LaunchSpec(
        learners=learners,
        launcher=launcher,
        hosts=tuple(h.strip() for h in hosts.split(",") if h.strip()),
        hostfile=hostfile,
        threads=threads_per_learner,
        env=variables,
        launcher_args=launcher_args,
        survive=survive,
        rejoin=rejoin,
        quorum=quorum,
        oversubscribe=oversubscribe,
    )
    job = build_command(spec, args)
    if dry_run:
        click.echo(str(job))
        return
    try:
        failure = run(job, log_dir=log_dir or log_dir_of(args), grace=grace)
    finally:
        if store is not None:
            torchrun.tell_end(store)
    if failure is None:
        return
    with suppress(OSError):  # whoever read our words has left; the exit code matters more
        report(failure, job.learners)
    sys.exit(failure.code if 0 < failure.code < 256 else 1)


def report(failure: "Failure", learners: int) -> None:
    """Tell on stderr which rank failed, with the last lines of its log unless the one line of a mistake says it all."""
    rank, log, lines = failure.rank, failure.log, failure.lines
    if failure.stopped:
        click.echo(f"asrpar: {failure.stopped}", err=True)
        return
    if lines and not failure.mistake:
        click.echo(f"--- last lines of {log or f'what rank {rank} said'}", err=True)
        for line in lines:
            click.echo(line, err=True)
        click.echo("---", err=True)
    where = f"; its log: {log}" if log else ""
    who = f"rank {rank} of {learners}" if rank is not None else f"the job of {learners}"
    if failure.mistake and failure.mistake.startswith("no progress for"):
        # The watchdog's diagnosis names rank and log; whoever had to tell it is not to blame.
        click.echo(f"asrpar: error: {failure.mistake}", err=True)
    elif failure.mistake:
        click.echo(f"asrpar: error: {failure.mistake} ({who}{where})", err=True)
    else:
        click.echo(f"asrpar: error: {who} failed: {failure.reason}{where}", err=True)


def _torchruns_store() -> "Store":
    from asrpar.parallel.comm.store import torchruns_store

    return torchruns_store()


def _is_assignment(item: str) -> bool:
    name, equals, _ = item.partition("=")
    if not equals or not name.isidentifier():
        raise LaunchError(f"--env {item}: expected NAME=VALUE")
    return True


def log_dir_of(args: tuple[str, ...]) -> Path | None:
    """The log folder of the experiment that a command's ``--config`` and ``--set exp=EXP`` name; None without one."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        sources = [OmegaConf.load(file) for file in _values("--config", args)]
        sources.append(OmegaConf.from_dotlist(_values("--set", args)))
        exp = OmegaConf.merge(*sources).get("exp")
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException, TypeError, ValueError):
        return None  # the command itself tells of that mistake
    return Path(str(exp)) / "log" if exp else None


def _values(option: str, args: tuple[str, ...]) -> list[str]:
    values = []
    for arg, following in zip(args, [*args[1:], ""], strict=True):
        if arg == option:
            values.append(following)
        elif arg.startswith(f"{option}="):
            values.append(arg.removeprefix(f"{option}="))
    return values
