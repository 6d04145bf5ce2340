"""An experiment's folder: its settings, its logs, its summary; and the run of one training in it."""

import hashlib
import json
import os
import platform
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from asrpar.config import load_config, save_config
from asrpar.cpu import cpu
from asrpar.errors import AsrparError, ConfigError, TrainingError
from asrpar.files.lock import busy, holder, reading, try_lock
from asrpar.files.paths import require_file
from asrpar.files.replacing import replacing
from asrpar.launch.rank import tell_stopped
from asrpar.log import get_logger, setup_logging
from asrpar.numbers import plain, ratio
from asrpar.parallel.comm import Comm, LearnerLost
from asrpar.parallel.comm.threads import FailuresEndTheRun
from asrpar.parallel.faults import FaultsConfig
from asrpar.parallel.strategies import settings_class
from asrpar.train import signals
from asrpar.train.config import FREE_ON_RESUME, TrainConfig, check_config

if TYPE_CHECKING:
    from asrpar.train.build import Parts
    from asrpar.train.trainer import Trainer

log = get_logger(__name__)

# Seconds in which what a killed launcher has left ends itself.
ORPHANS_END = 10.0


def strategy_settings(config: TrainConfig) -> Any:
    """The validated settings of the strategy in use; `ConfigError` names a wrong key of any strategy's block."""
    chosen = settings_class(config.strategy)()
    for name, block in config.strategies.items():
        schema = settings_class(name)
        if block is not None and not isinstance(block, dict):
            raise ConfigError(f"strategies.{name} must be 'key: value' lines, not {block!r}")
        try:
            loaded = load_config(schema, None, [f"{k}={'null' if v is None else v}" for k, v in (block or {}).items()])
        except ConfigError as e:
            # They may come from a file.
            raise ConfigError(f"strategies.{name}.{str(e).removeprefix('--set ')}") from e
        if name == config.strategy:
            chosen = loaded
    o = config.optimizer
    if getattr(chosen, "delay_compensation", 0) and (o.name != "sgd" or o.momentum):
        raise ConfigError(
            f"strategies.{config.strategy}.delay_compensation holds for steps of plain SGD: set optimizer.name=sgd and "
            "optimizer.momentum=0, or delay_compensation=0"
        )
    return chosen


# Settings that versions before did not have, and that mean nothing at 0: their trainings are the same as ours.
NEUTRAL_AT_ZERO = ("overlap_steps", "ema.warmup")


