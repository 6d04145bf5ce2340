"""``asrpar plot``: the curves of trainings."""

from pathlib import Path

import click


@click.command("plot")
@click.argument("experiments", nargs=-1, required=True, metavar="EXP...")
@click.option(
    "--against",
    type=click.Choice(["epochs", "frames", "seconds"]),
    default="epochs",
    show_default=True,
    help="What is along the axis.",
)
@click.option("--output", metavar="NAME", help="NAME.png and NAME.svg. Default: EXP/curves, of several ./curves.")
def command(experiments: tuple[str, ...], against: str, output: str | None) -> None:
    """Draw loss, errors on dev, learning rate, frames per second and staleness of one or several trainings.

    Trainings may be finished, stopped or still running. Epochs that a schedule took back are in rings. The same
    trainings give the same bytes.
    """
    from asrpar.log import setup_logging
    from asrpar.study.style import drawing, save
    from asrpar.study.trainings import curves, load_trainings

    log = setup_logging()
    trainings = load_trainings([Path(e) for e in experiments])
    place = Path(output) if output else (Path(experiments[0]) if len(trainings) == 1 else Path()) / "curves"
    name = place.name.removesuffix(".png").removesuffix(".svg")
    with drawing():
        for path in save(curves(trainings, against), place.parent, name):
            log.info("wrote %s", path)
