"""The run of one training in its folder: what `asrpar train` does."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from asrpar.choices import settle
from asrpar.config import save_config
from asrpar.cpu import cpu
from asrpar.errors import TrainingError
from asrpar.files.lock import reading
from asrpar.files.paths import require_file
from asrpar.launch.rank import tell_stopped
from asrpar.log import get_logger, setup_logging
from asrpar.parallel.comm import Comm, LearnerLost
from asrpar.parallel.comm.threads import FailuresEndTheRun, end_job
from asrpar.parallel.ema import too_short
from asrpar.parallel.strategies import STRATEGIES
from asrpar.train.build import Parts, choose_transport
from asrpar.train.config import TrainConfig, check_config
from asrpar.train.epoch_models import drop
from asrpar.train.filling import decide_batch_size
from asrpar.train.folder import claim, finished, look
from asrpar.train.learner import AcousticLearner
from asrpar.train.precision import decide_autocast
from asrpar.train.summary import Result, write_summary
from asrpar.train.timing import table
from asrpar.train.trainer import Trainer

log = get_logger(__name__)


def prepare(config: TrainConfig) -> Any:
    """Check the settings, and what stages before leave; make the folder. Returns the strategy's settings."""
    check_config(config)
    settings = STRATEGIES.of(config)
    require_file(config.data.feats, "stage 2 (asrpar extract-features)")
    require_file(config.data.lang, "stage 3 (asrpar prepare-lang)")
    Path(config.exp).mkdir(parents=True, exist_ok=True)
    settle(config)
    return settings


def train(config: TrainConfig, comm: Comm, *, allow_learner_change: bool = False) -> int:
    """Train, or go on training, in ``config.exp``. Returns 0, or the signal number that stopped the run.

    Raises:
        AsrparError: settings or data that cannot be used; training that cannot go on.
    """
    invited = comm.invitation is not None
    if invited:
        config = comm.invitation.brief.config
    settings, exp = prepare(config), Path(config.exp)
    if config.threads:
        torch.set_num_threads(config.threads)
    with reading(config.data.feats), nullcontext() if invited else claim(exp, comm) as ours:
        # Only now: the log of another training is that one's.
        setup_logging(exp / "log" / f"train.{comm.seat}.log", rank=comm.seat)
        parts = Parts(config)
        if not invited:
            decide_autocast(config, comm)
            decide_batch_size(config, comm, parts)
            # Rank 0 looks for all: on a network file system the others might see something else.
            if finished(exp, *comm.broadcast_object(look(exp, config) if ours else None)):
                return 0
        comm = choose_transport(config, comm)
        with FailuresEndTheRun(lambda error: end_job(comm, error)):
            number = run(exp, config, settings, comm, allow_learner_change, parts)
        comm.close()
        return number


def run(
    exp: Path, config: TrainConfig, settings: Any, comm: Comm, allow_learner_change: bool, parts: Parts | None = None
) -> int:
    """The training itself, in a folder that is ours; returns what `train` does."""
    trainer = Trainer(config, settings, comm, parts)
    tell_of_start(config, trainer.learner, comm, trainer.loader.frames_per_epoch)
    with trainer.watchdog:
        trainer.begin(allow_learner_change)
        # Only now: what the trainer refuses must neither claim the folder nor cost the model in it.
        if comm.rank == 0 and comm.invitation is None:
            save_config(config, exp / "config.yaml")
            trainer.parts.write_tree(exp)
            # A model of an earlier, shorter run must not be taken for this one's.
            (exp / "final.pt").unlink(missing_ok=True)
            drop(exp, after=trainer.position.epoch)
        try:
            result = trainer.run()
        except LearnerLost as e:
            # Within training steps those that are left go on; between them a loss ends the run.
            raise TrainingError(f"a learner was lost in a dev set or a checkpoint ({e}): run again to resume") from e
        if result.comm.rank == 0:
            log.info("training time by rank on %s, fractions in percent:\n%s", cpu(), table(result.times))
            write_summary(exp, config, result, trainer.identity, trainer.parts.facts())
        # The first rank that exits with an error code ends the others.
        result.comm.barrier()
        if result.comm is not comm:
            result.comm.close()
    if result.stopped:
        tell_of_stop(result)
    else:
        log.info("wrote %s", exp / "final.pt")
    return result.stopped


def tell_of_start(config: TrainConfig, learner: AcousticLearner, comm: Comm, epoch_frames: int) -> None:
    """Say in the log what is trained, and on what."""
    log.info(
        "%s of %d parameters, strategy %s on %d learner(s), %d frames an epoch, device %s, %d torch threads",
        config.model, learner.weights.numel(), config.strategy, comm.size, epoch_frames,
        learner.device, torch.get_num_threads(),
    )  # fmt: skip
    ema = config.ema
    if ema.enabled and (warning := too_short(config.epochs, ema.decay_epochs, ema.warmup)):
        log.warning(warning)


def tell_of_stop(result: Result) -> None:
    """Say in the log, and to the launcher, why the run ends now and how it goes on."""
    outcome = "after saving a checkpoint; run the same command again to go on"
    if not result.saved:
        outcome = (
            "in an epoch in which a learner was lost, of which nothing is saved: start as many learners as before to "
            "go on from the last checkpoint, or to begin anew if there is none"
        )
    signal = result.cause.startswith("SIG")
    log.warning("stopped by %s %s", f"signal {result.stopped} ({result.cause})" if signal else result.cause, outcome)
    tell_stopped(result.cause, outcome)
