"""``asrpar train``."""

import sys
from typing import TYPE_CHECKING

import click

from asrpar.config import choosing, config_options, load_config
from asrpar.names import unknown

if TYPE_CHECKING:
    from asrpar.parallel.comm import Comm


def _list(context: click.Context, option: click.Parameter, kind: str | None) -> None:
    if kind is None:
        return
    from asrpar.choices import families
    from asrpar.train.config import TrainConfig

    found = {word: family for _, _, family in families(TrainConfig()) for word in (family.plural, family.key)}
    if kind not in found:
        kinds = [family.plural for family in dict.fromkeys(found.values())]
        raise unknown("kind", kind, kinds, more="asrpar help settings has those of other commands")
    click.echo("\n".join(f"{name:16} {found[kind].help(name)}" for name in found[kind]))
    context.exit()


@click.command("train")
@config_options
@click.option(
    "--list",
    "listed",
    metavar="KIND",
    callback=_list,
    is_eager=True,
    expose_value=False,
    help="Print the models, losses, strategies or other choices there are, and leave.",
)
@click.option("--strategy", help="Parallel algorithm; the same as --set strategy=NAME.")
@click.option(
    "--allow-learner-change", is_flag=True, help="Resume with another number of learners (at an epoch's end)."
)
def command(
    config_path: tuple[str, ...], overrides: tuple[str, ...], strategy: str | None, allow_learner_change: bool
) -> None:
    """Train an acoustic model, or go on with a training that was interrupted.

    Alone it trains one learner; `asrpar launch --learners N -- train ...` starts N.
    """
    from asrpar.launch.rank import begin_early

    begin_early()
    from asrpar.parallel.comm import world

    comm = world()
    try:
        code = _train(comm, config_path, overrides, strategy, allow_learner_change)
    except BaseException:
        comm.fail(1)
        raise
    if code:
        comm.fail(code)
        sys.exit(code)


def _train(
    comm: "Comm",
    config_path: tuple[str, ...],
    overrides: tuple[str, ...],
    strategy: str | None,
    allow_learner_change: bool,
) -> int:
    from asrpar.train.config import TrainConfig
    from asrpar.train.experiment import train

    config = load_config(TrainConfig, config_path, choosing(overrides, "strategy", strategy))
    number = train(config, comm, allow_learner_change=allow_learner_change)
    # What a shell reports for a process that a signal ended.
    return 128 + number if number else 0
