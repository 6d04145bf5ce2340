"""Weights of one learner that overflow reach nobody else, and the learner goes on from what the others have."""

import pytest
import torch
from toy import ToyLearner, data, wire_of
from virtual import on_virtual

from asrpar.parallel.strategies import make_strategy, settings_class

# A directed graph on which the push weights are not 1.
UNEVEN = [[0.5, 0.25, 0.0], [0.5, 0.5, 0.5], [0.0, 0.25, 0.5]]
CASES = {
    "adpsgd": {},
    "adpsgd in shared memory": {},
    "adpsgd bf16": {},
    "hadpsgd": {"super_learner_size": 1},
    "hadpsgd in pairs": {"super_learner_size": 2},
    "dpsgd": {},
    "dpsgd bf16": {},
    "dpsgd complete": {"topology": "complete"},
    "dpsgd complete onebit": {"topology": "complete"},
    "sgp": {},
    "sgp uneven": {"topology": "matrix", "matrix": UNEVEN},
    "delayed": {},
    "easgd": {"sync_steps": 1},
    "easgd_async": {"sync_steps": 1},
    "easgd_async topk": {"sync_steps": 1},
    "asgd": {"push_scale": None},
    "asgd topk": {"push_scale": None},
    "asgd dedicated": {"push_scale": None, "server": "dedicated"},
    "model_averaging": {"sync_steps": 1},
}
COMPRESSION = {"bf16": {}, "topk": {"density": 0.5}, "onebit": {"block": 8}}


class Overflowing(ToyLearner):
    """The sixth update makes a weight ``bad``, if it is not 0."""

    def __init__(self, bad: float) -> None:
        super().__init__()
        self.bad, self.applied = bad, 0

    def apply(self, frames: float) -> bool:
        counted, done = self.nonfinite, super().apply(frames)
        self.nonfinite = counted  # what strategies count is what the test asks for
        self.applied += 1
        if self.bad and self.applied == 6:
            self.weights[2] = self.bad
        return done


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_an_overflow_does_not_spread(case, bad):
    name, *rest = case.split()
    method = rest[-1] if rest and rest[-1] in COMPRESSION else "none"
    skipped, models, seen, ends = {}, [], [], {}
    learners, unlucky = (4, 2) if "pairs" in case else (3, 1)

    def train(comm):
        learner = Overflowing(bad if comm.rank == unlucky else 0.0)
        wire = wire_of(method, learner.shapes, learner.weights, **COMPRESSION.get(method, {}))
        strategy = make_strategy(name, settings_class(name)(**CASES[case]), learner, comm, wire)
        workers = strategy.workers(strategy.settings, comm.size)
        strategy.start()
        for batch in data(steps=14, rows=4, seed=comm.rank) if comm.rank < workers else ():
            # Those that step at their own pace meet in between.
            comm.sleep(1.0)
            strategy.step(batch)
            if comm.rank != unlucky:
                seen.append(bool(learner.weights.isfinite().all()))
        strategy.finish()
        models.append(strategy.model().clone())
        seen.append(bool(learner.weights.isfinite().all()))
        ends[comm.rank] = learner.weights.clone()
        skipped[comm.rank] = learner.nonfinite
        strategy.close()

    on_virtual(learners, train, shared_memory="shared memory" in case)
    assert all(seen)
    assert "pairs" not in case or torch.equal(ends[2], ends[3])
    for model in models:
        assert torch.equal(model, models[0]) and bool(model.isfinite().all())
    # A block that is not finite is forgotten by all alike.
    assert skipped == {rank: int(rank == unlucky or name == "model_averaging") for rank in range(learners)}


def test_a_learner_that_has_overflowed_at_an_epochs_end_is_not_in_the_mean():
    found = []

    def train(comm):
        learner = ToyLearner()
        strategy = make_strategy("dpsgd", settings_class("dpsgd")(), learner, comm)
        strategy.start()
        learner.weights.fill_(torch.inf if comm.rank == 1 else comm.rank)
        found.append(strategy.model().clone())
        learner.weights.fill_(torch.nan)
        found.append(strategy.model().clone())
        strategy.close()

    on_virtual(3, train)
    assert len(found) == 6
    finite = [model for model in found if bool(model.isfinite().all())]
    torch.testing.assert_close(torch.stack(finite), torch.ones(3, 6, dtype=torch.float64))


def test_a_learner_that_has_overflowed_is_not_in_what_those_go_on_from_who_are_left():
    found = []

    def train(comm):
        learner = ToyLearner()
        asgd = make_strategy("asgd", settings_class("asgd")(), learner, comm)
        asgd.start()
        learner.weights.fill_(torch.inf if comm.rank == 1 else comm.rank)
        found.append(asgd.survive(comm).pulled.tolist())

    on_virtual(3, train)
    assert found == [[1.0] * 6] * 3
