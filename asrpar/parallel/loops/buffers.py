"""What a module has besides its parameters: running means of batch normalisation, counters, frozen weights."""

import torch
from torch import Tensor, nn

from asrpar.parallel.comm import Comm


def from_first(module: nn.Module, comm: Comm) -> None:
    """All learners begin with rank 0's buffers and frozen parameters. Collective."""
    frozen = [p.data for p in module.parameters() if not p.requires_grad]
    for x in [*frozen, *module.buffers()]:
        _replace(x, comm, lambda flat: comm.broadcast(flat, root=0))


def averaged(module: nn.Module, comm: Comm, learners: int) -> None:
    """Floating-point buffers become their mean over the learners, others rank 0's. Collective.

    Args:
        module: whose.
        comm: all ranks.
        learners: those that have data, the first ones.
    """
    for x in module.buffers():
        if x.is_floating_point():
            _replace(x, comm, lambda flat: _mean(flat, comm, learners))
        else:
            _replace(x, comm, lambda flat: comm.broadcast(flat, root=0))


def _mean(x: Tensor, comm: Comm, learners: int) -> None:
    if comm.rank >= learners:
        x.zero_()
    comm.allreduce(x)
    x.div_(learners)


def _replace(x: Tensor, comm: Comm, exchange: object) -> None:
    """Let what is exchanged be a contiguous tensor of a type that every transport carries."""
    if comm.size == 1 or not x.numel():
        return
    carried = torch.float64 if x.is_floating_point() else torch.int64
    flat = x.detach().to(carried).reshape(-1).contiguous().clone()
    exchange(flat)
    with torch.no_grad():
        x.copy_(flat.view(x.shape))
