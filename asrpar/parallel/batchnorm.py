"""Running statistics of batch normalisation, combined over learners.

Each learner has seen its own speech, so its means and variances are those of its share. Averaging variances would lose
how far the means lie apart; from the sufficient statistics, with k_i the batches that learner i has seen,

    m = Σ_i k_i m_i / Σ k        v = Σ_i k_i v_i / Σ k  +  Σ_i k_i (m_i − m)² / Σ k
                                     within learners        between learners
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from asrpar.parallel.comm import Comm


def combine_batchnorm(module: nn.Module, comm: Comm) -> None:
    """Give all learners the running statistics of what they have seen together. Collective.

    Doing it twice is doing it once. Every learner keeps its own count of batches, so that what it sees next is weighed
    against all that it has seen before. Layers that nobody has used stay as they are.

    Args:
        module: the model, with the same layers on all learners.
        comm: the learners. Cost: two allreduces of a number a channel.
    """
    layers = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    if not layers or comm.size == 1:
        return
    means = torch.cat([m.running_mean.detach().double().cpu() for m in layers])
    variances = torch.cat([m.running_var.detach().double().cpu() for m in layers])
    seen = torch.cat([torch.full((m.num_features,), float(m.num_batches_tracked)) for m in layers]).double()

    def mean_over_learners(x: Tensor) -> Tensor:
        message = torch.cat([seen * x, seen])
        comm.allreduce(message)
        total, batches = message.chunk(2)
        return torch.where(batches > 0, total / batches.clamp(min=1.0), x)

    mean = mean_over_learners(means)
    variance = mean_over_learners(variances + (means - mean) ** 2)
    at = 0
    for m in layers:
        end = at + m.num_features
        m.running_mean.copy_(mean[at:end])
        m.running_var.copy_(variance[at:end])
        at = end
