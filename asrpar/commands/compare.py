"""``asrpar compare``."""

from collections.abc import Iterable
from pathlib import Path

import click

from asrpar.errors import MissingInputError
from asrpar.files.paths import entries
from asrpar.files.replacing import replacing


@click.command("compare")
@click.argument("experiments", nargs=-1, required=True, metavar="EXP...")
@click.option("--set", "set_name", default="test", show_default=True, help="Set whose results are compared.")
@click.option(
    "--suffix", "suffixes", multiple=True, default=("",), metavar="NAME", help="Of decodings; several, to compare them."
)
@click.option("--cer", is_flag=True, help="Compare character error rates, whatever was scored.")
@click.option("--part", default="", metavar="NAME", help="Of a set that hubscr.pl scores: swbd, callhm, fsh.")
@click.option("--markdown", metavar="FILE", help="Write the table as Markdown too.")
def command(
    experiments: tuple[str, ...], set_name: str, suffixes: tuple[str, ...], cer: bool, part: str, markdown: str | None
) -> None:
    """Tabulate the results of several experiments.

    Runs that differ in seed alone get a line with mean and standard deviation, and every two experiments the
    probability that one is better (paired bootstrap over speakers) and the matched-pairs test (MAPSSWE).
    """
    from asrpar.score.compare import (
        by_characters,
        cpu_lines,
        group_lines,
        load_experiment,
        markdown_table,
        of_part,
        pair_lines,
        table_rows,
        text_table,
    )
    from asrpar.score.folders import check_suffix

    for suffix in suffixes:
        check_suffix(suffix)
    paths = [Path(e) for e in experiments]
    loaded = [load_experiment(*place) for place in _scored(paths, set_name, dict.fromkeys(suffixes))]
    loaded = [by_characters(e) for e in loaded] if cer else loaded
    loaded = [of_part(e, part) for e in loaded] if part else loaded
    rows = table_rows(loaded)
    blocks = cpu_lines(loaded), group_lines(loaded), pair_lines(loaded)
    click.echo("\n".join([*text_table(rows), *(line for block in blocks for line in _block(block))]))
    if markdown:
        lines = [*markdown_table(rows), *(line for block in blocks for line in _bullets(block))]
        with replacing(markdown) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _scored(paths: list[Path], set_name: str, suffixes: Iterable[str]) -> list[tuple[Path, str, str]]:
    """Experiment, set and suffix of what has results; what else ``exp/*`` named is left out with a note."""
    from asrpar.score.folders import results_folder

    kept, notes = [], []
    for path in dict.fromkeys(paths):
        if not path.exists():
            raise MissingInputError(f"there is no experiment {path}")
        begun = any((path / name).exists() for name in ("config.yaml", "train.json", "final.pt"))
        if not begun and not entries(path, "decode_*"):
            notes.append(f"{path} is no experiment")
            continue
        for suffix in suffixes:
            folder = results_folder(path, set_name, suffix)
            if (folder / "wer.json").exists() or len(paths) == 1:
                kept.append((path, set_name, suffix))  # loading says what a single one misses
            else:
                notes.append(f"{folder} is not there or not scored (asrpar decode, asrpar score)")
    if not kept:
        raise MissingInputError(f"there is nothing to compare: {'; '.join(notes)}")
    for note in notes:
        click.echo(f"note: {note}, and left out", err=True)
    return kept


def _block(lines: list[str]) -> list[str]:
    return ["", *lines] if lines else []


def _bullets(lines: list[str]) -> list[str]:
    return ["", *(f"- {line}" for line in lines)] if lines else []
