"""HCLG of AN4 with a 4-gram: sizes that were measured when the construction was compared with Kaldi's own code."""

import os
from pathlib import Path

import numpy as np
import pytest
from languages import an4_texts, write_manifests

from asrpar.config import load_config
from asrpar.graph.arrays import Arrays
from asrpar.graph.compose import compose_lg, graph_size
from asrpar.graph.fsts import grammar_fst, lexicon_fst
from asrpar.graph.hclg import _with_context, compose_hclg
from asrpar.graph.k2dict import k2_dict
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.tree import Tree
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang
from asrpar.lang.places import Places
from asrpar.lm.arpa import read_arpa
from asrpar.lm.prepare import prepare_lang

pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif(
        not os.environ.get("ASRPAR_CORPORA"),
        reason="ASRPAR_CORPORA is not set: it names the folder of the real corpora",
    ),
]
CORPORA = Path(os.environ.get("ASRPAR_CORPORA", ""))
SETTINGS = ["unit_settings.phones.lexicon=etc/an4.dic", "vocabulary.from_lexicon=true", "lm.order=4"]


@pytest.fixture(scope="module")
def an4(tmp_path_factory):
    """(phones, LG with disambiguation symbols) of the recipe's lexicon and language model."""
    folder = tmp_path_factory.mktemp("an4")
    # The recipe's dev set is the first 100.
    texts = [text for _, text in an4_texts(CORPORA, "train")][100:]
    config = load_config(LangConfig, None, SETTINGS)
    manifests = write_manifests(folder / "manifests", {"train": texts})
    prepare_lang(config, manifests, folder / "lang", Places(str(CORPORA / "an4")))
    lang, lm = Lang.load(folder / "lang"), read_arpa(folder / "lang/lm.arpa")
    phones = Phones.of_lang(lang)
    l, (g, _) = lexicon_fst(lang, phones), grammar_fst(lm, {w: i for i, w in enumerate(lang.words)})
    assert graph_size(l) == (474, 735) and graph_size(g) == (3757, 10022)
    return phones, compose_lg(l, g, len(phones) + 1, disambig=True)


def tree(phones, name, width):
    topology = TOPOLOGIES.load(name)(TOPOLOGIES.settings(name))
    mono = Tree.monophone(phones, topology)
    return Tree(phones, name, width, [mono.states(p) for p in phones.ids], mono.roots)


def test_sizes(an4):
    phones, lg = an4
    assert graph_size(lg) == (16_806, 32_756)
    windows = {width: len(_with_context(lg, tree(phones, "three_state", width))[1]) + 1 for width in (1, 2, 3)}
    assert windows == {1: 39, 2: 688, 3: 6687}  # with epsilon
    mono = compose_hclg(lg, tree(phones, "three_state", 1), 0.1)
    assert graph_size(mono) == (41_867, 95_249)
    # Contexts that change no pdf leave the graph as it is.
    assert graph_size(compose_hclg(lg, tree(phones, "three_state", 2), 0.1)) == (41_867, 95_249)
    assert graph_size(compose_hclg(lg, tree(phones, "chain", 1), 1.0)) == (17_081, 45_677)
    k2 = k2_dict(mono)
    assert (int(k2["arcs"][:, 1].max()) + 1, len(k2["arcs"])) == (41_868, 131_056)
    # Each frame costs something: a path of n frames has n arcs that read, of which loops have their own state.
    arrays = Arrays.of(mono)
    loops = arrays.arcs["nextstate"] == arrays.sources
    assert np.all(arrays.arcs["ilabel"][loops] > 0) and np.all(arrays.arcs["olabel"][loops] == 0)
    assert loops.sum() == len(np.unique(arrays.sources[loops]))
