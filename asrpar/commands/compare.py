"""``asrpar compare``."""

from pathlib import Path

import click

from asrpar.errors import replacing


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

    loaded = [load_experiment(Path(e), set_name) for e in dict.fromkeys(experiments)]
    rows = table_rows(loaded)
    groups, pairs = group_lines(loaded), pair_lines(loaded)
    click.echo("\n".join(["\n".join(text_table(rows)), *_block(groups), *_block(pairs)]))
    if markdown:
        lines = [*markdown_table(rows), *_bullets(groups), *_bullets(pairs)]
        with replacing(markdown) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _block(lines: list[str]) -> list[str]:
    return ["", *lines] if lines else []


def _bullets(lines: list[str]) -> list[str]:
    return ["", *(f"- {line}" for line in lines)] if lines else []
