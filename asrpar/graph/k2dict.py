"""From an OpenFst decoding graph to k2's dictionary, without importing k2.

k2 counts class 0 as the blank, so its dense intersection has no input epsilons. OpenFst's graph has them, where the LM
backs off and where words that sound alike part. `k2_dict` takes them out by folding them backwards: a step over a frame
from q to s, followed by epsilons from s to d, becomes one arc from q to d with the sum of the scores and the word of
either. Backwards, because few arcs enter a state that backs off, and many leave the state that it backs off to.

An arc of k2's has one word. In HLG none needs two: a word is written at the latest on the disambiguation symbol behind
its last unit, and not before its first; so at most one falls between one unit and the next. In HCLG with contexts to
the right words come a phone earlier, and some meet. Then the second waits for the next frame: it is written on its last
phone at the latest, which no other word ends on, so it has found a place by then.
"""

from array import array

import kaldifst
import torch

from asrpar.errors import DataError

INF = float("inf")
# The start state has no arcs into it, so it gets a copy, into which what its epsilons reach is folded forwards.
START = -1

MOST_WAITING = 10  # words; more come of a graph that has more words than frames
Words = tuple[int, ...]
# (words, cost, to)
Epsilon = tuple[Words, float, int]
# (to, words) -> cost
Steps = dict[tuple[int, Words], float]
# (class, words, to) -> cost
Arcs = dict[tuple[int, Words, int], float]


def k2_dict(fst: kaldifst.StdVectorFst) -> dict[str, torch.Tensor]:
    """The graph as what ``k2.Fsa.as_dict`` gives and ``k2.Fsa.from_dict`` takes.

    Args:
        fst: input labels are class + 1, 0 is epsilon; output labels are word ids; weights are costs.

    Returns:
        ``arcs`` int32 (num_arcs, 4): source, destination, class (-1 into the final state, which is the last), and the
        bits of the float32 score, which is minus the cost; sorted by source and label.
        ``aux_labels`` int32 (num_arcs,): word id, 0 for none, -1 on arcs into the final state.

    Raises:
        DataError: an empty graph, a cycle of epsilons, or more words than frames to write them on.
    """
    if fst.start < 0:
        raise DataError("the decoding graph is empty")
    closures = _closures(fst)
    # A state, and the words that wait there.
    number: dict[tuple[int, Words], int] = {(START, ()): 0}
    queue = list(number)
    fields, scores, aux = array("i"), array("f"), array("i")
    for s, waiting in queue:
        arcs, final_cost = _start_arcs(fst, closures) if s == START else (_arcs(fst, s, closures), _final(fst, s))
        rows = []
        for (label, words, d), cost in arcs.items():
            word, there = (0, (d, ())) if not waiting and not words else _one_word(waiting + words, d)
            if there not in number:
                number[there] = len(number)
                queue.append(there)
            rows.append((label, number[there], word, cost))
        for label, there, word, cost in sorted(rows):
            fields.extend((number[s, waiting], there, label))
            scores.append(-cost)
            aux.append(word)
        if final_cost != INF:
            if waiting:
                raise _too_many(waiting)
            fields.extend((number[s, waiting], -1, -1))
            scores.append(-final_cost)
            aux.append(-1)
    if not aux:
        raise DataError("the decoding graph is empty")
    three = torch.frombuffer(fields, dtype=torch.int32).view(-1, 3)
    three[three[:, 2] == -1, 1] = len(number)
    bits = torch.frombuffer(scores, dtype=torch.float32).view(torch.int32)
    return {
        "arcs": torch.cat([three, bits[:, None]], dim=1).contiguous(),
        "aux_labels": torch.frombuffer(aux, dtype=torch.int32).clone(),
    }


def _one_word(words: Words, state: int) -> tuple[int, tuple[int, Words]]:
    """The word to write now, and the state to go to, with those that wait there."""
    if len(words) > MOST_WAITING:
        raise _too_many(words)
    return words[0], (state, words[1:])


def _too_many(words: Words) -> DataError:
    some = ", ".join(map(str, words[:2]))
    return DataError(f"the decoding graph writes two words ({some}) on one frame, which k2 cannot hold")


def _final(fst: kaldifst.StdVectorFst, state: int) -> float:
    return float(fst.final(state).value)


def _arcs(fst: kaldifst.StdVectorFst, state: int, closures: dict[int, Steps]) -> Arcs:
    """One state's steps over a frame, each followed by any epsilons."""
    out: Arcs = {}
    for arc in kaldifst.ArcIterator(fst, state):
        if arc.ilabel:
            label, words, cost, d = arc.ilabel - 1, _words(arc.olabel), float(arc.weight.value), arc.nextstate
            if d not in closures:
                _keep_best(out, (label, words, d), cost)
            else:
                for (there, more), c in closures[d].items():
                    _keep_best(out, (label, words + more, there), cost + c)
    return out


def _start_arcs(fst: kaldifst.StdVectorFst, closures: dict[int, Steps]) -> tuple[Arcs, float]:
    """Arcs and final cost of the copy of the start state."""
    out: Arcs = {}
    final_cost = INF
    for (d, words), cost in closures.get(fst.start, {(fst.start, ()): 0.0}).items():
        final_cost = min(final_cost, cost + _final(fst, d))
        for (label, more, there), c in _arcs(fst, d, closures).items():
            _keep_best(out, (label, words + more, there), cost + c)
    return out, final_cost


def _closures(fst: kaldifst.StdVectorFst) -> dict[int, Steps]:
    """For each state with epsilons: the states (itself included) where one may be before the next frame."""
    epsilons: dict[int, list[Epsilon]] = {}
    for s in kaldifst.StateIterator(fst):
        arcs = kaldifst.ArcIterator(fst, s)
        found = [(_words(a.olabel), float(a.weight.value), a.nextstate) for a in arcs if not a.ilabel]
        if found:
            epsilons[s] = found
    closures: dict[int, Steps] = {}
    for s in _epsilon_order(epsilons):
        # A state that only passes on by epsilons need not be stopped at.
        stop = fst.num_arcs(s) > len(epsilons[s]) or _final(fst, s) != INF
        steps: Steps = {(s, ()): 0.0} if stop else {}
        for words, cost, d in epsilons[s]:
            for (there, more), c in closures.get(d, {(d, ()): 0.0}).items():
                _keep_best(steps, (there, words + more), cost + c)
        closures[s] = steps
    return closures


def _epsilon_order(epsilons: dict[int, list[Epsilon]]) -> list[int]:
    """The states that have epsilons, each after those that its epsilons lead to."""
    order: list[int] = []
    done: dict[int, bool] = {}  # False: on the path to here
    for root in epsilons:
        stack = [(root, 0)] if root not in done else []
        while stack:
            s, i = stack.pop()
            done[s] = False
            if i < len(epsilons[s]):
                stack.append((s, i + 1))
                d = epsilons[s][i][2]
                if done.get(d) is False:
                    raise DataError("the decoding graph has a cycle that takes no frames")
                if d in epsilons and d not in done:
                    stack.append((d, 0))
            else:
                done[s] = True
                order.append(s)
    return order


def _words(label: int) -> Words:
    return (label,) if label else ()


def _keep_best(table: dict, key: tuple, cost: float) -> None:
    known = table.get(key)
    if known is None or cost < known:
        table[key] = cost
