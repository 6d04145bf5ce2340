"""A small language, and two independent best-path searches: over HLG.fst and over HLG.pt."""

import math

import pytest
from languages import write_manifests

INF = float("inf")


# Homophones (TO TWO TOO; A UH with one phone), prefixes (THE THEN, A AT), an alternative, repeated phones (AA).
LEXICON = """TO T UW
TWO T UW
TOO T UW
THE DH AH
THEN DH AH N
A AH
UH AH
AT AH T
AA AH AH
TEN T EH N
TEN T IH N
"""
TEXTS = [
    "TO THE TEN",
    "A TEN TO TWO",
    "THEN TWO",
    "AT TEN TO TEN",
    "TO A TEN",
    "THE UH THE TEN",
    "AA",
    "TOO TO",
    "A A A",
]


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """(LANG folder, GRAPH folder) of LEXICON and TEXTS with a trigram."""
    from asrpar.graph.config import GraphConfig
    from asrpar.graph.make import make_graph
    from asrpar.lang.config import LangConfig
    from asrpar.lm.prepare import prepare_lang

    folder = tmp_path_factory.mktemp("small")
    probs = {"AH": 0.25, "T IH N": 0.3}
    lines = [line.split(maxsplit=1) for line in LEXICON.splitlines()]
    (folder / "lexiconp.txt").write_text("".join(f"{w} {probs.get(p, 1.0)} {p}\n" for w, p in lines))
    config = LangConfig(unit_settings={"phones": {"lexicon": str(folder / "lexiconp.txt")}})
    prepare_lang(config, write_manifests(folder / "manifests", {"train": TEXTS}), folder / "lang")
    make_graph(GraphConfig(), folder / "lang", folder / "graph")
    return folder / "lang", folder / "graph"


class Search:
    """Exact best path over a graph given as arcs: state -> [(class or None for epsilon, word or 0, cost, to)]."""

    def __init__(self, start, arcs, finals):
        self.start, self.arcs, self.finals = start, arcs, finals

    def best(self, log_probs):
        """(cost, word ids) of the best path for log_probs[t][class]; costs of frames and graph added."""
        active = self._epsilons({self.start: (0.0, ())})
        for frame in log_probs:
            reached = {}
            for state, (cost, words) in active.items():
                for label, word, c, there in self.arcs.get(state, ()):
                    if label is not None and frame[label] > -INF:
                        self._relax(reached, there, cost + c - frame[label], words + ((word,) if word else ()))
            active = self._epsilons(reached)
        return min(((cost + self.finals.get(s, INF), words) for s, (cost, words) in active.items()), default=(INF, ()))

    def _epsilons(self, active):
        queue = list(active)
        while queue:
            state = queue.pop()
            cost, words = active[state]
            for label, word, c, there in self.arcs.get(state, ()):
                if label is None and self._relax(active, there, cost + c, words + ((word,) if word else ())):
                    queue.append(there)
        return active

    @staticmethod
    def _relax(table, key, cost, words):
        if key in table and table[key][0] <= cost:
            return False
        table[key] = (cost, words)
        return True


def openfst_search(path_or_fst):
    import kaldifst

    fst = (
        path_or_fst if isinstance(path_or_fst, kaldifst.StdVectorFst) else kaldifst.StdVectorFst.read(str(path_or_fst))
    )
    arcs, finals = {}, {}
    for s in kaldifst.StateIterator(fst):
        finals[s] = float(fst.final(s).value)
        arcs[s] = [
            (a.ilabel - 1 if a.ilabel else None, a.olabel, float(a.weight.value), a.nextstate)
            for a in kaldifst.ArcIterator(fst, s)
        ]
    return Search(fst.start, arcs, finals)


def k2_search(path_or_dict):
    import torch

    k2 = path_or_dict if isinstance(path_or_dict, dict) else torch.load(path_or_dict, weights_only=True)
    scores = k2["arcs"][:, 3].contiguous().view(torch.float32).tolist()
    arcs, finals = {}, {}
    last = int(k2["arcs"][:, 1].max())
    for (src, dst, label, _), word, score in zip(k2["arcs"].tolist(), k2["aux_labels"].tolist(), scores, strict=True):
        if label == -1:
            assert dst == last and word == -1 and src not in finals
            finals[src] = -score
        else:
            assert dst != last and word >= 0
            arcs.setdefault(src, []).append((label, word, -score, dst))
    return Search(0, arcs, finals)


@pytest.fixture(scope="session")
def searches():
    return openfst_search, k2_search


@pytest.fixture(scope="session")
def one_hot():
    """Frame log-probs (list of rows) that allow exactly the given classes."""

    def make(classes, num_classes):
        return [[0.0 if k == c else -math.inf for k in range(num_classes)] for c in classes]

    return make