def leaves(config: TrainConfig) -> dict[str, Any]:
    """All settings that matter for the result, as ``{"optimizer.lr": 0.004, ...}``."""

    def walk(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in tree.items():
            path = f"{prefix}{key}"
            # Settings of strategies that are not in use cannot matter.
            if path in FREE_ON_RESUME or (prefix == "strategies." and key != config.strategy):
                continue
            if (key in NEUTRAL_AT_ZERO or path in NEUTRAL_AT_ZERO) and not value:
                continue
            found |= walk(value, f"{path}.") if isinstance(value, dict) else {path: value}
        return found

    return walk(asdict(config), "")


def config_digest(config: TrainConfig) -> str:
    """Equal for two trainings that differ in seed and place alone."""
    kept = {k: v for k, v in leaves(config).items() if k not in ("seed", "data.feats", "data.lang")}
    if config.faults != FaultsConfig():  # they may go on without, but are no repetition of a run without
        kept["faults"] = asdict(config.faults)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """Keys whose values differ and matter for the result, as ``key: old -> new``."""
    a, b = leaves(old), leaves(new)
    return [f"{k}: {a.get(k)} -> {b.get(k)}" for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]


def train(config: TrainConfig, comm: Comm, *, allow_learner_change: bool = False) -> int:
    """Train, or go on training, in ``config.exp``. Returns 0, or the signal number that stopped the run.

    Raises:
        AsrparError: settings or data that cannot be used; training that cannot go on.
    """
    import torch

    from asrpar.train.build import choose_transport
    from asrpar.train.precision import decide_autocast

    check_config(config)
    settings = strategy_settings(config)
    exp = Path(config.exp)
    require_file(config.data.feats, "stage 2 (asrpar extract-features)")
    require_file(config.data.lang, "stage 3 (asrpar prepare-lang)")
    exp.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    # Whole, so that a later version with other defaults still repeats this run.
    config.strategies = {config.strategy: asdict(settings)}
    with reading(config.data.feats), claim(exp, comm) as ours:
        # Only now: the log of another training is that one's.
        setup_logging(exp / "log" / f"train.{comm.rank}.log", rank=comm.rank)
        decide_autocast(config, comm)
        # Rank 0 looks for all: on a network file system the others might see something else.
        finished, error = comm.broadcast_object(look(exp, config) if ours else None)
        if error:
            raise ConfigError(error)
        if finished:
            log.info("%s is trained already; remove the folder or choose another --set exp=... to train anew", exp)
            return 0
        comm = choose_transport(config, comm)
        with FailuresEndTheRun(lambda error: give_up(comm, error)):
            number = run(exp, config, settings, comm, allow_learner_change)
        comm.close()
        return number


def give_up(comm: Comm, error: BaseException) -> None:
    """Report what an activity failed with, while the learner waits where nothing reaches it, and end the job."""
    if isinstance(error, (AsrparError, OSError)):
        text = "asrpar: error: " + " ".join(str(error).split()) + "\n"
    else:
        text = "".join(traceback.format_exception(error))
    os.write(2, text.encode())
    comm.abort(1)


def run(
    exp: Path, config: TrainConfig, settings: Any, comm: Comm, allow_learner_change: bool, parts: "Parts | None" = None
) -> int:
    """The training itself, in a folder that is ours; returns what `train` does."""
    import torch

    from asrpar.parallel.ema import too_short
    from asrpar.train.timing import table
    from asrpar.train.trainer import Trainer

    trainer = Trainer(config, settings, comm, parts)
    log.info(
        "%s of %d parameters, strategy %s on %d learner(s), %d frames an epoch, device %s, %d torch threads",
        config.model.type, len(trainer.learner.flat), config.strategy, comm.size,
        trainer.loader.frames_per_epoch, trainer.device, torch.get_num_threads(),
    )  # fmt: skip
    ema = config.ema
    if ema.enabled and (warning := too_short(config.epochs, ema.decay_epochs, ema.warmup)):
        log.warning(warning)
    with trainer.watchdog:
        trainer.begin(allow_learner_change)
        # Only now: what the trainer refuses must neither claim the folder nor cost the model in it.
        if comm.rank == 0:
            save_config(config, exp / "config.yaml")
            # A model of an earlier, shorter run must not be taken for this one's.
            (exp / "final.pt").unlink(missing_ok=True)
        try:
            number = trainer.run()
        except LearnerLost as e:
            # Within training steps those that are left go on; between them a loss ends the run.
            raise TrainingError(f"a learner was lost in a dev set or a checkpoint ({e}): run again to resume") from e
        if number:
            signals.ignore()
        times = trainer.timing.summary()
        trainer.timing.close()
        trainer.parts.close(trainer.comm.rank)
        # The trainer's learners are those that are left.
        comm = trainer.comm
        if comm.rank == 0:
            log.info("training time by rank on %s, shares in percent:\n%s", cpu(), table(times))
            write_summary(exp, config, trainer, times, complete=not number)
        # The first rank that exits with an error code ends the others.
        comm.barrier()
    if number:
        tell_of_stop(number, trainer)
    else:
        log.info("wrote %s", exp / "final.pt")
    return number


def tell_of_stop(number: int, trainer: "Trainer") -> None:
    """Say in the log, and to the launcher, why the run ends now and how it goes on."""
    cause = signal.Signals(number).name
    who = f"signal {number} ({cause})"
    if number == signal.SIGUSR1 and trainer.stop.deadline is not None and time.monotonic() > trainer.stop.deadline:
        cause = who = f"its time limit of {trainer.config.time_limit_minutes:g} minutes"
    outcome = "after saving a checkpoint; run the same command again to go on"
    if trainer.bereft:
        outcome = (
            "in an epoch in which a learner was lost, of which nothing is saved: start as many learners as before to "
            "go on from the last checkpoint, or to begin anew if there is none"
        )
    log.warning("stopped by %s %s", who, outcome)
    tell_stopped(cause, outcome)


def lock_or_wait(exp: Path) -> IO[str] | None:
    """The lock of ``exp``, or None if another has it; one whose launcher has gone is given some seconds to end."""
    deadline = time.monotonic() + ORPHANS_END
    while (lock := try_lock(exp)) is None:
        who = holder(exp)
        if who is None or not who.orphaned() or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return lock


@contextmanager
def claim(exp: Path, comm: Comm) -> Iterator[bool]:
    """Hold ``exp`` for one job; yields True on rank 0. `TrainingError` on all ranks if another job has it."""
    lock = lock_or_wait(exp) if comm.rank == 0 else None
    try:
        if problem := comm.broadcast_object("" if lock or comm.rank else busy(exp)):
            raise TrainingError(problem)
        yield comm.rank == 0
    finally:
        if lock is not None:
            lock.close()


def look(exp: Path, config: TrainConfig) -> tuple[bool, str]:
    """Whether ``exp`` holds this very training, finished; and why it cannot be used, or an empty string."""
    previous = exp / "config.yaml"
    if not previous.exists():
        return False, ""
    try:
        changed = differences(load_config(TrainConfig, previous), config)
        summary = exp / "train.json"
        finished = summary.exists() and json.loads(summary.read_text(encoding="utf-8")).get("complete", False)
    except (ConfigError, ValueError) as e:
        return False, f"{exp} holds a training that cannot be continued ({e}): choose another exp folder"
    if changed:
        more = " ..." if len(changed) > 5 else ""
        return False, (
            f"{exp} holds a training with other settings ({'; '.join(changed[:5])}{more}): choose another exp folder, "
            "or remove this one"
        )
    finished = finished and (exp / "final.pt").exists()
    return finished, data_changed(exp, config) if finished else ""


def data_changed(exp: Path, config: TrainConfig) -> str:
    """Why the finished training in ``exp`` is not one on the data that are there now; an empty string if it is."""
    from asrpar.train.identity import Identity, other_data
    from asrpar.train.model_io import load_acoustic_model

    known = json.loads((exp / "train.json").read_text(encoding="utf-8")).get("data_digest")
    if known is None:  # of an earlier version
        return ""
    now = Identity.of_data(config.data)
    before = load_acoustic_model(exp / "final.pt")[1]["identity"] if now.digest() != known else None
    return other_data(exp, before.other_data(now)) if before is not None else ""


def write_summary(exp: Path, config: TrainConfig, trainer: Any, times: dict[str, Any], *, complete: bool) -> None:
    """``train.json``: what was trained, how long it took, how it went; other commands read it."""
    from asrpar.info import git_hash, versions

    p = trainer.position
    last = p.history[-1] if p.history else {}
    value = {
        "complete": complete and p.epoch >= config.epochs,
        "model": config.model.type,
        "parameters": len(trainer.learner.flat),
        "strategy": config.strategy,
        "learners": trainer.comm.size,
        "seed": config.seed,
        "epochs": p.epoch,
        "frames": p.frames,
        "steps": p.steps,
        "train_seconds": round(p.seconds, 3),
        "frames_per_second": round(ratio(p.frames, p.seconds), 1),
        "dev_loss": last.get("dev_loss"),
        "dev_ter": last.get("dev_ter"),
        "ema": config.ema.enabled,
        "autocast": config.autocast,
        "config_digest": config_digest(config),
        "data_digest": trainer.identity.digest(),
        "checksum": checksum(trainer.result),
        "host": platform.node(),
        "command": shlex.join(sys.argv),
        "versions": versions(),
        "git": git_hash(),
        "time": times,
        "history": p.history,
        **trainer.parts.facts(),
    }
    with replacing(exp / "train.json") as temporary:
        temporary.write_text(json.dumps(plain(value), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def checksum(weights: Any) -> str:
    """SHA-256 of a weight vector's bytes: equal if and only if two trainings ended bit-identically."""
    return hashlib.sha256(weights.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
