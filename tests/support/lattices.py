"""Random lattices' point, and what is said of word sequences by hand: for tests of lattices."""

from asrpar.decode.scales import SearchPoint

POINT = SearchPoint(0.7, 40.0, 0.2, 0.5)


def best_costs(paths):
    """The cost of the best of the paths of each word sequence."""
    found = {}
    for words, cost in paths:
        found[words] = min(cost, found.get(words, cost))
    return found


def distance(said, reference):
    """Errors of words."""
    row = list(range(len(reference) + 1))
    for i, w in enumerate(said, 1):
        last, row[0] = row[0], i
        for j, v in enumerate(reference, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (w != v))
    return row[-1]
