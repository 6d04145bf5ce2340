"""Models that answer late, made to answer in time."""

import torch
from torch import Tensor, nn


class InTime(nn.Module):
    """A model that was trained with a ``label_delay``: its output for a frame comes so many output frames later.

    As Kaldi's ``nnet-forward --time-shift`` does it, the last frame of each utterance is repeated until all has been
    answered, and what was said before the first answer is dropped. Otherwise a search would see what was spoken late,
    and would never see the end.

    Args:
        model: an `asrpar.nn.model.AcousticModel`.
        delay: output frames.

    Attributes:
        subsampling: of the model.
    """

    def __init__(self, model: nn.Module, delay: int) -> None:
        super().__init__()
        self.model, self.delay, self.subsampling = model, delay, model.subsampling
        self.train(model.training)

    def forward(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, T, C), lens (N,) -> log-probabilities (N, T', classes), lens' (N,), as without a delay."""
        more = self.delay * self.subsampling
        t = torch.arange(features.shape[1] + more, device=features.device)
        index = torch.minimum(t, (lens - 1).clamp(min=0)[:, None])
        longer = features.gather(1, index[:, :, None].expand(-1, -1, features.shape[2]))
        log_probs, found = self.model(longer, lens + more)
        return log_probs[:, self.delay :], found - self.delay
