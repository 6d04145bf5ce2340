#!/usr/bin/env python3
"""The table of the recipes' results in README.md, made from egs/recipes.csv.

tools/recipes.py           print it
tools/recipes.py --write   put it into README.md
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = ROOT / "egs/recipes.csv"
README = ROOT / "README.md"
COLUMNS = ("recipe", "configuration", "strategy", "learners", "set", "measure", "value", "date", "command")
SHOWN = COLUMNS[:-1]  # commands are too long for a table
BEGIN = "<!-- Made from egs/recipes.csv by tools/recipes.py -->\n"
END = "<!-- end of what tools/recipes.py makes -->\n"


def read_registry(path: Path = REGISTRY) -> list[dict[str, str]]:
    """The rows of the registry. Raises `ValueError` for other columns, and for a row with more or fewer."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"{path}: the columns are {reader.fieldnames}, not {', '.join(COLUMNS)}")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"{path}: row {number} does not have {len(COLUMNS)} columns: {row}")
    return rows


def table(rows: Sequence[dict[str, str]]) -> str:
    """The rows in Markdown, a recipe's name in its first row alone."""
    lines = [f"| {' | '.join(SHOWN)} |", f"|{'---|' * len(SHOWN)}"]
    for before, row in zip([{}, *rows], rows, strict=False):
        cells = [row[column] for column in SHOWN]
        if before.get("recipe") == row["recipe"]:
            cells[0] = ""
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_table(readme: str, made: str) -> str:
    """The README with the table between its two marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no lines {BEGIN.strip()!r} and {END.strip()!r}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    made = table(read_registry())
    if parser.parse_args().write:
        README.write_text(with_table(README.read_text(encoding="utf-8"), made), encoding="utf-8")
    else:
        print(made, end="")
