"""``asrpar recipe``."""

from pathlib import Path

import click


@click.group("recipe")
def command() -> None:
    """List the recipes that come with asrpar, and copy one, which then runs anywhere."""


@command.command("list")
def list_recipes() -> None:
    """Print the recipes, each with what it is for."""
    from asrpar.recipes import recipes

    found = recipes()
    width = max(map(len, found))
    click.echo("\n".join(f"{name:<{width}}  {text}" for name, text in found.items()))


@command.command("copy")
@click.argument("name", metavar="NAME")
@click.argument("folder", metavar="DIR")
def copy_recipe(name: str, folder: str) -> None:
    """Copy the recipe NAME, and what it shares with others, into DIR; print where its run.sh is.

    DIR is laid out as a clone is: DIR/egs/NAME/s5/run.sh, and DIR/utils. Several recipes may be copied into one.
    """
    from asrpar.recipes import copy

    click.echo(copy(name, Path(folder)))


@command.command("package")
def package() -> None:
    """Print the folder of asrpar's own code, in which scripts look up what can be chosen by name."""
    click.echo(Path(__file__).parents[1])
