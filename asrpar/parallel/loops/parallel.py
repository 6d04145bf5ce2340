"""A training loop of any PyTorch module gains a strategy: docs/library.md has examples."""

import atexit
import itertools
import math
import sys
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from asrpar.errors import TrainingError
from asrpar.parallel.comm import Comm, world
from asrpar.parallel.compress import COMPRESSIONS, make_wire
from asrpar.parallel.loops import buffers
from asrpar.parallel.loops.checks import check_alike, check_number, check_parts, check_rates, check_shares
from asrpar.parallel.loops.failures import Failures
from asrpar.parallel.loops.learner import BATCH, EMPTY, LoopLearner, kind, rates
from asrpar.parallel.loops.saving import load_newest, save_step
from asrpar.parallel.loops.turns import Turns
from asrpar.parallel.strategies import STRATEGIES, make_strategy

_NOTHING = object()


class Parallel:
    """Trains one module on many learners, each of which runs the same script, by a strategy that is chosen by name.

        parallel = Parallel(model, optimizer, "bmuf", {"sync_steps": 8})
        for epoch in range(4):
            for inputs, labels in parallel.epoch(parallel.share(batches)):
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), labels).backward()
                parallel.step(len(labels))              # in place of optimizer.step()
        parallel.close()                                # the module now has the model's weights

    Making one is collective, as are `epoch`, `consensus`, `save`, `load`, `total` and `close`: all learners call them
    in the same order.

    Args:
        model: on its device, with the weights that training begins from; all learners take rank 0's.
        optimizer: any of torch's, of the model's parameters. Groups of parameters, rates and schedules stay the loop's.
        strategy: its name, see docs/parallel.md.
        settings: of the strategy, those that are not as by default.
        compression: of what is sent, and ``compression_settings``.
        clip_norm: longest mean gradient of an update, as `torch.nn.utils.clip_grad_norm_` takes it; 0 for no limit.
        max_nonfinite: raise after so many gradients that were not finite; until then they are left out.
        shares: refuse to train where all learners have the same first batch.
        comm: the learners; by default those that mpirun or srun has started, or this process alone.

    Attributes:
        rank, size: of this process, and of all.
        learners: processes that have data, the first ones: all, or all but a dedicated server.
        strategy: see `asrpar.parallel.contract.Strategy`.
        learner: see `asrpar.parallel.contract.Learner`.
        steps: that this learner has taken.

    Raises:
        ConfigError: a name or a setting that there is not; a model or an optimizer that cannot be trained so.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        strategy: str = "ssgd",
        settings: dict[str, Any] | None = None,
        *,
        compression: str = "none",
        compression_settings: dict[str, Any] | None = None,
        clip_norm: float = 0.0,
        max_nonfinite: float = math.inf,
        shares: bool = True,
        comm: Comm | None = None,
    ) -> None:
        self.comm = comm or world()
        self.rank, self.size = self.comm.rank, self.comm.size
        self.failures = Failures(self.comm)
        check_parts(model, optimizer)
        check_number(clip_norm, 0, "Parallel: clip_norm")
        check_number(max_nonfinite, 1, "Parallel: max_nonfinite")
        chosen = STRATEGIES.settings(strategy, {strategy: settings or {}})
        packed = COMPRESSIONS.settings(compression, {compression: compression_settings or {}})
        shapes = [(name, tuple(p.shape), p.requires_grad) for name, p in model.named_parameters()]
        self.facts = {"strategy": strategy, "settings": str(chosen), "compression": str(packed), "model": str(shapes)}
        self.facts["optimizer"] = kind(optimizer)
        check_alike(self.comm, self.facts)
        self.model, self.shares, self.turns, self.steps = model, shares, Turns(), 0
        self.learner = LoopLearner(
            model, optimizer, self.turns, self.comm.zeros, clip_norm=clip_norm, max_nonfinite=max_nonfinite
        )
        wire = make_wire(compression, packed, self.learner.shapes, self.learner.weights)
        self.strategy = make_strategy(strategy, chosen, self.learner, self.comm, wire)
        self.learners = STRATEGIES.load(strategy).workers(chosen, self.size)
        buffers.from_first(model, self.comm)
        self.strategy.start()
        # Within an epoch; left in its middle; after `close`.
        self.within = self.left = self.closed = False
        self.flag = torch.zeros(1, dtype=torch.int64)
        atexit.register(_tell_if_open, weakref.ref(self))

    # ---- the loop

    def share(self, batches: Iterable[Any]) -> Iterable[Any]:
        """This learner's of batches that all learners have alike: each ``learners``-th."""
        if self.rank >= self.learners:
            return []
        if isinstance(batches, Sequence):
            return batches[self.rank :: self.learners]
        return itertools.islice(batches, self.rank, None, self.learners)

    def epoch(self, batches: Iterable[Any]) -> Iterator[Any]:
        """This learner's batches, one after the other; at their end the learners come together.

        They need not be equally many on all learners, and the loop may be left with ``break``, by all learners after
        the same step. A batch for which `step` is not called belongs to the next step: so gradients are accumulated.
        """
        self._settle()
        self.learner.check_in_place()
        check_rates(self.strategy.alike, rates(self.learner.optimizer))
        self.within = True
        try:
            yield from self._batches(iter(batches if self.rank < self.learners else ()))
        except GeneratorExit:
            # The loop was left; what is to be done together has to wait until all are known to be there.
            self.left = True
            raise
        self._come_together()

    def _batches(self, batches: Iterator[Any]) -> Iterator[Any]:
        batch = next(batches, _NOTHING)
        if self.shares and self.size > 1:
            self.shares = False
            check_shares(self.comm, None if batch is _NOTHING else batch, self.learners)
        while batch is not _NOTHING:
            if not self.turns.open:
                self._anyone(True)
                self.turns.begin(lambda: self.strategy.step(BATCH))
            yield batch
            batch = next(batches, _NOTHING)

    def step(self, samples: float = 1.0, *, summed: bool = False) -> None:
        """In place of ``optimizer.step()``: this learner has its gradient.

        Args:
            samples: that the gradient is the mean over, the weight of this learner's gradient among those of others.
                By default all batches weigh the same, as in torch's DistributedDataParallel.
            summed: the gradient is the sum over the samples, as of losses with ``reduction="sum"``.

        Raises:
            TrainingError: there is no batch or no gradient, or ``samples`` is no number above 0.
        """
        if not self.turns.open:
            raise TrainingError(
                "parallel.step() belongs into a loop over parallel.epoch(batches), and once for a batch or several"
            )
        try:
            samples = float(samples)
        except (TypeError, ValueError, RuntimeError):
            raise TrainingError(f"parallel.step({type(samples).__name__}): samples is one number above 0") from None
        if not 0 < samples < math.inf:
            raise TrainingError(
                f"parallel.step({samples:g}): samples is a number above 0; to leave a batch out, go on to the next "
                "without a step"
            )
        self.learner.collect()
        if samples != 1 and not summed:
            self.learner.grad.mul_(samples)
        self._end_step(samples)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """The optimizer's: so functions that are given an optimizer can be given this instead."""
        self.learner.optimizer.zero_grad(set_to_none)

    def _end_step(self, samples: float) -> bool:
        more = self.turns.end(samples)
        self.steps += 1
        self._count()
        return more

    def _count(self) -> None:
        # What a compression's warm-up counts must be the same on all learners: batches of one sample each.
        self.strategy.wire.advance(self.learners)

    def _anyone(self, here: bool) -> bool:
        """Whether any of the learners that take equally many steps has a batch. Collective among them."""
        together = self.strategy.together
        if together is None or together.size == 1:
            return here
        self.flag[0] = here
        together.allreduce(self.flag)
        return bool(self.flag.item())

    def _come_together(self) -> None:
        """This learner has no more batches, or wants no more."""
        more = True
        if self.turns.open:  # gradients of which no step was made are those of no samples
            self.learner.attach()
            self.learner.grad.zero_()
            more = self._end_step(0.0)
        if self.strategy.together is not None:
            while self._anyone(False):
                self.strategy.step(EMPTY)
                self._count()
        elif not self.strategy.own_pace:
            while more:
                more = self.strategy.step(None)
                self._count()
        self.strategy.finish()
        self.within = self.left = False
        check_rates(self.strategy.alike, self.learner.rates)

    def _settle(self) -> None:
        """Between two epochs, whatever became of the last one."""
        if self.closed:
            raise TrainingError("parallel.close() has ended the training: make another Parallel to go on")
        if self.within and not self.left:
            raise TrainingError("an epoch is not over: leave its loop before the next one, or before parallel.close()")
        if self.left:
            self._come_together()

    # ---- models

    @contextmanager
    def consensus(self) -> Iterator[None]:
        """Within, the module has the model's weights, such as the mean of the learners'; for evaluation.

        Between two epochs; also within one, after `step`, where learners step together.
        """
        self._synchronised("parallel.consensus()")
        own, kept = self.learner.weights, [b.clone() for b in self.model.buffers()]
        model = self.strategy.model()
        buffers.averaged(self.model, self.comm, self.learners)
        self.learner.move(model)
        try:
            yield
        finally:
            self.learner.move(own)
            with torch.no_grad():
                for buffer, before in zip(self.model.buffers(), kept, strict=True):
                    buffer.copy_(before)

    def total(self, *numbers: float) -> list[float]:
        """Sums over all learners, such as of a loss and of what it is a sum over."""
        sums = torch.tensor([float(number) for number in numbers], dtype=torch.float64)
        self.comm.allreduce(sums)
        return sums.tolist()

    def close(self) -> None:
        """The training is over, and the module has the model's weights, on all learners."""
        self._settle()
        self.learner.check_in_place()
        self.learner.weights.copy_(self.strategy.model())
        buffers.averaged(self.model, self.comm, self.learners)
        self.strategy.close()
        self.learner.guard.remove()
        self.comm.barrier()
        self.closed = True
        self.failures.over()

    def _synchronised(self, what: str) -> None:
        """Come to a state of which all learners know the same, or raise `TrainingError`."""
        if self.closed or self.left or not self.within:
            self._settle()
        elif not self.strategy.lockstep:
            raise TrainingError(
                f"{what} belongs between two epochs: with {self.facts['strategy']} learners take steps of their own"
            )
        elif self.turns.open:
            raise TrainingError(f"{what} within an epoch belongs behind parallel.step()")

    # ---- checkpoints

    def save(self, folder: str | Path, keep: int = 2, **more: Any) -> None:
        """Write a checkpoint: all that this training needs to go on, and ``more``: tensors, numbers, texts.

        Such as ``parallel.save("checkpoints", epoch=epoch, schedule=schedule.state_dict())``. Between two epochs; also
        within one, after `step`, where learners step together.

        Args:
            folder: the same for all learners; each checkpoint is a folder in it.
            keep: so many newest ones stay.
        """
        check_number(keep, 1, "parallel.save: keep")
        self._synchronised("parallel.save()")
        device = self.learner.device
        state = {
            "facts": self.facts,
            "steps": self.steps,
            "learner": self.learner.state_dict(),
            "buffers": list(self.model.buffers()),
            "frozen": [p.detach() for _, p in self.learner.frozen],
            "strategy": self.strategy.state_dict(),
            "wire": self.strategy.wire.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }
        save_step(Path(folder), state, more, self.comm, keep)

    def load(self, folder: str | Path) -> dict[str, Any] | None:
        """Go on from the newest checkpoint in a folder; before the first epoch.

        Returns:
            What was saved as ``more``; None if there is no checkpoint.

        Raises:
            TrainingError: it is of another number of learners, another model or strategy, or damaged.
        """
        self._settle()
        state = load_newest(Path(folder), self.facts, self.comm)
        if state is None:
            return None
        self.learner.load_state_dict(state["learner"])
        self.strategy.load_state_dict(state["strategy"])
        self.strategy.wire.load_state_dict(state["wire"])
        with torch.no_grad():
            for buffer, saved in zip(self.model.buffers(), state["buffers"], strict=True):
                buffer.copy_(saved)
            for (_, parameter), saved in zip(self.learner.frozen, state["frozen"], strict=True):
                parameter.copy_(saved)
        torch.set_rng_state(state["random"])
        if state["cuda_random"] is not None:
            torch.cuda.set_rng_state(state["cuda_random"], self.learner.device)
        self.steps = state["steps"]
        return state["more"]


def _tell_if_open(made: weakref.ref[Parallel]) -> None:
    """At the process's end: what it has saved may not be the model."""
    parallel = made()
    if parallel and parallel.steps and not (parallel.closed or parallel.failures.failed or parallel.rank):
        text = "parallel.close() was never called: the module has this learner's own weights, not the model's"
        print(f"asrpar: warning: {text}", file=sys.stderr)
