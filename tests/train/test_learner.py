"""A learner's vectors: whatever memory they are in, the same training."""

import pytest
import torch
from torch import nn

from asrpar.feats import Batch
from asrpar.nn import CtcLoss
from asrpar.nn.loss import LossConfig
from asrpar.train.config import OptimizerConfig
from asrpar.train.learner import AcousticLearner


class Tiny(nn.Module):
    """A frame classifier; features are (N, T, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, features, lens):
        return self.layers(features).log_softmax(2), lens


def learner(optimizer):
    torch.manual_seed(0)
    return AcousticLearner(
        Tiny(), CtcLoss(LossConfig()), lambda text: [[1, 2]], optimizer, autocast=False, max_nonfinite=1
    )


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_learner_that_moves_after_each_step_goes_on_as_one_that_stays(name):
    optimizer = OptimizerConfig(name=name, lr=0.1, momentum=0.9)
    stays, moves = learner(optimizer), learner(optimizer)
    places = [torch.zeros(len(moves.weights)) for _ in range(2)]
    for step in range(6):
        torch.manual_seed(step)
        lens = torch.tensor([7, 9])
        batch = Batch(torch.randn(2, 9, 4), lens, ["a", "b"], ["u1", "u2"], 16, 16, 0, step)
        for one in (stays, moves):
            one.grad.div_(one.gradient(batch))
            assert one.apply()
        assert torch.equal(moves.weights, stays.weights)
        left, there = moves.weights, places[step % 2].copy_(moves.weights)
        moves.move(there)
        assert moves.weights is there
        left.fill_(torch.nan)
    torch.testing.assert_close(moves.state_dict(), stays.state_dict(), rtol=0, atol=0)
