"""``asrpar compare``."""

from pathlib import Path

import click

from asrpar.errors import MissingInputError, replacing


@click.command("compare")
@click.argument("experiments", nargs=-1, required=True, metavar="EXP...")
@click.option("--set", "set_name", default="test", show_default=True, help="Set whose results are compared.")
@click.option("--markdown", metavar="FILE", help="Write the table as Markdown too.")
def command(experiments: tuple[str, ...], set_name: str, markdown: str | None) -> None:
    """Tabulate the results of several experiments.

    Runs that differ in seed alone get a line with mean and standard deviation, and every two experiments the
    probability that one is better (paired bootstrap over utterances).
    """
    from asrpar.score.compare import group_lines, load_experiment, markdown_table, pair_lines, table_rows, text_table

    loaded = [load_experiment(exp, set_name) for exp in _scored([Path(e) for e in experiments], set_name)]
    rows = table_rows(loaded)
    groups, pairs = group_lines(loaded), pair_lines(loaded)
    click.echo("\n".join(["\n".join(text_table(rows)), *_block(groups), *_block(pairs)]))
    if markdown:
        lines = [*markdown_table(rows), *_bullets(groups), *_bullets(pairs)]
        with replacing(markdown) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _scored(paths: list[Path], set_name: str) -> list[Path]:
    """The experiments that have results; what else ``exp/*`` named is left out with a note."""
    kept, notes = [], []
    for path in dict.fromkeys(paths):
        if not path.exists():
            raise MissingInputError(f"there is no experiment {path}")
        begun = any((path / name).exists() for name in ("config.yaml", "train.json", "final.pt"))
        begun = begun or any(path.glob("decode_*"))
        if (path / f"decode_{set_name}" / "wer.json").exists() or (begun and len(paths) == 1):
            kept.append(path)  # loading says what a single one misses
        elif begun:
            notes.append(f"{path} is not scored on '{set_name}' (asrpar decode, asrpar score)")
        else:
            notes.append(f"{path} is no experiment")
    if not kept:
        raise MissingInputError(f"there is nothing to compare: {'; '.join(notes)}")
    for note in notes:
        click.echo(f"note: {note}, and left out", err=True)
    return kept


def _block(lines: list[str]) -> list[str]:
    return ["", *lines] if lines else []


def _bullets(lines: list[str]) -> list[str]:
    return ["", *(f"- {line}" for line in lines)] if lines else []
