"""One rank's model, gradient and local optimizer: what a strategy drives."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from asrpar.feats import Batch
from asrpar.nn.objective import Objective
from asrpar.parallel.learner import FlatLearner

# Povey et al. 2018 bring factored layers back to semi-orthogonal every fourth update.
CONSTRAIN_EVERY = 4


def frames_in(batch: Batch, used: list[bool], objective: Objective) -> int:
    """Frames of a batch that its loss is the mean over: those that the objective counts, or all of the utterances."""
    counted = objective.frames_in(batch.targets)
    if counted is not None:
        return counted
    # More views of the same utterances are no more frames.
    return sum(n for n, ok in zip(batch.feature_lens[: len(used)].tolist(), used, strict=True) if ok)


class AcousticLearner(FlatLearner):
    """An acoustic model on one device.

    Args:
        module: the acoustic model, on its device.
        objective: what it is trained towards.
        optimizer: makes the local optimizer; see `FlatLearner`.
        clip_norm: longest gradient of an update; 0 for no limit.
        autocast: compute in bfloat16 where that is safe; weights and gradients stay float32.
        max_nonfinite: raise after so many gradients that were not finite.
        zeros: `Comm.zeros` of all learners; None for one that is alone.
        compiled: train with the model as torch.compile makes it, for each of the first few shapes of batches.

    Attributes:
        left_out: utterances that were in no loss, since the last `take_tally`; so are `loss_sum` and `loss_frames`.
    """

    advice = "lower the optimizer's lr, set its clip_norm, or look for broken utterances with asrpar validate-data"

    def __init__(
        self,
        module: nn.Module,
        objective: Objective,
        optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
        *,
        clip_norm: float = 0.0,
        autocast: bool,
        max_nonfinite: int,
        zeros: Callable[[int, Tensor], Tensor] | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__(module, optimizer, zeros=zeros, clip_norm=clip_norm, max_nonfinite=max_nonfinite)
        self.objective = objective
        self.autocast, self.compiled = autocast, compiled
        self._compiled: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None
        self._loss_sum = self._loss_frames = 0.0
        self._untold: tuple[Tensor, int] | None = None
        self.left_out = 0

    @property
    def loss_sum(self) -> float:
        """In nats, of batches whose loss was finite."""
        self._tell()
        return self._loss_sum

    @property
    def loss_frames(self) -> float:
        """Frames of those batches that count in their loss."""
        self._tell()
        return self._loss_frames

    def _tell(self) -> None:
        """Add the newest batch's loss to the sum; reading it where it is computed would make a GPU's host wait."""
        if self._untold is None:
            return
        (loss, frames), self._untold = self._untold, None
        value = loss.item()
        if value - value == 0:  # finite
            self._loss_sum += value
            self._loss_frames += frames

    def batch_loss(self, batch: Batch) -> tuple[Tensor, list[bool], Tensor, Tensor]:
        """Summed loss (), which utterances are in it, the model's output (V · N, T', C) and its lengths (V · N,)."""
        features = batch.features.to(self.device, non_blocking=True)
        lens = batch.feature_lens.to(self.device)
        model = self.module.scores if self.objective.of_scores else self.module
        if self.compiled and self.module.training:
            if self._compiled is None:
                # Not for any shape at once: what inductor of torch 2.13 makes for that fails on CPUs.
                self._compiled = torch.compile(model, dynamic=False)
            model = self._compiled
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            output, out_lens = model(features, lens)
        loss, used = self.objective.loss(output, out_lens, batch.targets)
        return loss, used, output, out_lens

    def compute(self, batch: Batch | None) -> float:
        self.grad.zero_()
        if batch is None or not batch.ids:
            return 0.0
        self.module.train()
        loss, used, _, _ = self.batch_loss(batch)
        loss.backward()
        self._tell()
        self._untold = loss.detach(), frames_in(batch, used, self.objective)
        self.left_out += used.count(False)
        counted = self.objective.frames_in(batch.targets)
        # None would look like the end of the data.
        return float(batch.num_frames if counted is None else max(counted, 1))

    def updated(self) -> None:
        """Bring constrained layers back to what they must be, now and then."""
        if self.updates % CONSTRAIN_EVERY == 0 and hasattr(self.module, "constrain"):
            self.module.constrain()

    def own_module(self) -> nn.Module:
        """The module, with this learner's weights in it."""
        return self.module

    def give_back(self, tally: list[float]) -> None:
        """What `take_tally` took is to count again."""
        self._loss_sum, self._loss_frames = self.loss_sum + tally[0], self.loss_frames + tally[1]
        self.left_out += int(tally[2])

    def take_tally(self) -> list[float]:
        """[summed loss, frames, utterances left out] since the last call."""
        tally = [self.loss_sum, self.loss_frames, float(self.left_out)]
        self._loss_sum = self._loss_frames = 0.0
        self.left_out = 0
        return tally

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return state | {"counters": [*state["counters"], self.loss_sum, self.loss_frames, self.left_out]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._untold = None
        self._loss_sum, self._loss_frames, self.left_out = state["counters"][2:]
