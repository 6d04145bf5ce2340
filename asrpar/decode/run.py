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
from asrpar.decode.config import DecodeConfig, results_folder
from asrpar.decode.earlier import check_free, earlier_choice, features_of, made_with
from asrpar.decode.engine import Engine, Hypothesis, SearchPoint
from asrpar.decode.output import write_decoded
from asrpar.decode.sweep import SweepResult, grid, sweep
from asrpar.errors import ConfigError
from asrpar.files.lock import alone_with
from asrpar.info import git_hash, versions
from asrpar.log import get_logger
from asrpar.numbers import ratio

LOG = get_logger(__name__)

# Errors of hypotheses against reference texts: at least "errors" and "wer".
CountErrors = Callable[[list[Hypothesis], Mapping[str, str]], dict[str, float]]


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
        graph: the engine's, for the results to tell.
        feats: likewise.
        suffix: tells several decodings of a set apart.
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

    def folder(self, name: str) -> Path:
        """Where the results of a set go."""
        return results_folder(self.exp, name, self.suffix)


def decode_sets(
    job: Job, engine: Engine, config: DecodeConfig, dev: str | None, tests: Sequence[str], count_errors: CountErrors
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
            held.enter_context(alone_with(job.folder(name)))
        _decode_sets(job, engine, config, dev, tests, count_errors)


def _decode_sets(
    job: Job, engine: Engine, config: DecodeConfig, dev: str | None, tests: Sequence[str], count_errors: CountErrors
) -> None:
    facts = {**job.notes, **made_with(engine, job.graph)}
    for name in dict.fromkeys(name for name in (dev, *tests) if name):
        if warning := check_free(job.folder(name), facts | features_of(job.feats, name), name):
            LOG.warning("%s: %s", name, warning)
    points, chosen_on = grid(config), dev
    if dev is None and len(points) > 1:
        found = earlier_choice(job.exp, facts, points.__contains__, job.suffix)
        if found is None:
            raise ConfigError(
                f"lm_scales, beams and penalties span {len(points)} settings, and {job.exp} has no choice among them "
                "for this model, graph and engine: give --dev to choose on, or one value of each"
            )
        points, chosen_on, facts["choice_from"] = [found.point], found.dev, found.folder.name
        LOG.info("as was chosen on %s in %s: %s", found.dev, found.folder, _describe(found.point))
    elif len(points) == 1:
        chosen_on = None
    facts |= {"command": shlex.join(sys.argv), "versions": versions(), "git_hash": git_hash()}
    chosen: SweepResult | None = None
    if dev is not None:
        output, warnings = _acoustic(job, dev)
        chosen = sweep(engine, output.log_probs, points, lambda h: count_errors(h, output.texts))
        for warning in chosen.warnings:
            LOG.warning("%s: %s", dev, warning)
        if len(points) > 1:
            LOG.info("chosen on %s out of %d settings: %s", dev, len(points), _describe(chosen.point))
        words, seconds = chosen.hypotheses, chosen.seconds
        _write(job, engine, dev, output, words, chosen.point, seconds, chosen_on, chosen, warnings, facts)
    point = chosen.point if chosen else points[0]
    for name in dict.fromkeys(t for t in tests if t != dev):
        output, warnings = _acoustic(job, name)
        start = time.perf_counter()
        hypotheses = engine.decode(output.log_probs, point)
        seconds = time.perf_counter() - start
        _write(job, engine, name, output, hypotheses, point, seconds, chosen_on, chosen, warnings, facts)


def _acoustic(job: Job, name: str) -> tuple[AcousticOutput, list[str]]:
    LOG.info("%s: acoustic model on %s", name, job.device)
    output = run_model(job.module, job.batches(name), job.device)
    output.texts = {utt_id: job.reference(text) for utt_id, text in output.texts.items()}
    warnings = []
    if output.unusable:
        some = ", ".join(output.unusable[:3])
        warnings.append(f"the model's output is NaN for {len(output.unusable)} utterances, such as {some}")
    return output, warnings


def _write(
    job: Job,
    engine: Engine,
    name: str,
    output: AcousticOutput,
    hypotheses: list[Hypothesis],
    point: SearchPoint,
    seconds: float,
    chosen_on: str | None,
    chosen: SweepResult | None,
    warnings: list[str],
    facts: Mapping[str, Any],
) -> None:
    partial = sorted(h.utt_id for h in hypotheses if not h.complete)
    if partial:
        warnings.append(
            f"{len(partial)} utterances reached no final state, such as {', '.join(partial[:3])}: "
            "their best unfinished path is taken; a wider beam may help"
        )
    if warning := silent(hypotheses, output.texts):
        warnings.append(warning)
    for warning in warnings:
        LOG.warning("%s: %s", name, warning)
    audio = output.input_frames * job.input_seconds
    value = {
        "set": name,
        "engine": engine.name,
        "unit": engine.unit,
        "jobs": engine.jobs,
        **({"blank_penalty": point.blank_penalty} if engine.name == "greedy" else asdict(point)),
        "chosen_on": chosen_on,
        "utterances": len(hypotheses),
        "partial": len(partial),
        "empty": sum(not h.words for h in hypotheses),
        "audio_seconds": round(audio, 3),
        "acoustic_model_seconds": round(output.seconds, 3),
        "decode_seconds": round(seconds, 3),
        # Both parts together, as the user waits for both.
        "real_time_factor": round(ratio(output.seconds + seconds, audio), 6),
        "warnings": warnings + (chosen.warnings if chosen else []),
        "dev_sweep": chosen.table if chosen else [],
        **facts,
        **features_of(job.feats, name),
    }
    folder = job.folder(name)
    write_decoded(folder, hypotheses, output.texts, value)
    LOG.info(
        "%s: %d utterances, %.1f s of audio, model %.1f s, search %.1f s, real-time factor %.4f -> %s",
        name, len(hypotheses), audio, output.seconds, seconds, value["real_time_factor"], folder,
    )  # fmt: skip


def silent(hypotheses: Sequence[Hypothesis], references: Mapping[str, str]) -> str:
    """What to warn of where at least half of the utterances that have words got none; empty if there is nothing."""
    spoken = [h for h in hypotheses if references[h.utt_id].split()]
    empty = [h.utt_id for h in spoken if not h.words]
    if not empty or 2 * len(empty) < len(spoken):
        return ""
    which = "all" if len(empty) == len(spoken) else f"{len(empty)} of"
    return (
        f"{which} {len(spoken)} utterances with words are recognised as nothing, such as {', '.join(empty[:3])}: was "
        "the model trained for long enough (dev loss in train.json), on features and units like these? blank_penalties "
        "may help a model that is too sure of blank"
    )


def _describe(point: SearchPoint) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in asdict(point).items())
