import itertools

import kaldifst
import pytest

from asrpar.errors import ConfigError
from asrpar.graph.compose import graph_size
from asrpar.hmm.topologies import TOPOLOGIES, ctc
from asrpar.hmm.topologies.contract import StateTopology, UnitTopology, pdf_classes


def make(name):
    return TOPOLOGIES.load(name)(TOPOLOGIES.settings(name))


def read(h, classes):
    """What a transducer makes of frames: the sequences of units."""
    found = {(h.start, ())}
    for k in classes:
        found = {
            (arc.nextstate, units + ((arc.olabel,) if arc.olabel else ()))
            for state, units in found
            for arc in kaldifst.ArcIterator(h, state)
            if arc.ilabel == k + 1
        }
    return {units for state, units in found if h.final(state).value != float("inf")}


def collapse(classes, blank=0):
    return tuple(k for k, _ in itertools.groupby(classes) if k != blank)


def writes(h, units):
    """Whether some frames stand for this sequence of units."""
    seen, queue = set(), [(h.start, 0)]
    while queue:
        here = state, done = queue.pop()
        if here not in seen:
            seen.add(here)
            for arc in kaldifst.ArcIterator(h, state):
                if not arc.olabel or arc.olabel in units[done : done + 1]:
                    queue.append((arc.nextstate, done + bool(arc.olabel)))
    return any(done == len(units) and h.final(state).value != float("inf") for state, done in seen)


OF_UNITS = [name for name in TOPOLOGIES if isinstance(make(name), UnitTopology)]
OF_STATES = [name for name in TOPOLOGIES if name not in OF_UNITS]


@pytest.mark.parametrize("name", OF_UNITS)
def test_every_topology_of_units_keeps_the_contract(name):
    topology = make(name)
    h = topology.transducer([2, 5])
    for units in ([2], [5, 2], [2, 2, 2, 5]):
        assert writes(h, units)
    assert not writes(h, [3])
    if topology.blank is not None:
        assert read(h, [topology.blank] * 3) == {()}


def test_ctc_collapses_repeats_and_takes_out_blanks():
    h = make("ctc").transducer([1, 2])
    for classes in itertools.product(range(3), repeat=5):
        assert read(h, classes) == {collapse(classes)}
    assert read(h, [3]) == set()


def test_equal_units_need_no_blank_in_modified_ctc():
    h = make("ctc_modified").transducer([1, 2])
    for classes in itertools.product(range(3), repeat=5):
        runs = [[k, len(list(run))] for k, run in itertools.groupby(classes) if k]
        # Each run of n frames of a unit is one to n of it.
        choices = [[(k,) * m for m in range(1, n + 1)] for k, n in runs]
        assert read(h, classes) == {sum(choice, ()) for choice in itertools.product(*choices)}


def test_sizes():
    """The reason to have both."""
    arcs = {name: [graph_size(make(name).transducer(range(1, n + 1)))[1] for n in (10, 100)] for name in OF_UNITS}
    assert arcs["ctc"] == [121, 10201] and arcs["ctc_modified"] == [41, 401]


def test_many_units_are_warned_of(caplog, monkeypatch):
    monkeypatch.setattr(ctc, "MANY_UNITS", 5)
    make("ctc").transducer(range(1, 6))
    assert not caplog.records
    make("ctc").transducer(range(1, 7))
    assert "with 6 units the graph of ctc is very large: topology=ctc_modified makes a small one" in caplog.text


@pytest.mark.parametrize("name", OF_STATES)
@pytest.mark.parametrize("silence", [False, True])
def test_every_topology_of_states_keeps_the_contract(name, silence):
    topology = make(name)
    assert isinstance(topology, StateTopology) and topology.blank is None and topology.name == name
    states = topology.states(silence)
    assert states and all(0 < state.loop < 1 for state in states)
    # Pdf classes without gaps, in the order of the states.
    assert pdf_classes(states) == list(dict.fromkeys(k for s in states for k in (s.first, s.later)))
    assert pdf_classes(states) == list(range(len(pdf_classes(states))))


def test_topologies_of_states():
    settings = {"three_state": {"silence_states": 5, "silence_loop": 0.9}, "chain": {"silence_loop": 0.8}}
    made = {name: TOPOLOGIES.load(name)(TOPOLOGIES.settings(name, settings)) for name in OF_STATES}
    assert made["three_state"].states() == ((0, 0, 0.75), (1, 1, 0.75), (2, 2, 0.75))
    assert made["three_state"].states(silence=True) == tuple((i, i, 0.9) for i in range(5))
    assert made["one_state"].states() == made["one_state"].states(True) == ((0, 0, 0.5),)
    assert made["chain"].states() == ((0, 1, 0.5),) and made["chain"].states(True) == ((0, 1, 0.8),)
    for wrong in (0, 1):
        with pytest.raises(ConfigError, match=rf"topologies\.chain\.loop is {wrong}.*: it is a probability above 0"):
            TOPOLOGIES.settings("chain", {"chain": {"loop": wrong}})


def test_unknown_topologies():
    with pytest.raises(ConfigError, match=r"topology 'ctc_modifid' is unknown; did you mean 'ctc_modified'\?"):
        TOPOLOGIES.settings("ctc_modifid")
    with pytest.raises(ConfigError, match=r"key 'topologies\.ctc\.x' is unknown"):
        TOPOLOGIES.settings("ctc_modified", {"ctc": {"x": 1}})
