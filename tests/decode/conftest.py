"""A graph of three words over three tokens, and an exhaustive search over it that knows nothing of transducers."""

from itertools import product

import kaldifst
import numpy as np
import pytest
from decoding import prepare_data, save_model

from asrpar.decode.config import DecodeConfig
from asrpar.train.config import DataConfig
from asrpar.train.identity import Identity

TOKENS = ["<blk>", "a", "b", "c"]
WORDS = ["<eps>", "A", "AB", "CC", "#0", "<s>", "</s>"]
# word: (tokens, cost); each word begins anew at the loop state, at which every path may end at cost 0.25.
UNIGRAM = {"A": ((1,), 0.9), "AB": ((1, 2), 1.6), "CC": ((3, 3), 0.7)}
FINAL = 0.25


def topology() -> kaldifst.StdVectorFst:
    """CTC: state k has just seen token k (state 0: blank or nothing); input is class + 1, output is the token."""
    h = kaldifst.StdVectorFst()
    for k in range(len(TOKENS)):
        h.add_state()
        h.set_final(k, 0.0)
    h.start = 0
    for k in range(len(TOKENS)):
        h.add_arc(k, kaldifst.StdArc(1, 0, 0.0, 0))
        for token in range(1, len(TOKENS)):
            h.add_arc(k, kaldifst.StdArc(token + 1, 0 if token == k else token, 0.0, token))
    return h


def write_graph(folder, finals=True):
    """GRAPH folder; without ``finals`` only the word CC may end a path."""
    lg = kaldifst.StdVectorFst()
    loop = lg.start = lg.add_state()
    if finals:
        lg.set_final(loop, FINAL)
    for word, (tokens, cost) in UNIGRAM.items():
        here = loop
        for i, token in enumerate(tokens):
            there = lg.add_state() if i + 1 < len(tokens) or (not finals and word == "CC") else loop
            output = WORDS.index(word) if i == 0 else 0
            lg.add_arc(here, kaldifst.StdArc(token, output, cost if i == 0 else 0.0, there))
            here = there
        if not finals and word == "CC":
            lg.set_final(here, FINAL)
    kaldifst.arcsort(lg, "ilabel")
    h = topology()
    kaldifst.arcsort(h, "olabel")
    hlg = kaldifst.StdVectorFst(kaldifst.compose(h, lg))
    kaldifst.arcsort(hlg, "ilabel")
    folder.mkdir(exist_ok=True)
    hlg.write(str(folder / "HLG.fst"))
    (folder / "tokens.txt").write_text("".join(f"{t} {i}\n" for i, t in enumerate(TOKENS)))
    (folder / "words.txt").write_text("".join(f"{w} {i}\n" for i, w in enumerate(WORDS)))
    return hlg


@pytest.fixture(scope="session")
def graph(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "graph"
    write_graph(folder)
    return folder


@pytest.fixture(scope="session")
def write_graph_():
    return write_graph


@pytest.fixture(scope="session")
def one_job():
    return DecodeConfig(engines={"kaldi": {"jobs": 1}})


def segmentations(tokens):
    """All ways to cut tokens into words: (words, cost)."""
    if not tokens:
        yield (), FINAL
    for word, (pron, cost) in UNIGRAM.items():
        if tokens[: len(pron)] == pron:
            for rest, rest_cost in segmentations(tokens[len(pron) :]):
                yield (word, *rest), cost + rest_cost


@pytest.fixture(scope="session")
def exhaustive():
    """``exhaustive(log_probs, lm_scale, word_penalty) -> (score, words)`` over all frame labels."""

    def search(log_probs, lm_scale=1.0, word_penalty=0.0):
        best = (-np.inf, ())
        for path in product(range(len(TOKENS)), repeat=len(log_probs)):
            acoustic = float(sum(log_probs[t, k] for t, k in enumerate(path)))
            tokens = tuple(k for i, k in enumerate(path) if k and (i == 0 or path[i - 1] != k))
            for words, cost in segmentations(tokens):
                best = max(best, (acoustic - lm_scale * (cost + word_penalty * len(words)), words))
        return best

    return search


@pytest.fixture(scope="session")
def noise():
    """``noise(seed, T)``: random log-probabilities (T, 4) float32."""

    def make(seed, frames):
        x = 2.0 * np.random.default_rng(seed).standard_normal((frames, len(TOKENS)))
        return (x - np.log(np.exp(x).sum(axis=1, keepdims=True))).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """See `prepare_data`; not to be changed."""
    return prepare_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def exp(tmp_path, data):
    """An experiment with an untrained model that knows what it is for."""
    return save_model(tmp_path / "exp", 6, Identity.of_data(DataConfig(data / "feats", data / "lang")))
