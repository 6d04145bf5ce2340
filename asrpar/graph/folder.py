"""The GRAPH folder: graph.yaml says what the graph is, and its files are called so."""

import re
from dataclasses import asdict
from pathlib import Path

import yaml

from asrpar.errors import DataError
from asrpar.files.paths import require_file
from asrpar.files.replacing import replacing
from asrpar.files.text import read_text
from asrpar.graph.config import GraphConfig

MADE_BY = "asrpar make-graph (stage 5)"
# What graphs are that have no graph.yaml, as others make them, or one of before there were any but this.
USUAL = "HLG"


def write_info(folder: Path, name: str, settings: GraphConfig) -> None:
    """Write graph.yaml: the graph ``name``, such as HLG, is in ``NAME.fst`` and ``NAME.pt``."""
    text = yaml.safe_dump({"graph": name, "settings": asdict(settings)}, sort_keys=False)
    with replacing(folder / "graph.yaml") as temporary:
        temporary.write_text(text, encoding="utf-8")


def graph_name(folder: Path) -> str:
    """What the graph of a folder is.

    Raises:
        DataError: a graph.yaml that does not say it.
    """
    path = folder / "graph.yaml"
    if not path.is_file():
        return USUAL
    try:
        found = yaml.safe_load(read_text(path))
    except yaml.YAMLError:
        found = None
    name = found.get("graph", USUAL) if isinstance(found, dict) else None
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise DataError(f"{path} does not say what the graph is (graph: {USUAL}): run {MADE_BY} again")
    return name


def graph_file(folder: Path, ending: str) -> Path:
    """The graph itself.

    Args:
        folder: of the graph.
        ending: ``fst`` for OpenFst's file, ``pt`` for k2's dictionary.

    Raises:
        MissingInputError: it is not there.
        DataError: a graph.yaml that does not say what the graph is.
    """
    path = folder / f"{graph_name(folder)}.{ending}"
    require_file(path, MADE_BY)
    return path
