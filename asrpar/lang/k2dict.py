"""From an OpenFst decoding graph to k2's dictionary, without importing k2.

k2 counts class 0 as the blank, so its dense intersection has no input epsilons. OpenFst's graph has them, where the LM
backs off and where words that sound alike part. `k2_dict` takes them out by folding them backwards: a step over frame
label x from q to s, followed by epsilons from s to d, becomes one arc from q to d with the sum of the scores and the
word of either. Backwards, because few arcs enter a state that backs off, and many leave the state that it backs off to.

In graphs of `asrpar.lang.graph` no arc needs two words: a word is written at the latest on the disambiguation symbol
behind its last unit, and not before its first; so at most one word falls between one unit and the next.
"""

from array import array
from collections.abc import Iterable

import kaldifst
import torch

from asrpar.errors import DataError

# (destination, word or 0) -> cost
Steps = dict[tuple[int, int], float]


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
    frames, closures, finals = _split(fst)
    out: list[dict[tuple[int, int, int], float]] = [
        _fold(((label, word, cost, closures[s]) for label, word, cost, s in arcs)) for arcs in frames
    ]
    # The start has no arc into it, so what it reaches by epsilons is folded forwards.
    out.append({})
    final_cost = float("inf")
    for (d, word), cost in closures[fst.start].items():
        final_cost = min(final_cost, cost + finals[d])
        for (label, w, there), c in out[d].items():
            _keep_best(out[-1], (label, _one_word(word, w), there), cost + c)
    return _tensors(out, [*finals, final_cost])


def _split(
    fst: kaldifst.StdVectorFst,
) -> tuple[list[list[tuple[int, int, float, int]]], list[Steps], list[float]]:
    """Per state: arcs that take a frame (class, word, cost, to); where epsilons lead; final cost (inf: not final)."""
    frames: list[list[tuple[int, int, float, int]]] = []
    epsilons: list[list[tuple[int, float, int]]] = []
    finals = []
    for s in kaldifst.StateIterator(fst):
        finals.append(float(fst.final(s).value))
        frames.append([])
        epsilons.append([])
        for arc in kaldifst.ArcIterator(fst, s):
            cost = float(arc.weight.value)
            if arc.ilabel:
                frames[s].append((arc.ilabel - 1, arc.olabel, cost, arc.nextstate))
            else:
                epsilons[s].append((arc.olabel, cost, arc.nextstate))
    closures: list[Steps] = [{}] * len(finals)
    for s in _epsilon_order(epsilons):
        # States that only pass on by epsilons need not be reached themselves.
        steps: Steps = {(s, 0): 0.0} if frames[s] or finals[s] != float("inf") else {}
        for word, cost, d in epsilons[s]:
            for (there, w), c in closures[d].items():
                _keep_best(steps, (there, _one_word(word, w)), cost + c)
        closures[s] = steps
    return frames, closures, finals


def _epsilon_order(epsilons: list[list[tuple[int, float, int]]]) -> list[int]:
    """All states, each after those that its epsilons lead to."""
    order: list[int] = []
    mark = bytearray(len(epsilons))  # 1: on the path to here, 2: done
    for root in range(len(epsilons)):
        stack = [(root, 0)] if not mark[root] else []
        while stack:
            s, i = stack.pop()
            mark[s] = 1
            if i < len(epsilons[s]):
                stack.append((s, i + 1))
                d = epsilons[s][i][2]
                if mark[d] == 1:
                    raise DataError("the decoding graph has a cycle that takes no frames")
                if not mark[d]:
                    stack.append((d, 0))
            else:
                mark[s] = 2
                order.append(s)
    return order


def _fold(arcs: Iterable[tuple[int, int, float, Steps]]) -> dict[tuple[int, int, int], float]:
    """(class, word, to) -> cost, for one state's arcs, each followed by any epsilons."""
    out: dict[tuple[int, int, int], float] = {}
    for label, word, cost, steps in arcs:
        for (there, w), c in steps.items():
            _keep_best(out, (label, _one_word(word, w), there), cost + c)
    return out


def _one_word(first: int, second: int) -> int:
    if first and second:
        raise DataError(f"the decoding graph writes two words ({first}, {second}) on one frame, which k2 cannot hold")
    return first or second


def _keep_best(table: dict, key: tuple, cost: float) -> None:
    known = table.get(key)
    if known is None or cost < known:
        table[key] = cost


def _tensors(out: list[dict[tuple[int, int, int], float]], finals: list[float]) -> dict[str, torch.Tensor]:
    """Number the reachable states from the start (the last entry of ``out``), and lay out the arcs."""
    number = {len(out) - 1: 0}
    queue = [len(out) - 1]
    for s in queue:
        for _, _, d in out[s]:
            if d not in number:
                number[d] = len(number)
                queue.append(d)
    final = len(number)
    fields, scores, aux = array("i"), array("f"), array("i")
    for s in queue:
        arcs = sorted((label, number[d], word, cost) for (label, word, d), cost in out[s].items())
        if finals[s] != float("inf"):
            arcs.append((-1, final, -1, finals[s]))
        for label, d, word, cost in arcs:
            fields.extend((number[s], d, label))
            scores.append(-cost)
            aux.append(word)
    if not aux:
        raise DataError("the decoding graph is empty")
    bits = torch.frombuffer(scores, dtype=torch.float32).view(torch.int32)
    arcs_tensor = torch.cat([torch.frombuffer(fields, dtype=torch.int32).view(-1, 3), bits[:, None]], dim=1)
    return {"arcs": arcs_tensor.contiguous(), "aux_labels": torch.frombuffer(aux, dtype=torch.int32).clone()}
