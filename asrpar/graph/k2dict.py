"""From an OpenFst decoding graph to k2's dictionary, without importing k2.

k2 counts class 0 as the blank, so its dense intersection has no input epsilons. OpenFst's graph has them, where the LM
backs off and where words that sound alike part. `k2_dict` takes them out by folding them backwards: a step over a frame
from q to s, followed by epsilons from s to d, becomes one arc from q to d with the sum of the scores and the word of
either. Backwards, because few arcs enter a state that backs off, and many leave the state that it backs off to.

In graphs of `asrpar.graph.make` no arc needs two words: a word is written at the latest on the disambiguation symbol
behind its last unit, and not before its first; so at most one word falls between one unit and the next.
"""

from array import array

import kaldifst
import torch

from asrpar.errors import DataError

INF = float("inf")
# The start state has no arcs into it, so it gets a copy, into which what its epsilons reach is folded forwards.
START = -1

# (word or 0, cost, to)
Epsilon = tuple[int, float, int]
# (to, word or 0) -> cost
Steps = dict[tuple[int, int], float]
# (class, word or 0, to) -> cost
Arcs = dict[tuple[int, int, int], float]


def k2_dict(fst: kaldifst.StdVectorFst) -> dict[str, torch.Tensor]:
    """The graph as what ``k2.Fsa.as_dict`` gives and ``k2.Fsa.from_dict`` takes.

    Args:
        fst: input labels are class + 1, 0 is epsilon; output labels are word ids; weights are costs.

    Returns:
        ``arcs`` int32 (num_arcs, 4): source, destination, class (-1 into the final state, which is the last), and the
        bits of the float32 score, which is minus the cost; sorted by source and label.
        ``aux_labels`` int32 (num_arcs,): word id, 0 for none, -1 on arcs into the final state.

    Raises:
        DataError: an empty graph, a cycle of epsilons, or two words on one frame.
    """
    if fst.start < 0:
        raise DataError("the decoding graph is empty")
    closures = _closures(fst)
    number, queue = {START: 0}, [START]
    fields, scores, aux = array("i"), array("f"), array("i")
    for s in queue:
        arcs, final_cost = _start_arcs(fst, closures) if s == START else (_arcs(fst, s, closures), _final(fst, s))
        for _, _, d in arcs:
            if d not in number:
                number[d] = len(number)
                queue.append(d)
        for label, d, word, cost in sorted((label, number[d], word, cost) for (label, word, d), cost in arcs.items()):
            fields.extend((number[s], d, label))
            scores.append(-cost)
            aux.append(word)
        if final_cost != INF:
            fields.extend((number[s], -1, -1))
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


def _final(fst: kaldifst.StdVectorFst, state: int) -> float:
    return float(fst.final(state).value)


def _arcs(fst: kaldifst.StdVectorFst, state: int, closures: dict[int, Steps]) -> Arcs:
    """One state's steps over a frame, each followed by any epsilons."""
    out: Arcs = {}
    for arc in kaldifst.ArcIterator(fst, state):
        if arc.ilabel:
            label, word, cost, d = arc.ilabel - 1, arc.olabel, float(arc.weight.value), arc.nextstate
            if d not in closures:
                _keep_best(out, (label, word, d), cost)
            else:
                for (there, w), c in closures[d].items():
                    _keep_best(out, (label, _one_word(word, w), there), cost + c)
    return out


def _start_arcs(fst: kaldifst.StdVectorFst, closures: dict[int, Steps]) -> tuple[Arcs, float]:
    """Arcs and final cost of the copy of the start state."""
    out: Arcs = {}
    final_cost = INF
    for (d, word), cost in closures.get(fst.start, {(fst.start, 0): 0.0}).items():
        final_cost = min(final_cost, cost + _final(fst, d))
        for (label, w, there), c in _arcs(fst, d, closures).items():
            _keep_best(out, (label, _one_word(word, w), there), cost + c)
    return out, final_cost


def _closures(fst: kaldifst.StdVectorFst) -> dict[int, Steps]:
    """For each state with epsilons: the states (itself included) where one may be before the next frame."""
    epsilons: dict[int, list[Epsilon]] = {}
    for s in kaldifst.StateIterator(fst):
        found = [(a.olabel, float(a.weight.value), a.nextstate) for a in kaldifst.ArcIterator(fst, s) if not a.ilabel]
        if found:
            epsilons[s] = found
    closures: dict[int, Steps] = {}
    for s in _epsilon_order(epsilons):
        # A state that only passes on by epsilons need not be stopped at.
        stop = fst.num_arcs(s) > len(epsilons[s]) or _final(fst, s) != INF
        steps: Steps = {(s, 0): 0.0} if stop else {}
        for word, cost, d in epsilons[s]:
            for (there, w), c in closures.get(d, {(d, 0): 0.0}).items():
                _keep_best(steps, (there, _one_word(word, w)), cost + c)
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


def _one_word(first: int, second: int) -> int:
    if first and second:
        raise DataError(f"the decoding graph writes two words ({first}, {second}) on one frame, which k2 cannot hold")
    return first or second


def _keep_best(table: dict, key: tuple, cost: float) -> None:
    known = table.get(key)
    if known is None or cost < known:
        table[key] = cost
