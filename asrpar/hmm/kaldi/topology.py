"""Kaldi's ``topo``: the states of phones, their pdf classes and transitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asrpar.hmm.kaldi.stream import Stream
from asrpar.hmm.topologies.contract import State

NO_PDF = -1


@dataclass(frozen=True)
class KaldiState:
    """A state of an HMM.

    Attributes:
        forward: pdf class of the frame that leads on; `NO_PDF` of a state without frames, such as the last.
        loop: pdf class of frames that stay.
        transitions: (state, probability), in the order that transition-ids have.
    """

    forward: int
    loop: int
    transitions: tuple[tuple[int, float], ...]


Entry = tuple[KaldiState, ...]
# Phones' HMMs. Phones that share an entry share the object.
Topology = Mapping[int, Entry]


def read_topology(stream: Stream) -> Topology:
    """Read ``<Topology> ... </Topology>``.

    Raises:
        DataError: it is damaged.
    """
    stream.expect("<Topology>")
    found = _read_text(stream) if stream.peek() == "<TopologyEntry>" else _read_binary(stream)
    stream.expect("</Topology>")
    for phone, entry in found.items():
        targets = [target for state in entry for target, _ in state.transitions]
        if not entry or entry[-1].transitions or not all(0 <= target < len(entry) for target in targets):
            raise stream.error(f"states of phone {phone} that lead to its last one")
    return found


def _read_text(stream: Stream) -> dict[int, Entry]:
    found: dict[int, Entry] = {}
    while stream.peek() == "<TopologyEntry>":
        stream.expect("<TopologyEntry>", "<ForPhones>")
        phones = []
        while stream.peek() != "</ForPhones>":
            phones.append(stream.integer())
        stream.expect("</ForPhones>")
        states = []
        while stream.peek() == "<State>":
            states.append(_read_state(stream, len(states)))
        stream.expect("</TopologyEntry>")
        found |= dict.fromkeys(phones, tuple(states))
    return found


def _read_state(stream: Stream, number: int) -> KaldiState:
    stream.expect("<State>")
    if stream.integer() != number:
        raise stream.error(f"state {number}: states are numbered in order")
    forward = loop = NO_PDF
    transitions = []
    while stream.peek() != "</State>":
        kind = stream.token()
        if kind == "<PdfClass>":
            forward = loop = stream.integer()
        elif kind == "<ForwardPdfClass>":
            forward = stream.integer()
        elif kind == "<SelfLoopPdfClass>":
            loop = stream.integer()
        elif kind == "<Transition>":
            transitions.append((stream.integer(), stream.real()))
        else:
            raise stream.error("<PdfClass>, <Transition> or </State>")
    stream.expect("</State>")
    return KaldiState(forward, loop, tuple(transitions))


def _read_binary(stream: Stream) -> dict[int, Entry]:
    phones, entry_of = stream.integers(), stream.integers()
    count = stream.integer()
    apart = count == -1  # -1 says that loops have pdf classes of their own
    count = stream.integer() if apart else count
    entries = []
    for _ in range(count):
        states = []
        for _ in range(stream.integer()):
            forward = stream.integer()
            loop = stream.integer() if apart else forward
            transitions = [(stream.integer(), stream.real()) for _ in range(stream.integer())]
            states.append(KaldiState(forward, loop, tuple(transitions)))
        entries.append(tuple(states))
    if len(phones) and (phones.min() < 0 or phones.max() >= len(entry_of) or entry_of[phones].max() >= len(entries)):
        raise stream.error("an entry for each phone")
    return {int(p): entries[entry_of[p]] for p in phones}


def topology_text(topology: Topology) -> str:
    """``<Topology> ... </Topology>`` as Kaldi reads it; phones with equal states have one entry."""
    phones: dict[Entry, list[int]] = {}
    for phone, entry in topology.items():
        phones.setdefault(entry, []).append(phone)
    lines = ["<Topology>"]
    for entry, own in phones.items():
        lines += ["<TopologyEntry>", "<ForPhones>", " ".join(map(str, own)), "</ForPhones>"]
        for number, state in enumerate(entry):
            words = [f"<State> {number}"]
            if state.forward != NO_PDF and state.forward == state.loop:
                words.append(f"<PdfClass> {state.forward}")
            elif state.forward != NO_PDF:
                words.append(f"<ForwardPdfClass> {state.forward} <SelfLoopPdfClass> {state.loop}")
            words += [f"<Transition> {target} {p:g}" for target, p in state.transitions]
            lines.append(" ".join([*words, "</State>"]))
        lines.append("</TopologyEntry>")
    return "\n".join([*lines, "</Topology>", ""])


def left_to_right(states: Sequence[State]) -> Entry:
    """States of ours as Kaldi has them: the loop first, then the way on."""
    found = [KaldiState(s.first, s.later, ((i, s.loop), (i + 1, 1 - s.loop))) for i, s in enumerate(states)]
    return (*found, KaldiState(NO_PDF, NO_PDF, ()))
