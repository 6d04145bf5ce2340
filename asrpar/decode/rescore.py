"""Words out of stored lattices: other scales, another language model, least expected errors; n-best lists, oracles.

The lattices are those of ``asrpar decode --set lattices=true``. Of each, the best word sequences are looked at
(`asrpar.decode.candidates`), whose acoustic and graph costs are kept apart, so that LM scale, word penalty and the
weight of a new language model are found on dev without a search.
"""

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from asrpar.decode.decoder import graph_reader
from asrpar.decode.earlier import check_free
from asrpar.decode.engine import Symbols
from asrpar.decode.lattices.mbr import MOST_ROUNDS
from asrpar.decode.lm_scores import SentenceCosts
from asrpar.decode.output import write_decoded
from asrpar.decode.rescore_config import RescoreConfig
from asrpar.decode.rescorer import AddLm, LatticeSet, Rescorer, Setting
from asrpar.decode.scales import SearchPoint
from asrpar.decode.storing import LATTICES
from asrpar.decode.words import Hypothesis
from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.files.checksums import file_digest
from asrpar.files.json_files import read_json_if_any
from asrpar.files.lock import alone_with
from asrpar.info import git_hash, versions
from asrpar.lm.arpa import read_arpa
from asrpar.log import get_logger
from asrpar.numbers import ratio
from asrpar.score.folders import results_folder

LOG = get_logger(__name__)

# LM scales that are tried if none are given, times that of the search.
FACTORS = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0)
CountErrors = Callable[[Mapping[str, Sequence[str]], Mapping[str, str]], dict[str, float]]


@dataclass(frozen=True)
class Rescoring:
    """What is rescored, with what, and where the results go.

    Attributes:
        exp: experiment.
        source: suffix of the results that have lattices.
        suffix: of the new ones.
        lang: language folder: its lexicon makes word times exact, its ``lm.arpa`` is the old language model.
        lm: the new one; None to keep the old one.
        old_lm: instead of the language folder's.
    """

    exp: Path
    source: str
    suffix: str
    lang: Path | None
    lm: Path | None
    old_lm: Path | None


def rescore_sets(
    config: RescoreConfig, given: Rescoring, dev: str | None, tests: Sequence[str], count_errors: CountErrors
) -> None:
    """Choose on ``dev``, then write ``decode_<set>_<suffix>`` for ``dev`` and each of ``tests``.

    Raises:
        ConfigError: nothing to choose on, results that would be overwritten, a language model that is not given.
        MissingInputError: no lattices. DataError: files that cannot be used.
        BusyError: something else is writing these results.
    """
    sets = list(dict.fromkeys(name for name in (dev, *tests) if name))
    found = {name: _facts(given, name) for name in sets}
    point, blank, graph = _common(given, found)
    symbols, reader = graph_reader(graph, given.lang, blank)
    _check_symbols(symbols, graph, found)
    add_lm = _new_lm(given, config.lm_case, symbols.words) if given.lm else None
    grid = _grid(config, point, add_lm is not None)
    if len(grid) * len(config.mbr_scales) > 1 and dev is None:
        raise ConfigError("lm_scales, word_penalties, lm_weights or mbr_scales have several values: give --dev, or one")
    with ExitStack() as held:
        for name in sets:
            target = results_folder(given.exp, name, given.suffix)
            held.enter_context(alone_with(target))
            check_free(target, {**found[name], "engine": _engine(found[name])}, name)
        work = Rescorer(config, point, blank, reader, symbols, add_lm)
        chosen, mbr_scale, table = grid[0], config.mbr_scales[0], []
        for name in sets:
            loaded = work.load(name, results_folder(given.exp, name, given.source), found[name])
            if name == dev and len(grid) > 1:
                chosen, table = _choose(grid, loaded, work, point, count_errors)
                LOG.info("chosen on %s out of %d settings: %s", dev, len(grid), _told(chosen))
            if name == dev and config.output == "mbr" and len(config.mbr_scales) > 1:
                mbr_scale, rows = _choose_mbr(config.mbr_scales, loaded, work, chosen, count_errors)
                table += rows
                LOG.info("chosen on %s: mbr_scale %g", dev, mbr_scale)
            start = time.perf_counter()
            hypotheses = work.hypotheses(loaded, chosen, mbr_scale)
            loaded.seconds += time.perf_counter() - start
            _write(given, config, work, loaded, hypotheses, chosen, mbr_scale, dev, table)


