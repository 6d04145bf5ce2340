"""``asrpar simulate``."""

from pathlib import Path

import click

from asrpar.config import choosing, config_options, load_config
from asrpar.option_types import FINITE


@click.command("simulate")
@config_options
@click.option("--cluster", "cluster_name", help="A preset, or a YAML file that describes a cluster.")
@click.option("--set-cluster", "changes", multiple=True, metavar="KEY=VALUE", help="Change one value of the cluster.")
@click.option("--learners", type=click.IntRange(min=1), help="How many.")
@click.option("--strategy", help="Parallel algorithm; the same as --set strategy=NAME.")
@click.option("--timing-only", is_flag=True, help="Without data or gradients: only how long it takes.")
@click.option("--parameters", type=FINITE, help="With --timing-only: of the model.")
@click.option("--batch-frames", type=FINITE, help="With --timing-only: frames of one learner's batch.")
@click.option("--steps", type=int, default=200, help="With --timing-only: of each learner.", show_default=True)
@click.option(
    "--frames", type=FINITE, default=0.0, help="With --timing-only: of the whole training, to tell its hours."
)
@click.option(
    "--replay",
    "recorded",
    type=click.Path(path_type=Path),
    metavar="EXP",
    help="Repeat a training that was recorded (record=true) in the order in which things happened then; "
    "only exp may be set.",
)
@click.option(
    "--calibrate",
    "output",
    type=click.Path(path_type=Path),
    metavar="YAML",
    help="Measure this machine, with the model and features of the settings, and write it as a cluster; "
    "links, too, under `asrpar launch`.",
)
def command(
    config_path: tuple[str, ...],
    overrides: tuple[str, ...],
    cluster_name: str | None,
    changes: tuple[str, ...],
    learners: int | None,
    strategy: str | None,
    timing_only: bool,
    parameters: float | None,
    batch_frames: float | None,
    steps: int,
    frames: float,
    recorded: Path | None,
    output: Path | None,
) -> None:
    """Train on a virtual cluster: many learners in one process, in virtual time, the same each time.

    The experiment folder is one of `asrpar train`; seconds in it are virtual.
    """
    from asrpar.train.config import TrainConfig

    if sum((recorded is not None, output is not None, timing_only)) > 1:
        raise click.UsageError("--replay, --calibrate and --timing-only exclude each other")
    if recorded is not None:
        from asrpar.simulate.training import replay

        exp = [change.removeprefix("exp=") for change in overrides if change.startswith("exp=")]
        if len(exp) != 1 or len(overrides) > 1 or config_path or cluster_name or learners or strategy:
            raise click.UsageError("--replay EXP takes --set exp=NEW and nothing else: the rest is as it was recorded")
        replay(recorded, Path(exp[0]))
        return
    config = load_config(TrainConfig, config_path, choosing(overrides, "strategy", strategy))
    if output is not None:
        from asrpar.parallel.comm import world
        from asrpar.simulate.calibrate import calibrate

        calibrate(config, world(), output)
        return
    from asrpar.parallel.virtual.presets import load_cluster, presets

    if not cluster_name or not learners:
        raise click.UsageError(f"--learners and --cluster are needed; clusters known by name: {', '.join(presets())}")
    cluster = load_cluster(cluster_name, changes)
    if not timing_only:
        from asrpar.simulate.training import simulate

        simulate(config, cluster, learners)
        return
    if not parameters or not batch_frames:
        raise click.UsageError("--timing-only needs --parameters and --batch-frames")
    from asrpar.parallel.strategies import STRATEGIES
    from asrpar.parallel.virtual.timing import simulate_timing

    found = simulate_timing(
        cluster,
        config.strategy,
        STRATEGIES.of(config),
        learners=learners,
        batch_frames=batch_frames,
        parameters=parameters,
        steps=steps,
        frames=frames,
        seed=config.seed,
    )
    _show(found)


def _show(found: dict) -> None:
    """One JSON document, as other programs may want to read it."""
    import json

    click.echo(json.dumps(found, indent=2))
