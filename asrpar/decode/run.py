"""Stage 7 for one model: choose on dev, then decode every set at the choice."""

import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from asrpar.decode.acoustic import AcousticOutput, run_model
from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import Decoder
from asrpar.decode.earlier import check_free, earlier_choice, features_of, made_with
from asrpar.decode.engines import ENGINES
from asrpar.decode.output import write_decoded
from asrpar.decode.parts import Part, facts_of_part, read_parts, total, write_together
from asrpar.decode.rescaling import sweep_lattices
from asrpar.decode.scales import SearchPoint
from asrpar.decode.storing import LATTICES, search_and_store
from asrpar.decode.sweep import SweepResult, grid, sweep
from asrpar.decode.telling import Tally, lattice_facts
from asrpar.decode.words import Hypothesis
from asrpar.errors import ConfigError
from asrpar.files.lock import alone_with
from asrpar.info import git_hash, versions
from asrpar.log import get_logger
from asrpar.score.folders import results_folder

LOG = get_logger(__name__)

# What `sweep_lattices` needs at most: grids of so many points are searched point by point.
MOST_SEARCHES = 3
# Searches for lattices, by setting.
MOST_LATTICES = {"lattice": 2, "one_lattice": 1}
# Errors of the words of utterances against reference texts: at least "errors" and "wer".
CountErrors = Callable[[Mapping[str, Sequence[str]], Mapping[str, str]], dict[str, float]]


@dataclass
class Job:
    """What is decoded, with what, and where the results go.

    Attributes:
        exp: experiment folder; results go to ``decode_<set>`` in it, or to ``decode_<set>_<suffix>``.
        module: acoustic model in evaluation mode, on ``device``.
        batches: batches of a set by its name.
        reference: reference text of a transcript; the identity for words.
        input_seconds: time between two feature frames.
        notes: facts to keep in each ``decode.json``.
        graph: the decoder's, for the results to tell.
        feats: likewise.
        suffix: tells several decodings of a set apart.
        part: of each set, that is to be decoded, or number 0 for all, to be put together; None for a whole set.
    """

    exp: Path
    module: torch.nn.Module
    device: str
    batches: Callable[[str], Iterable[Any]]
    reference: Callable[[str], str]
    input_seconds: float
    notes: Mapping[str, Any]
    graph: Path | None
    feats: Path
    suffix: str = ""
    part: Part | None = None

    def folder(self, name: str) -> Path:
        """Where the results of a set go."""
        return results_folder(self.exp, name, self.suffix)

    def place(self, name: str) -> Path:
        """Where what is decoded now goes."""
        return self.part.folder(self.folder(name)) if self.part and self.part.number else self.folder(name)


def decode_sets(
    job: Job, decoder: Decoder, config: DecodeConfig, dev: str | None, tests: Sequence[str], count_errors: CountErrors
) -> None:
    """Sweep the grid on ``dev``, then write ``decode_<set>`` for ``dev`` and each of ``tests``.

    Without ``dev`` the configuration must leave nothing to choose, or the choice is that of an earlier decoding.

    Raises:
        ConfigError: several values, no dev set and no earlier choice; or results that would be overwritten by those of
            another graph, engine, model or data. DataError: features or graph that cannot be used.
        BusyError: something else is writing the results of one of these sets.
    """
    sets = dict.fromkeys(name for name in (dev, *tests) if name)
    with ExitStack() as held:
        for name in sets:
            job.place(name).parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(alone_with(job.place(name)))
        facts = {**job.notes, **made_with(decoder, job.graph)}
        for name in sets:
            if warning := check_free(job.folder(name), facts | features_of(job.feats, name), name):
                LOG.warning("%s: %s", name, warning)
        points, told = _points(job, decoder, config, dev, facts)
        if job.part is not None:
            facts["search_settings"] = search_settings(config)
        facts |= {"command": shlex.join(sys.argv), "versions": versions(), "git_hash": git_hash(), **told}
        swept = None
        if dev is not None:
            swept = _sweep(job, decoder, config, dev, points, count_errors, facts)
            points = [swept.point]
        for name in sets:
            if job.part is not None and not job.part.number:
                _merge(job, decoder, config, name, points[0], facts)
            elif name != dev:
                _decode(job, decoder, config, name, points[0], swept, facts)


def search_settings(config: DecodeConfig) -> dict[str, Any]:
    """What words depend on besides the point; not on the number of processes."""
    engine = {k: v for k, v in asdict(ENGINES.of(config)).items() if k != "jobs"}
    more = ("lattices", "lattice_beam", "max_frames")
    return engine | {key: getattr(config, key) for key in more}


def _points(
    job: Job, decoder: Decoder, config: DecodeConfig, dev: str | None, facts: Mapping[str, Any]
) -> tuple[list[SearchPoint], dict[str, Any]]:
    """The points to search, and what to note of where the choice among them comes from."""
    points = grid(config, decoder.axes)
    if len(points) == 1:
        return points, {"chosen_on": None}
    if dev is not None:
        return points, {"chosen_on": dev}
    found = earlier_choice(job.exp, facts, points.__contains__, job.suffix)
    if found is None:
        raise ConfigError(
            f"lm_scales, beams and penalties span {len(points)} settings, and {job.exp} has no choice among them "
            "for this model, graph and engine: give --dev to choose on, or one value of each"
        )
    LOG.info("as was chosen on %s in %s: %s", found.dev, found.folder, _describe(found.point, decoder))
    return [found.point], {"chosen_on": found.dev, "choice_from": found.folder.name}


