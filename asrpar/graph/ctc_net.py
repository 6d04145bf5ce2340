"""An utterance for a model trained with CTC: its tokens with blanks between, in all pronunciations."""

from asrpar.graph.utterance import PhoneGraph
from asrpar.hmm.search import Net

NO_OCCURRENCE = -1


def ctc_net(graph: PhoneGraph, blank: int = 0) -> tuple[Net, list[int]]:
    """The net of a phone graph without silence, whose phones are the model's classes.

    Returns:
        the net, and the occurrence of each node, `NO_OCCURRENCE` for blanks.
    """
    count = len(graph.phones)
    # Node n is occurrence n, count + n the blank before it, the last one the blank behind all.
    end = 2 * count
    pdfs = [*graph.phones, *[blank] * (count + 1)]
    arcs = [(n, n, 0.0) for n in range(2 * count + 1)]
    arcs += [(count + n, n, 0.0) for n in range(count)]
    for source, target, weight in graph.arcs:
        arcs.append((source, count + target, weight))
        if graph.phones[source] != graph.phones[target]:  # equal tokens need a blank between them
            arcs.append((source, target, weight))
    arcs += [(n, end, weight) for n, weight in graph.final.items()]
    initial = {at: weight for n, weight in graph.initial.items() for at in (n, count + n)}
    final = {**graph.final, end: 0.0}
    if not count:
        initial = {end: 0.0}
    return Net.of_arcs(pdfs, arcs, initial, final), [*range(count), *[NO_OCCURRENCE] * (count + 1)]
