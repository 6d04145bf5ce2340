"""Recordings of one's own for models that see more than features."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from asrpar.errors import DataError
from asrpar.feats.inputs import Inputs
from asrpar.train.identity import Identity


class FromFeatures(nn.Module):
    """A model behind what makes its inputs of normalised features.

    Args:
        model: of inputs.
        inputs: without streams, which features do not have.
    """

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs
        self.train(model.training)

    def forward(self, features: Tensor, lens: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features (N, T, C), lens (N,) -> what the model gives."""
        rows = features.cpu().numpy()
        seen = np.zeros((*rows.shape[:2], self.inputs.width(rows.shape[2])), np.float32)
        for row, made, frames in zip(rows, seen, lens.tolist(), strict=True):
            made[:frames] = self.inputs(row[:frames], SimpleNamespace(id="", speaker="", num_frames=frames))
        return self.model(torch.from_numpy(seen).to(features.device), lens)


def from_features(model: nn.Module, identity: Identity) -> nn.Module:
    """A model that takes the features of a recording, whatever it was trained to see.

    Raises:
        DataError: it was trained with streams that a recording does not have.
    """
    config = identity.input_config
    if config is None:
        return model
    if config.streams:
        raise DataError(
            f"the model was trained with inputs of Kaldi's ({', '.join(config.streams)}), which a recording by itself "
            "does not have: make features and these of it, and use asrpar decode"
        )
    return FromFeatures(model, Inputs(config, ""))
