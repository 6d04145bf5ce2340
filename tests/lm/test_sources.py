"""Stage 3 with several texts."""

import gzip
import re

import pytest

from asrpar.errors import ConfigError, DataError
from asrpar.graph.config import GraphConfig
from asrpar.graph.make import make_graph
from asrpar.lm.arpa import read_arpa

CALLS = ["THE CAT A DOG", "A DOG THE CAT", "THE DOG", "A CAT A DOG THE CAT"]
LAST = ["A", "CAT", "DOG", "THE", "X", "ZEBRA"]
BOOKS = "THE DOG THE DOG A\nA DOG\nTHE EMU A CAT\n\nthe cat the dog\n"


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "books.txt.gz").write_bytes(gzip.compress(BOOKS.encode()))
    (tmp_path / "held.txt").write_text("THE DOG THE\nA DOG\nTHE CAT\n")
    return {"lm__texts": "[books.txt.gz]", "lm__text_case": "upper"}


def test_texts_are_mixed_with_the_transcripts(make, texts, tmp_path, caplog):
    caplog.set_level("INFO", "asrpar")
    lang = make(CALLS, dev=["THE DOG"], lm__held_out="held.txt", lm__prune="1e-4", **texts)
    assert lang.words[1:-3] == ["A", "CAT", "DOG", "THE"]
    lm = read_arpa(tmp_path / "lang/lm.arpa")
    assert sorted(lm.words) == ["A", "CAT", "DOG", "THE"] and lm.order == 3
    for history in ([], ["THE"], ["<s>", "THE"], ["THE", "DOG"]):
        assert sum(10 ** lm.log10_prob(history, w) for w in [*lm.words, "</s>"]) == pytest.approx(1.0, abs=1e-5)
    said = caplog.text
    assert len(re.findall(r"weight 0\.\d+: (the text of train|books.txt.gz)", said)) == 2
    assert "1 sentences with words outside the vocabulary are not in the LM" in said
    assert "perplexity of the LM on dev" in said
    assert not (tmp_path / "lang/.lm").exists()


def test_texts_alone_and_words_outside_the_vocabulary(make, texts, tmp_path, caplog):
    caplog.set_level("INFO", "asrpar")
    make(["A CAT"], lm__transcripts="false", oov__policy="unk", lm__order="2", lm__min_counts="[1,2]", **texts)
    lm = read_arpa(tmp_path / "lang/lm.arpa")
    assert sorted(lm.words) == ["<UNK>", "A", "CAT"]
    # DOG and THE, which the transcripts do not have, and EMU.
    assert "10 words (66.67 %, 3 different ones) are outside the vocabulary" in caplog.text
    assert set(lm.grams[1]) >= {("<s>", "<UNK>"), ("<UNK>", "<UNK>")}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ConfigError, "2 texts make 2 models: give held_out, where weights are found, or weights"),
        ({"lm__weights": "[1.0]"}, ConfigError, r"weights: 1 values for 2 texts \(transcripts come first\)"),
        ({"lm__weights": "[0.5,0.6]"}, ConfigError, "weights: must lie in .* sum to 1|weights.*sum to 1"),
        ({"lm__min_counts": "[1,3,2]", "lm__weights": "[0.5,0.5]"}, ConfigError, "min_counts.*must begin with 1"),
    ],
)
def test_settings(make, texts, settings, error, message):
    with pytest.raises(error, match=message):
        make(CALLS, **texts, **settings)


def test_a_text_that_holds_the_dev_set_is_refused(make, texts, tmp_path):
    dev = [f"THE CAT A DOG THE {w} {v}" for w in ("A", "CAT", "DOG", "THE") for v in LAST]
    (tmp_path / "leak.txt").write_text("".join(f"{line}\n" for line in dev[:14]) + "A DOG\n")
    settings = {"lm__texts": "[leak.txt]", "lm__weights": "[0.5,0.5]"}
    with pytest.raises(DataError, match=r"leak.txt has 14 of the 24 sentences of 6 words or more of the set dev"):
        make(CALLS, dev=dev, **settings)
    assert not (tmp_path / "lang/lm.arpa").exists() and not (tmp_path / "lang/.lm").exists()
    (tmp_path / "leak.txt").write_text("".join(f"{line}\n" for line in dev[:10]) + "A DOG\n")
    make(CALLS, dev=dev, **settings)


def test_a_graph_of_too_many_n_grams_is_refused(make, tmp_path):
    make(CALLS)
    with pytest.raises(DataError, match=r"lm.arpa has \d\d n-grams, .* max_ngrams=20 is not tried: .*asrpar prune-lm"):
        make_graph(GraphConfig(max_ngrams=20), tmp_path / "lang", tmp_path / "graph")
    assert not (tmp_path / "graph").exists()


def test_n_grams_whose_beginnings_are_not_listed(tmp_path):
    path = tmp_path / "x.arpa"
    path.write_text(
        "\\data\\\nngram 1=4\nngram 2=1\nngram 3=2\n\n\\1-grams:\n-99 <s> -0.1\n-0.5 </s>\n-0.6 a -0.2\n-0.7 b -0.3\n\n"
        "\\2-grams:\n-0.3 a b -0.05\n\n\\3-grams:\n-0.2 a b a\n-0.25 b b a\n\n\\end\\\n"
    )
    lm = read_arpa(path)
    # As likely as by backing off.
    assert lm.grams[1] == {("a", "b"): (-0.3, -0.05), ("b", "b"): (pytest.approx(-1.0), 0.0)}
    assert lm.log10_prob(["b", "b"], "a") == -0.25
    assert lm.log10_prob(["b", "b"], "b") == pytest.approx(-1.0)
    assert read_arpa(path, only=["b"]).sizes == [3, 0, 0]