def _sweep(
    job: Job,
    decoder: Decoder,
    config: DecodeConfig,
    dev: str,
    points: Sequence[SearchPoint],
    count_errors: CountErrors,
    facts: Mapping[str, Any],
) -> SweepResult:
    output = _acoustic(job, dev)

    def count(words: Mapping[str, Sequence[str]]) -> dict[str, float]:
        return count_errors(words, output.texts)

    start = time.perf_counter()
    if config.search in MOST_LATTICES and decoder.gives_lattices and len(points) > MOST_SEARCHES:
        most = MOST_LATTICES[config.search]
        swept = sweep_lattices(decoder, output.log_probs, points, count, config.lattice_beam, most)
        how: dict[str, Any] = {"search": config.search, "lattice_beam": config.lattice_beam}
    else:
        swept = sweep(decoder, output.log_probs, points, count)
        how = {"search": "exhaustive"}
    how |= {"dev_searches": swept.searches, "sweep_seconds": round(time.perf_counter() - start, 3)}
    swept.notes = how
    for warning in swept.warnings:
        LOG.warning("%s: %s", dev, warning)
    if len(points) > 1:
        LOG.info(
            "chosen on %s out of %d settings in %d searches: %s",
            dev, len(points), swept.searches, _describe(swept.point, decoder),
        )  # fmt: skip
    found = Searched(dev, output, swept.hypotheses, swept.point, swept.seconds)
    if config.lattices:
        _, found.lattices = search_and_store(decoder, output.log_probs, swept.point, config.lattice_beam)
    _write(job, decoder, config, found, swept, facts)
    return swept


def _decode(
    job: Job,
    decoder: Decoder,
    config: DecodeConfig,
    name: str,
    point: SearchPoint,
    swept: SweepResult | None,
    facts: Mapping[str, Any],
) -> None:
    output = _acoustic(job, name)
    start, lattices = time.perf_counter(), None
    if config.lattices:
        hypotheses, lattices = search_and_store(decoder, output.log_probs, point, config.lattice_beam)
    else:
        hypotheses = decoder.decode(output.log_probs, point)
    seconds = time.perf_counter() - start
    _write(job, decoder, config, Searched(name, output, hypotheses, point, seconds, lattices), swept, facts)


def _acoustic(job: Job, name: str) -> AcousticOutput:
    LOG.info("%s: acoustic model on %s", name, job.device)
    output = run_model(job.module, job.batches(name), job.device, may_be_empty=job.part is not None)
    output.texts = {utt_id: job.reference(text) for utt_id, text in output.texts.items()}
    return output


@dataclass
class Searched:
    """A set and its words: the model's output, the search's point and seconds, packed lattices."""

    name: str
    output: AcousticOutput
    hypotheses: list[Hypothesis]
    point: SearchPoint
    seconds: float
    lattices: list[bytes] | None = None

    def tally(self) -> Tally:
        """How its utterances went."""
        found, output = Tally.of(self.hypotheses, self.output.texts), self.output
        found.unusable, found.input_frames = sorted(output.unusable), output.input_frames
        found.model_seconds, found.search_seconds = output.seconds, self.seconds
        return found


def _write(
    job: Job,
    decoder: Decoder,
    config: DecodeConfig,
    found: Searched,
    swept: SweepResult | None,
    facts: Mapping[str, Any],
) -> None:
    tally, folder = found.tally(), job.place(found.name)
    value = told(job, decoder, config, found.name, tally, found.point, swept, facts)
    others = {} if found.lattices is None else {LATTICES: found.lattices}
    if job.part is not None:
        value |= facts_of_part(tally, None if found.lattices is None else list(map(len, found.lattices)))
    write_decoded(folder, found.hypotheses, found.output.texts, value, others)
    LOG.info(
        "%s: %d utterances, %.1f s of audio, model %.1f s, search %.1f s, real-time factor %.4f -> %s",
        found.name, tally.utterances, value["audio_seconds"], tally.model_seconds, tally.search_seconds,
        value["real_time_factor"], folder,
    )  # fmt: skip


def told(
    job: Job,
    decoder: Decoder,
    config: DecodeConfig,
    name: str,
    tally: Tally,
    point: SearchPoint,
    swept: SweepResult | None,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """What ``decode.json`` tells of a set; warnings go to the log, too."""
    warnings = tally.warnings()
    for warning in warnings:
        LOG.warning("%s: %s", name, warning)
    value = {
        **tally.facts(name, decoder, point, job.input_seconds),
        "warnings": warnings + (swept.warnings if swept else []),
        "dev_sweep": swept.table if swept else [],
        **(swept.notes if swept else {}),
        **facts,
        **features_of(job.feats, name),
    }
    if config.lattices:
        value["lattices"] = lattice_facts(decoder, config.lattice_beam, tally.partial)
    return value


def _merge(job: Job, decoder: Decoder, config: DecodeConfig, name: str, point: SearchPoint, facts: dict) -> None:
    """Make the results of a set of those of its parts."""
    alike = {axis: getattr(point, axis) for axis in decoder.axes} | features_of(job.feats, name) | {"set": name}
    folders, parts = read_parts(job.folder(name), job.part.of, facts | alike)
    value = told(job, decoder, config, name, total(parts), point, None, facts)
    write_together(job.folder(name), folders, parts, value)
    LOG.info("%s: %d utterances of %d parts -> %s", name, value["utterances"], job.part.of, job.folder(name))


def _describe(point: SearchPoint, decoder: Decoder) -> str:
    return ", ".join(f"{axis} {getattr(point, axis):g}" for axis in decoder.axes)
