"""One rank's model, gradient and local optimizer: what a strategy drives."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from asrpar.errors import TrainingError
from asrpar.feats import Batch
from asrpar.nn import CtcLoss
from asrpar.parallel.flat import FlatParameters
from asrpar.parallel.trace import Trace, timed
from asrpar.train.config import OptimizerConfig
from asrpar.train.optimizer import make_optimizer, reset_momenta

# Povey et al. 2018 bring factored layers back to semi-orthogonal every fourth update.
CONSTRAIN_EVERY = 4


def frames_in(batch: Batch, used: list[bool]) -> int:
    """Input frames of those utterances of a batch that are in its loss."""
    return sum(n for n, ok in zip(batch.feature_lens.tolist(), used, strict=True) if ok)


class AcousticLearner:
    """A CTC acoustic model on one device; see `asrpar.parallel.strategies.base.Learner` for the contract.

    Args:
        module: the acoustic model, on its device.
        loss: the criterion, which sums over a batch.
        encode: transcript to its possible token sequences; none for an utterance to leave out.
        optimizer: settings of the local optimizer.
        autocast: compute in bfloat16 where that is safe; weights and gradients stay float32.
        max_nonfinite: raise after so many gradients that were not finite.
        zeros: `Comm.zeros` of all learners; None for one that is alone.

    Attributes:
        lr: rate of the next `apply`.
        trace: where it is recorded what the time went to.
        grad_norm: of the gradient that was applied last, before it was clipped.
        loss_sum, loss_frames, left_out, nonfinite, updates: counters of this rank; the first three since the last
            `take_tally`.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: CtcLoss,
        encode: Callable[[str], list[list[int]]],
        optimizer: OptimizerConfig,
        *,
        autocast: bool,
        max_nonfinite: int,
        zeros: Callable[[int, Tensor], Tensor] | None = None,
    ) -> None:
        self.module = module
        self.loss = loss
        self.encode = encode
        self.flat = FlatParameters(module, zeros)
        self.weights, self.grad, self.message = self.flat.weights, self.flat.grad, self.flat.message
        self.shapes = self.flat.shapes
        self.device = self.weights.device
        self.autocast = autocast
        self.clip_norm = optimizer.clip_norm
        self.max_nonfinite = max_nonfinite
        self.optimizer = make_optimizer(optimizer, self.weights, self.grad)
        self.lr = optimizer.lr
        self.trace = Trace()
        self.grad_norm = 0.0
        self.nonfinite = 0
        self.updates = 0
        self.loss_sum = self.loss_frames = 0.0
        self.left_out = 0

    def batch_loss(self, batch: Batch) -> tuple[Tensor, list[bool], Tensor, Tensor]:
        """Summed loss (), which utterances are in it, log-probabilities (N, T', C) and their lengths (N,)."""
        features = batch.features.to(self.device, non_blocking=True)
        lens = batch.feature_lens.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            log_probs, out_lens = self.module(features, lens)
        loss, used = self.loss(log_probs, out_lens, [self.encode(text) for text in batch.texts])
        return loss, used, log_probs, out_lens

    @timed("compute")
    def gradient(self, batch: Batch | None) -> float:
        """Fill ``grad`` with the gradient summed over the frames of ``batch``; return the frames."""
        return self.compute(batch)

    def compute(self, batch: Batch | None) -> float:
        """What `gradient` does."""
        self.grad.zero_()
        if batch is None or not batch.texts:
            return 0.0
        self.module.train()
        loss, used, _, _ = self.batch_loss(batch)
        loss.backward()
        value = loss.item()
        self.left_out += used.count(False)
        if value - value == 0:  # finite
            self.loss_sum += value
            self.loss_frames += frames_in(batch, used)
        return float(batch.num_frames)

    @timed("apply")
    def apply(self) -> bool:
        """Clip and step; False, and nothing changed, if the gradient is not finite."""
        norm = self.grad_norm = self.grad.norm().item()
        if norm - norm != 0:
            self.count_nonfinite()
            return False
        if self.clip_norm and norm > self.clip_norm:
            self.grad.mul_(self.clip_norm / norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        self.optimizer.step()
        self.updates += 1
        if self.updates % CONSTRAIN_EVERY == 0 and hasattr(self.module, "constrain"):
            self.module.constrain()
        return True

    def own_module(self) -> nn.Module:
        """The module, with this learner's weights in it."""
        return self.module

    def move(self, weights: Tensor) -> None:
        """Go on with another vector."""
        self.flat.move(weights)
        self.weights = weights
        self.optimizer.param_groups[0]["params"][0].data = weights

    def on_gradient(self, done: Callable[[int, int], None]) -> None:
        """See `FlatParameters.on_gradient`."""
        self.flat.on_gradient(done)

    def count_nonfinite(self) -> None:
        """Count an update that is left out; `TrainingError` at the ``max_nonfinite``-th."""
        self.nonfinite += 1
        if self.nonfinite >= self.max_nonfinite:
            raise TrainingError(
                f"{self.nonfinite} gradients were not finite (max_nonfinite): lower optimizer.lr, set "
                "optimizer.clip_norm, or look for broken utterances with asrpar validate-data"
            )

    def reset_optimizer(self) -> None:
        """Forget momenta; the next steps are as long as a first one."""
        reset_momenta(self.optimizer)

    def take_tally(self) -> list[float]:
        """[summed loss, frames, utterances left out] since the last call."""
        tally = [self.loss_sum, self.loss_frames, float(self.left_out)]
        self.loss_sum = self.loss_frames = 0.0
        self.left_out = 0
        return tally

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimizer and counters."""
        return {
            "weights": self.weights,
            "optimizer": self.optimizer.state_dict(),
            "counters": [self.nonfinite, self.updates, self.loss_sum, self.loss_frames, self.left_out],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore in place, so that all views stay valid."""
        self.weights.copy_(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.nonfinite, self.updates, self.loss_sum, self.loss_frames, self.left_out = state["counters"]