def _facts(given: Rescoring, name: str) -> dict[str, Any]:
    folder = results_folder(given.exp, name, given.source)
    facts = read_json_if_any(folder / "decode.json")
    if not facts or "lattices" not in facts or not (folder / LATTICES).is_file():
        raise MissingInputError(f"{folder} has no lattices: run asrpar decode with --set lattices=true (stage 7) first")
    return facts


def _common(given: Rescoring, found: Mapping[str, dict[str, Any]]) -> tuple[SearchPoint, int | None, Path]:
    """The point of the search, the blank and the graph, which all sets must have in common."""
    first, *others = found
    names = ("graph_sha256", "model_sha256", *(f.name for f in fields(SearchPoint)))
    for other in others:
        for key in names:
            if found[other].get(key) != found[first].get(key):
                raise ConfigError(
                    f"{first} and {other} of {given.exp} were decoded with another {key}: decode both again (stage 7)"
                )
    facts = found[first]
    point = SearchPoint(**{f.name: float(facts[f.name]) for f in fields(SearchPoint) if f.name in facts})
    return point, facts["lattices"]["blank"], Path(facts["graph"])


def _check_symbols(symbols: Symbols, graph: Path, found: Mapping[str, dict[str, Any]]) -> None:
    """Raise `DataError` if the numbers in lattices stand for other words or classes by now."""
    for name, facts in found.items():
        if facts["lattices"].get("symbols", symbols.digest) != symbols.digest:
            raise DataError(
                f"the graph in {graph} was made anew, with other words or classes, since {name} was decoded: decode "
                "again (stage 7)"
            )


def _new_lm(given: Rescoring, case: str, words: list[str]) -> AddLm:
    """What the new language model, its words in ``case``, adds to the old one's costs of sentences of word ids."""
    assert given.lm is not None
    old_path = given.old_lm or (given.lang / "lm.arpa" if given.lang else None)
    if old_path is None:
        raise ConfigError("the language model of the graph is taken off first: give --lang or --old-lm")
    old = SentenceCosts(read_arpa(old_path, only=words))
    new = SentenceCosts(read_arpa(given.lm, case, only=words))
    unknown = [w for w in words if not new.knows(w) and old.knows(w)]
    if unknown:
        LOG.warning(
            "%s does not know %d words of the graph, such as %s: they cost as much as %s",
            given.lm, len(unknown), ", ".join(unknown[:3]), "<UNK>" if new.has_unknown else "words of probability 0",
        )  # fmt: skip

    def added(sentences: Sequence[Sequence[int]]) -> np.ndarray:
        texts = [[words[w] for w in sentence] for sentence in sentences]
        return new(texts) - old(texts)

    return added


def _grid(config: RescoreConfig, point: SearchPoint, new_lm: bool) -> list[Setting]:
    scales = config.lm_scales or [round(point.lm_scale * f, 6) for f in FACTORS]
    penalties = config.word_penalties or [point.word_penalty]
    weights = config.lm_weights if new_lm else [0.0]
    return [Setting(*values) for values in product(*(sorted(set(v)) for v in (scales, penalties, weights)))]


def _choose(
    grid: Sequence[Setting], loaded: LatticeSet, work: Rescorer, point: SearchPoint, count_errors: CountErrors
) -> tuple[Setting, list[dict[str, float]]]:
    """The setting of fewest errors; of several the one that is nearest to the search, then that of the most new LM."""
    table = []
    for setting in grid:
        words = {c.utt_id: work.text(work.said(c, setting)) for c in loaded.candidates}
        table.append({**vars(setting), **count_errors(words, loaded.references)})

    def rank(i: int) -> tuple[float, ...]:
        s = grid[i]
        far = max(s.lm_scale / point.lm_scale, point.lm_scale / s.lm_scale)
        return table[i]["errors"], far, abs(s.word_penalty - point.word_penalty), -s.lm_weight

    return grid[min(range(len(grid)), key=rank)], table


