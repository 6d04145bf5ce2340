"""The state of a run: parts by name, of any version, for any number of learners."""

import pytest
import torch

from asrpar.errors import ConfigError
from asrpar.train.identity import Identity
from asrpar.train.position import Position
from asrpar.train.state import Machine, check_same_data, restore, whole_state


class Vector:
    """A part with one tensor."""

    def __init__(self, name, values):
        self.name, self.values = name, torch.tensor(values)

    def state_dict(self):
        return {self.name: self.values.clone()}

    def load_state_dict(self, state):
        self.values.copy_(state[self.name])


def parts(values):
    """As a trainer's: position, learner, average, timing, machine."""
    return {
        "position": Position(),
        "learner": Vector("weights", values),
        "ema": Vector("mean", values),
        "timing": Vector("seconds", values),
        "machine": Machine(torch.device("cpu")),
    }


def saved(values=(1.0, 2.0)):
    """A state that one learner of two has saved, and the random numbers that would have come next."""
    before = parts(values)
    before["position"].advance(7)
    mean = torch.tensor([5.0, 6.0])
    state = whole_state(before) | {"learners": 2, "consensus": {"weights": mean, "ema": mean + 1}}
    return state, torch.rand(3)


def flat(state):
    """The state as the first format had it."""
    return {**{k: v for k, v in state.items() if k != "machine"}, **state["machine"]}


@pytest.mark.parametrize("version", [dict, flat])
def test_as_many_learners_go_on_where_they_were(version):
    state, expected = saved()
    torch.manual_seed(1)
    now = parts([0.0, 0.0])
    restore(now, version(state), 2)
    assert (now["position"].steps, now["position"].frames) == (1, 7)
    assert all(now[name].values.tolist() == [1.0, 2.0] for name in ("learner", "ema", "timing"))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("version", [dict, flat])
def test_others_begin_with_the_consensus_and_with_what_is_their_own(version):
    state, _ = saved()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    now = parts([0.0, 0.0])
    restore(now, version(state), 3)
    assert now["learner"].values.tolist() == [5.0, 6.0] and now["ema"].values.tolist() == [6.0, 7.0]
    assert now["timing"].values.tolist() == [0.0, 0.0]
    assert torch.equal(torch.rand(3), expected)


def test_parts_that_a_version_before_did_not_keep_stay_as_they_are():
    state, _ = saved()
    state |= {"consensus": None, "ema": None, "position": {"epoch": 2, "steps": 9}}
    del state["timing"]
    now = parts([0.0, 0.0])
    restore(now, state, 3)
    assert now["learner"].values.tolist() == [1.0, 2.0] and now["ema"].values.tolist() == [0.0, 0.0]
    assert (now["position"].epoch, now["position"].steps, now["position"].done) == (2, 9, [])


def test_another_machine_is_told(caplog):
    state, _ = saved()
    state["machine"]["threads"] += 1
    restore(parts([0.0, 0.0]), state, 2)
    assert "last bits may differ" in caplog.text


def test_other_data_are_refused(caplog, tmp_path):
    def trained_on(utterances):
        return Identity({}, "phones", ["<blk>", "a"], "", {"train": {"utterances": utterances, "frames": 9}})

    state = {"identity": trained_on(3).state()}
    check_same_data(state, trained_on(3), tmp_path, tell=True)
    with pytest.raises(ConfigError, match=r"holds a training on other data .*3 utterances of 9 frames -> 4"):
        check_same_data(state, trained_on(4), tmp_path, tell=True)
    check_same_data({}, trained_on(3), tmp_path, tell=True)
    assert "does not say which data it is of" in caplog.text
