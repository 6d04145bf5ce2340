"""``asrpar average``: one model of several epochs."""

import re
from pathlib import Path

import click

from asrpar.errors import ConfigError


@click.command("average")
@click.argument("exp", metavar="EXP")
@click.option("--epochs", metavar="A-B", help="These epochs: 5-9, or 3,5,7-9.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="The last N epochs of which models are kept.")
@click.option("--best", type=click.IntRange(1), metavar="N", help="The N epochs of least dev loss.")
@click.option("--output", metavar="FILE", help="Default: average_last3.pt, average_best3.pt, average_5-9.pt in EXP.")
def command(exp: str, epochs: str | None, last: int | None, best: int | None, output: str | None) -> None:
    """Average the weights of several epochs' models, which --set checkpoint.keep_epochs=N keeps in training.

    The result is a model as final.pt is one: asrpar decode --model average_last3.pt --suffix last3.
    """
    if sum(option is not None for option in (epochs, last, best)) != 1:
        raise ConfigError("give one of --epochs A-B, --last N and --best N")
    numbers = numbers_of(epochs) if epochs else []

    from asrpar.log import setup_logging
    from asrpar.train.epoch_models import chosen_epochs, epoch_models, is_average, spans, write_average

    log = setup_logging()
    chosen = chosen_epochs(Path(exp), epochs=numbers, last=last or 0, best=best or 0)
    name = epochs.replace(" ", "").replace(",", "+") if epochs else f"last{last}" if last else f"best{best}"
    target = Path(output) if output else Path(exp) / f"average_{name}.pt"
    kept = epoch_models(Path(exp))
    if any(target.resolve() == path.resolve() for path in kept.values()):
        raise ConfigError(f"--output {target} is the model of an epoch: give another file")
    if target.exists() and not is_average(target):
        raise ConfigError(f"--output {target} is there, and is no average of models: give another file, or remove it")
    write_average([kept[epoch] for epoch in chosen], target)
    which = f"epoch{'s' * (len(chosen) > 1)} {spans(chosen)}"
    log.info("the mean of the models of %s is in %s", which, target)


def numbers_of(text: str) -> list[int]:
    """``3,5-7`` as numbers. Raises `ConfigError`."""
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if not match or int(match[1]) > int(match[2] or match[1]):
            raise ConfigError(f"--epochs {text}: give epochs such as 5-9, or 3,5,7-9")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return sorted(found)
