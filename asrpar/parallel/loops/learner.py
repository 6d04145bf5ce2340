"""A learner whose gradients are computed by a training loop, and whose optimizer is the loop's own."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from asrpar.errors import ConfigError, TrainingError
from asrpar.parallel.learner import ModuleLearner
from asrpar.parallel.loops.turns import Turns
from asrpar.parallel.momenta import whole_steps

# What schedules change.
_RATES = ("lr", "weight_decay", "momentum", "betas")
# What the strategy's step is given where the loop has a batch, and where it has none but others have.
BATCH, EMPTY = "batch", "empty"


class LoopLearner(ModuleLearner):
    """Asks a loop for its gradients, and steps with the optimizer that the loop has made.

    The parameters that are trained become views on the flat vector; those that are frozen stay what they are. The
    optimizer keeps its groups of parameters, and all that it knows of them.

    Args:
        module: on its device.
        optimizer: of the module's parameters.
        turns: between the strategy and the loop.
        zeros: `Comm.zeros` of all learners.
        clip_norm: longest gradient of an update, as `torch.nn.utils.clip_grad_norm_` takes it; 0 for no limit.
        max_nonfinite: raise after so many gradients that were not finite.
    """

    advice = "lower the learning rate, or give clip_norm"

    def __init__(
        self,
        module: nn.Module,
        optimizer: Optimizer,
        turns: Turns,
        zeros: Callable[[int, Tensor], Tensor],
        *,
        clip_norm: float = 0.0,
        max_nonfinite: float = math.inf,
    ) -> None:
        self.named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        self.frozen = [(name, p) for name, p in module.named_parameters() if not p.requires_grad]
        trained = nn.ParameterList([p for _, p in self.named])
        super().__init__(trained, zeros, clip_norm=clip_norm, max_nonfinite=max_nonfinite)
        self.optimizer, self.turns, self.stepping = optimizer, turns, False
        self.grads = [p.grad for _, p in self.named]
        # Those of the last update.
        self.rates = rates(optimizer)
        self.guard = optimizer.register_step_pre_hook(self._only_the_strategy_steps)

    @property
    def lr(self) -> float:
        """Of the optimizer's first group of parameters; the loop and its schedules set it."""
        return float(self.optimizer.param_groups[0]["lr"])

    def compute(self, batch: Any | None) -> float:
        """What the loop computes; nothing where it has no more batches."""
        self.attach()
        self.grad.zero_()
        return self.turns.ask() if batch is BATCH else 0.0

    def attach(self) -> None:
        """Gradients are views on ``grad`` again, where the loop has dropped them."""
        for (_, parameter), grad in zip(self.named, self.grads, strict=True):
            parameter.grad = grad

    def collect(self) -> None:
        """``grad`` has what the loop's backward left in its parameters, which may be tensors of their own.

        Raises:
            TrainingError: there is no gradient, or one that does not fit.
        """
        found = False
        for (name, parameter), grad in zip(self.named, self.grads, strict=True):
            own = parameter.grad
            if own is None:
                grad.zero_()
            elif own.is_sparse:
                raise TrainingError(f"the gradient of {name} is sparse: make its layer with sparse=False")
            elif own is not grad:
                grad.copy_(own)
            found |= own is not None
            parameter.grad = grad
        if not found:
            raise TrainingError("there is no gradient: call loss.backward(), and zero_grad() before it, not behind")
        thawed = [name for name, parameter in self.frozen if parameter.requires_grad]
        if thawed:
            raise TrainingError(
                f"{thawed[0]} was frozen when Parallel was made, and would now be trained by each learner alone: make "
                "another Parallel after requires_grad has been set"
            )

    def update(self, norm: float) -> None:
        """With the loop's optimizer, at its own rates."""
        self.attach()
        if self.clip_norm:
            clip_grad_norm_([p for _, p in self.named], self.clip_norm)
        self.stepping, self.rates = True, rates(self.optimizer)
        try:
            with whole_steps(self.optimizer):
                self.optimizer.step()
        finally:
            self.stepping = False

    def _only_the_strategy_steps(self, *_: object) -> None:
        if not self.stepping:
            raise TrainingError("optimizer.step() is the strategy's: call parallel.step(samples) in its place")

    def on_gradient(self, done: Callable[[int, int], None]) -> None:
        """Nobody knows here which backward is the last of a step."""
        raise ConfigError("strategies.ssgd.bucket_mb needs asrpar's own training: set it to 0 in a loop of your own")

    def check_in_place(self) -> None:
        """Raise `TrainingError` if parameters are no longer views on ``weights``."""
        begin = self.weights.data_ptr()
        for name, p in self.named:
            if p.data_ptr() != begin or p.dtype != self.weights.dtype:
                raise TrainingError(
                    f"{name} is no longer where Parallel has put it: move, convert or load the model before Parallel "
                    "is made (model.to, model.half, load_state_dict with assign)"
                )
            begin += p.nbytes


def kind(optimizer: Optimizer) -> str:
    """What another optimizer's state does not fit into: the class, and the sizes of its groups of parameters."""
    return f"{type(optimizer).__qualname__} {[len(group['params']) for group in optimizer.param_groups]}"


def rates(optimizer: Optimizer) -> list[str]:
    """What schedules change in an optimizer's groups of parameters, to be compared and shown."""
    found = [(name, group[name]) for group in optimizer.param_groups for name in _RATES if name in group]
    return [f"{name} {value.item() if isinstance(value, Tensor) else value}" for name, value in found]
