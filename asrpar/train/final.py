"""The models that a training was for, as files."""

from pathlib import Path

import torch
from torch import Tensor

from asrpar.nn.models import MODELS
from asrpar.nn.objective import Objective
from asrpar.train.average import Models
from asrpar.train.config import TrainConfig
from asrpar.train.epoch_models import FOLDER, drop, epoch_name
from asrpar.train.evaluate import weights_of
from asrpar.train.identity import Identity
from asrpar.train.learner import AcousticLearner
from asrpar.train.model_io import save_acoustic_model
from asrpar.train.position import Position


class FinalModels:
    """Writes into the folder of an experiment.

    Args:
        config: of the training.
        objective: what the models were trained towards.
        identity: what they were trained on.
        num_features: C of their input.
    """

    def __init__(self, config: TrainConfig, objective: Objective, identity: Identity, num_features: int) -> None:
        self.config, self.objective, self.identity, self.num_features = config, objective, identity, num_features

    def write(self, models: Models, learner: AcousticLearner, learners: int, frames: int) -> None:
        """``final.pt``, and ``unaveraged.pt`` if that is wanted.

        Args:
            models: of the training's end; those that are written have been made.
            learner: whose module they are written with.
            learners: that there are.
            frames: that all of them have seen.
        """
        config, notes = self.config, self._notes(learners, frames)
        if config.ema.enabled and config.ema.both:
            self.save("unaveraged.pt", models.plain, learner, notes)
        self.save("final.pt", models.final, learner, notes)

    def keep(self, models: Models, learner: AcousticLearner, learners: int, position: Position) -> None:
        """The model of the epoch that ended at ``position``, if models of epochs are kept; as `write` else."""
        config, exp = self.config, Path(self.config.exp)
        if not config.checkpoint.keep_epochs:
            return
        told = position.history[-1]
        notes = self._notes(learners, position.frames) | {"epoch": position.epoch}
        (exp / FOLDER).mkdir(exist_ok=True)
        notes |= {name: told[name] for name in ("dev_loss", "dev_error_rate")}
        self.save(epoch_name(position.epoch), models.final, learner, notes)
        drop(exp, keep=config.checkpoint.keep_epochs)

    def _notes(self, learners: int, frames: int) -> dict[str, object]:
        """What is kept beside the weights."""
        config = self.config
        return {"strategy": config.strategy, "learners": learners, "seed": config.seed, "frames": frames}

    def save(self, name: str, weights: Tensor, learner: AcousticLearner, notes: dict[str, object]) -> None:
        """One model, ``weights`` (P,)."""
        priors = self.objective.log_priors
        with weights_of(learner, weights):
            save_acoustic_model(
                Path(self.config.exp) / name,
                learner.own_module(),
                model=self.config.model,
                settings=MODELS.of(self.config),
                loss=self.config.loss,
                blank=self.objective.blank,
                label_delay=self.objective.delay,
                log_priors=None if priors is None else torch.from_numpy(priors),
                num_features=self.num_features,
                num_classes=self.objective.num_classes,
                notes=notes,
                identity=self.identity,
            )
