"""The GRAPH folder: graph.yaml says what the graph is, and its files are called so."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from asrpar.errors import DataError
from asrpar.files.paths import require_file
from asrpar.files.replacing import replacing
from asrpar.files.text import read_text
from asrpar.graph.config import GraphConfig
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.tree import Tree
from asrpar.names import unknown

MADE_BY = "asrpar make-graph (stage 5)"
HLG, HCLG = "HLG", "HCLG"  # of units, and of phones in context, whose classes of frames a tree has
# What graphs are that have no graph.yaml, as others make them, or one of before there were any but this.
USUAL = HLG
TREE = "tree.txt"
INFO = "graph.yaml"


def write_info(folder: Path, name: str, settings: GraphConfig) -> None:
    """Write graph.yaml: the graph ``name``, such as HLG, is in ``NAME.fst`` and ``NAME.pt``."""
    text = yaml.safe_dump({"graph": name, "settings": asdict(settings)}, sort_keys=False)
    with replacing(folder / INFO) as temporary:
        temporary.write_text(text, encoding="utf-8")


def graph_name(folder: Path) -> str:
    """What the graph of a folder is.

    Raises:
        DataError: a graph.yaml that does not say it.
    """
    found = _info(folder)
    name = USUAL if found is None else found.get("graph", USUAL)
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise _unusable(folder)
    return name


def graph_topology(folder: Path) -> str | None:
    """The name of the topology of units that the graph of a folder was made with; None if nobody says it.

    Raises:
        DataError: a graph.yaml that cannot be read, or a topology that is not known here.
    """
    found = _info(folder) or {}
    settings = found.get("settings", found)  # once the settings were all of it
    name = settings.get("topology") if isinstance(settings, dict) else None
    if name is not None and name not in TOPOLOGIES:
        raise DataError(str(unknown(f"{folder / INFO}: topology", str(name), TOPOLOGIES)))
    return name


def graph_tree(folder: Path) -> Tree | None:
    """The tree whose pdfs are the classes of a graph; None of one whose classes are units.

    Raises:
        DataError: a graph.yaml that does not say what the graph is, or a damaged tree.
        MissingInputError: the tree is not there.
    """
    if graph_name(folder) != HCLG or ((folder / "tokens.txt").is_file() and not (folder / TREE).exists()):
        return None  # also of others' graphs, of which only names of classes are known
    require_file(folder / TREE, MADE_BY)
    return Tree.read(folder)


def _info(folder: Path) -> dict[str, Any] | None:
    path = folder / INFO
    if not path.is_file():
        return None
    try:
        found = yaml.safe_load(read_text(path))
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise _unusable(folder)
    return found


def _unusable(folder: Path) -> DataError:
    return DataError(f"{folder / INFO} does not say what the graph is (graph: {USUAL}): run {MADE_BY} again")


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
