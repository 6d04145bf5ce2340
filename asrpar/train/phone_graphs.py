"""The graphs that a training's loss may need: of its phones' tree, and of what its training set says."""

from collections.abc import Callable

from asrpar.feats.store import StoredFeatures
from asrpar.graph.phone_graphs import PhoneGraphs
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.tree import Tree
from asrpar.lang.lang import Lang
from asrpar.train.config import DataConfig

# Of phones without a tree: at 30 ms a frame there is no room for more states.
TOPOLOGY = "chain"


def tree_of(data: DataConfig, lang: Lang) -> Tree:
    """The tree of a training: that of ``data.tree``, of ``data.ali``, or else one of phones without context."""
    if data.tree or data.ali:
        return Tree.read(data.tree or data.ali)
    topology = TOPOLOGIES.load(TOPOLOGY)(TOPOLOGIES.settings(TOPOLOGY))
    return Tree.monophone(Phones.of_lang(lang), topology)


def graphs_of(data: DataConfig, lang: Lang) -> Callable[[int, int], PhoneGraphs]:
    """What makes the graphs of a training, with a phone language model of its training transcripts.

    Its arguments are the model's order, and the most nodes that a graph may have.
    """

    def make(order: int, max_nodes: int) -> PhoneGraphs:
        texts = (utterance.text for utterance in StoredFeatures(data.feats, data.train).utterances)
        return PhoneGraphs(lang, tree_of(data, lang), texts, order, max_nodes)

    return make
