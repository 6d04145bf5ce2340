"""``asrpar train``."""

import sys

import click

from asrpar.config import config_options, load_config


@click.command("train")
@config_options
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
    from asrpar.parallel.comm import world
    from asrpar.train.config import TrainConfig
    from asrpar.train.experiment import train

    comm = world()
    if strategy:
        overrides = (*overrides, f"strategy={strategy}")
    config = load_config(TrainConfig, config_path, overrides)
    number = train(config, comm, allow_learner_change=allow_learner_change)
    if number:
        # What a shell reports for a process that the signal ended.
        sys.exit(128 + number)
