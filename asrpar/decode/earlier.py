"""What is in an experiment from earlier decodings: results not to overwrite, and a choice made on dev."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from asrpar.decode.decoder import Decoder
from asrpar.decode.scales import SearchPoint
from asrpar.errors import ConfigError
from asrpar.files.checksums import file_digest
from asrpar.files.json_files import read_json_if_any
from asrpar.files.paths import entries
from asrpar.score.folders import results_folder

# A choice that was made for others is none.
CHOSEN_FOR = ("engine", "graph_sha256", "model_sha256", "prior_scale")


@dataclass(frozen=True)
class Choice:
    """A point that was chosen on the set ``dev``, and the folder that tells."""

    point: SearchPoint
    dev: str
    folder: Path


def made_with(decoder: Decoder, graph: Path | None) -> dict[str, Any]:
    """Facts for ``decode.json`` that tell one search from another."""
    digest = hashlib.sha256(b"".join(bytes.fromhex(file_digest(path)) for path in decoder.files)).hexdigest()
    return {
        "engine": decoder.name,
        "graph": None if graph is None else str(graph.absolute()),
        "graph_sha256": digest,
    }


def features_of(feats: Path, name: str) -> dict[str, str]:
    """Facts for ``decode.json`` on the features of a set."""
    return {"feats": str(feats.absolute()), "cuts_sha256": file_digest(feats / f"cuts_{name}.jsonl.gz")}


def check_free(folder: Path, facts: Mapping[str, Any], name: str) -> str:
    """See that results of the set ``name`` may replace what is in ``folder``.

    They may if that was decoded with the same engine, model, graph and features: the same files, or later ones in the
    same places.

    Returns:
        What to warn of, or an empty string.

    Raises:
        ConfigError: it holds something else, or is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is no folder: remove it, or give --suffix NAME")
    before = read_json_if_any(folder / "decode.json")
    if not before:
        return ""
    other = [f"of the set {before['set']}"] if before.get("set", name) != name else []
    if before.get("engine", facts["engine"]) != facts["engine"]:
        other.append(f"engine {before['engine']}, now {facts['engine']}")
    if (old := _model(before)) and old != _model(facts):
        other.append(f"model {old}, now {_model(facts)}")
    for key, digest, what in (("graph", "graph_sha256", "graph"), ("feats", "cuts_sha256", "features in")):
        # Earlier versions do not tell all.
        if key in before and before.get(digest, "") != facts[digest] and not _same_place(before[key], facts[key]):
            other.append(f"{what} {before[key] or 'none'}, now {facts[key] or 'none'}")
    if other:
        raise ConfigError(
            f"{folder} holds another decoding ({'; '.join(other)}): give --suffix NAME to keep both, or remove it"
        )
    if before.get("graph_sha256", facts["graph_sha256"]) != facts["graph_sha256"]:
        return f"the graph in {facts['graph']} was made anew since {folder} was decoded, whose words are replaced"
    return ""


def earlier_choice(
    exp: Path, facts: Mapping[str, Any], fits: Callable[[SearchPoint], bool], suffix: str = ""
) -> Choice | None:
    """What was chosen on a dev set with the same model, graph and engine.

    Results with the same suffix count before others, and those of the dev set itself before those of sets for which a
    choice was taken over, perhaps an older one.

    Args:
        exp: experiment.
        facts: of the model and of `made_with`.
        fits: whether a point may be taken.
        suffix: of the results that are to be made.

    Raises:
        ConfigError: different points were chosen on several sets.
    """
    found: dict[tuple[bool, bool], dict[SearchPoint, Choice]] = {}
    for folder, before in _decoded(exp):
        same = all(before.get(key) == facts.get(key) for key in CHOSEN_FOR)
        if not same or not before.get("chosen_on"):
            continue
        values = {f.name: before[f.name] for f in fields(SearchPoint) if f.name in before}
        point = SearchPoint(**values)
        if all(isinstance(value, int | float) for value in values.values()) and fits(point):
            rank = folder == results_folder(exp, before["set"], suffix), before["set"] == before["chosen_on"]
            found.setdefault(rank, {}).setdefault(point, Choice(point, before["chosen_on"], folder))
    best = found[max(found)] if found else {}
    if len(best) > 1:
        places = ", ".join(f"{c.folder.name} (chosen on {c.dev})" for c in best.values())
        raise ConfigError(
            f"{exp} has several choices: {places}; run asrpar decode with --dev SET to choose anew, or give one value "
            "of each"
        )
    return next(iter(best.values()), None)


def _decoded(exp: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder in entries(exp, "decode_*"):
        if before := read_json_if_any(folder / "decode.json"):
            yield folder, before


def _model(facts: Mapping[str, Any]) -> str | None:
    return facts.get("model_file") or facts.get("model")


def _same_place(old: str | None, new: str | None) -> bool:
    """Whether two paths may be one; those of earlier versions may be relative, to nobody knows where."""
    if old is None or new is None:
        return old == new
    return Path(old) == Path(new) if Path(old).is_absolute() else Path(old).name == Path(new).name