def _choose_mbr(
    scales: Sequence[float], loaded: LatticeSet, work: Rescorer, setting: Setting, count_errors: CountErrors
) -> tuple[float, list[dict[str, float]]]:
    table = []
    for scale in scales:
        found = work.risks(loaded, setting, scale, MOST_ROUNDS)
        words = {c.utt_id: work.text(b.words) for c, b in zip(loaded.candidates, found, strict=True)}
        table.append({**vars(setting), "mbr_scale": scale, **count_errors(words, loaded.references)})
    best = min(range(len(scales)), key=lambda i: (table[i]["errors"], abs(scales[i] - 1.0)))
    return scales[best], table


def _write(
    given: Rescoring,
    config: RescoreConfig,
    work: Rescorer,
    loaded: LatticeSet,
    hypotheses: list[Hypothesis],
    setting: Setting,
    mbr_scale: float,
    dev: str | None,
    table: list[dict[str, float]],
) -> None:
    total = sum(len(text.split()) for text in loaded.references.values())
    oracle = round(100 * ratio(sum(c.errors for c in loaded.candidates), total), 4)
    n_best = round(100 * ratio(sum(c.best_errors for c in loaded.candidates), total), 4)
    dropped = ("dev_sweep", "warnings", "lattices", "decode_seconds", "real_time_factor")
    facts = {key: value for key, value in loaded.facts.items() if key not in dropped} | {
        "engine": _engine(loaded.facts),
        "search": "rescored",
        "search_lm_scale": work.point.lm_scale,
        **vars(setting),
        "output": config.output,
        "mbr_scale": mbr_scale,
        "n_best": config.n_best,
        "lattices": {**loaded.facts["lattices"], "from": loaded.folder.name},
        "lm": None if given.lm is None else str(given.lm.absolute()),
        "lm_sha256": None if given.lm is None else file_digest(given.lm),
        "oracle_wer": oracle,
        "n_best_oracle_wer": n_best,
        "empty": sum(not h.words for h in hypotheses),
        "partial": sum(not h.complete for h in hypotheses),
        "rescore_seconds": round(loaded.seconds, 3),
        "warnings": [],
        "chosen_on": dev if table else None,
        "dev_sweep": table,
        "command": shlex.join(sys.argv),
        "versions": versions(),
        "git_hash": git_hash(),
    }
    folder = results_folder(given.exp, loaded.name, given.suffix)
    write_decoded(folder, hypotheses, loaded.references, facts, {"nbest.txt": _n_best_lines(work, loaded, setting)})
    LOG.info(
        "%s: %d utterances, %s; oracle WER %.2f %% of the lattices, %.2f %% of the %d best, %.1f s -> %s",
        loaded.name, len(hypotheses), _told(setting), oracle, n_best, config.n_best, loaded.seconds, folder,
    )  # fmt: skip


def _n_best_lines(work: Rescorer, loaded: LatticeSet, setting: Setting) -> Any:
    """``utt-id rank cost acoustic graph new-LM-minus-old words``, tabs between, best first."""
    for c in sorted(loaded.candidates, key=lambda c: c.utt_id):
        costs = c.costs(*vars(setting).values()) if c.words else []
        for rank, i in enumerate(sorted(range(len(c.words)), key=lambda i: costs[i]), 1):
            values = "\t".join(f"{x:.4f}" for x in (costs[i], c.acoustic[i], c.graph[i], c.lm[i]))
            yield f"{c.utt_id}\t{rank}\t{values}\t{' '.join(work.text(c.words[i]))}\n".encode()


def _engine(facts: Mapping[str, Any]) -> str:
    """So that what was chosen here is not taken for the choice of a search."""
    return f"{facts['engine']}, rescored"


def _told(setting: Setting) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in vars(setting).items())
