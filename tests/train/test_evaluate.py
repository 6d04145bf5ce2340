"""The held-out set: looking at it leaves the learner as it was."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from asrpar.feats import Batch
from asrpar.nn.losses.ctc import Loss, Settings
from asrpar.nn.objective import Sources
from asrpar.parallel.comm import LocalComm
from asrpar.train import evaluate
from asrpar.train.config import TrainConfig
from asrpar.train.evaluate import DevSet, weights_of
from asrpar.train.learner import AcousticLearner


class Frames(nn.Module):
    """Features (N, T, 3) and a bias."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, features, lens):
        return (features + self.bias).log_softmax(2), lens


@pytest.fixture
def learner():
    objective = Loss(Settings(), Sources(SimpleNamespace(num_tokens=3, encode_variants=dict)))
    return AcousticLearner(
        Frames(), objective, lambda parameters: torch.optim.SGD(parameters, lr=1.0), autocast=False, max_nonfinite=1
    )


def test_the_model_that_is_evaluated_is_the_one_that_is_given_and_nothing_is_copied(monkeypatch, tmp_path, learner):
    batch = Batch(torch.zeros(1, 4, 3), torch.tensor([4]), [[[1]]], ["u"], 4, 4, 0, 0)
    monkeypatch.setattr(evaluate, "eval_batches", lambda *_, **__: iter([batch]))
    config, comm = TrainConfig(), LocalComm()
    config.data.feats = str(tmp_path)
    dev = DevSet(config, learner, lambda: None)
    own, before = learner.weights, learner.weights.data_ptr()
    model = torch.tensor([0.0, 5.0, 0.0])
    alike, better = dev.evaluate(own, comm), dev.evaluate(model, comm)
    assert better.loss < alike.loss and better.error_rate == 0.0
    assert learner.weights is own and learner.weights.data_ptr() == before == learner.module.bias.data_ptr()
    assert own.tolist() == [0.0, 0.0, 0.0] and model.tolist() == [0.0, 5.0, 0.0]
    # The local optimizer, too, goes on with the learner's own vector.
    learner.gradient(batch)
    assert learner.apply(4.0) and own.abs().sum() > 0


def test_weights_come_back_after_a_failure(learner):
    own = learner.weights
    with pytest.raises(RuntimeError), weights_of(learner, torch.ones(3)):
        assert learner.module.bias.tolist() == [1.0, 1.0, 1.0]
        raise RuntimeError
    assert learner.weights is own and learner.module.bias.tolist() == [0.0, 0.0, 0.0]
