"""Words out of stored lattices: other scales, another language model, least risk."""

import json
import math
from dataclasses import replace

import pytest
from decoding import SMALL, run
from small_lm import estimate_ngram

from asrpar.decode.lattices.text import read_lattices, write_lattices
from asrpar.decode.lm_scores import SentenceCosts
from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.lm.arpa import read_arpa


def decode(exp, data, *more):
    folders = ["--feats", data / "feats", "--graph", data / "graph", "--lang", data / "lang"]
    run("decode", "--exp", exp, *folders, *SMALL, *more)


def rescore(exp, data, *more):
    run("rescore", "--exp", exp, "--lang", data / "lang", "--jobs", "1", *more)


def facts(folder):
    return json.loads((folder / "decode.json").read_text())


@pytest.fixture
def decoded(exp, data):
    decode(exp, data, "--set", "lattices=true", "--set", "lattice_beam=4")
    return exp


def test_lattices_lie_beside_the_words_and_say_the_same(decoded, data, exp):
    told = facts(exp / "decode_test")
    assert told["lattices"]["beam"] == 4 and told["search"] == "exhaustive"
    names = [lattice.utt_id for lattice in read_lattices(exp / "decode_test" / "lat.gz")]
    assert names == sorted(names) and len(names) == 5
    words = (exp / "decode_test" / "hyp.trn").read_text()
    decode(exp, data, "--suffix", "plain")
    assert (exp / "decode_test_plain" / "hyp.trn").read_text() == words
    assert (exp / "decode_test_plain" / "times.ctm").read_text() == (exp / "decode_test" / "times.ctm").read_text()
    # Without another language model and at the search's own scale nothing changes, but for the words' confidences.
    scale = told["lm_scale"]
    assert told["lattices"]["partial"] == [] and told["partial"] == 0
    # What a lattice does not say: that its paths end in no final state of the graph.
    told["lattices"]["partial"] = names[:2]
    (exp / "decode_test" / "decode.json").write_text(json.dumps(told))
    rescore(exp, data, "--set", f"lm_scales=[{scale}]")
    assert (exp / "decode_test_rescored" / "hyp.trn").read_text() == words
    lines = (exp / "decode_test_rescored" / "times.ctm").read_text().splitlines()
    assert [line.rsplit(" ", 1)[0] for line in lines] == (exp / "decode_test" / "times.ctm").read_text().splitlines()
    assert all(0 <= float(line.split()[5]) <= 1 for line in lines)
    found = facts(exp / "decode_test_rescored")
    assert found["oracle_wer"] <= found["n_best_oracle_wer"] <= 100
    assert found["engine"] == "kaldi, rescored" and found["lm"] is None and found["partial"] == 2


def test_another_language_model_takes_the_place_of_the_graphs(decoded, data, exp, tmp_path):
    lm = tmp_path / "lm.arpa"
    # A model that hears nothing but this sentence.
    estimate_ngram([["NO", "YES"]] * 50, 3, ["YES", "NO"]).write(lm)
    rescore(exp, data, "--lm", lm, "--set", "lm_scales=[30]", "--set", "lm_weights=[1]", "--suffix", "one")
    words = {line.rsplit("(", 1)[0].strip() for line in (exp / "decode_test_one" / "hyp.trn").read_text().splitlines()}
    assert words == {"NO YES"}
    old, new = (SentenceCosts(read_arpa(path)) for path in (data / "lang" / "lm.arpa", lm))
    for line in (exp / "decode_test_one" / "nbest.txt").read_text().splitlines():
        _, rank, cost, acoustic, graph, added, *text = line.split("\t")
        said = text[0].split() if text else []
        assert float(added) == pytest.approx((new([said]) - old([said]))[0], abs=1e-3)
        assert float(cost) == pytest.approx(float(acoustic) + 30 * (float(graph) + float(added)), abs=0.02)
        assert rank != "1" or said == ["NO", "YES"]


def test_the_choice_on_dev_is_never_worse_than_the_search(decoded, data, exp, tmp_path):
    lm = tmp_path / "lm.arpa"
    estimate_ngram([["YES", "NO"], ["NO", "NO", "YES"]], 2, ["YES", "NO"]).write(lm)
    rescore(exp, data, "--lm", lm, "--set", "output=mbr", "--set", "mbr_scales=[0.5,1]", "--suffix", "mbr")
    run("score", "--exp", exp, "--set", "dev,dev_mbr")
    told = facts(exp / "decode_test_mbr")
    assert told["chosen_on"] == "dev" and told["mbr_scale"] in (0.5, 1.0)
    chosen = {key: told[key] for key in ("lm_scale", "word_penalty", "lm_weight")}
    rows = [row for row in told["dev_sweep"] if "mbr_scale" not in row]
    errors = {row["errors"] for row in rows if chosen.items() <= row.items()}
    before = json.loads((exp / "decode_dev" / "wer.json").read_text())["errors"]
    assert errors == {min(row["errors"] for row in rows)} and max(errors) <= before


def test_what_cannot_be_rescored_is_said(exp, data):
    with pytest.raises(
        MissingInputError, match=r"decode_dev has no lattices: run asrpar decode with --set lattices=true"
    ):
        rescore(exp, data)
    decode(exp, data, "--set", "lattices=true")
    with pytest.raises(ConfigError, match="give --dev"):
        rescore(exp, data, "--dev", "")
    with pytest.raises(ConfigError, match="would replace the lattices"):
        rescore(exp, data, "--suffix", "")
    with pytest.raises(MissingInputError, match=r"none\.arpa is missing: give"):
        rescore(exp, data, "--lm", "none.arpa")
    with pytest.raises(
        ConfigError, match=r"the language model of the graph is taken off first: give --lang or --old-lm"
    ):
        run("rescore", "--exp", exp, "--lm", data / "lang" / "lm.arpa")


def test_lattices_of_words_that_there_are_not_are_refused(decoded, data, exp):
    path = exp / "decode_dev" / "lat.gz"
    first = next(read_lattices(path))
    for kind, says in (("word", "has word 999, but there are"), ("label", "has class 999, but there are")):
        numbers = getattr(first, kind).copy()
        numbers[first.label.argmax()] = 999
        write_lattices(path, [replace(first, **{kind: numbers})])
        with pytest.raises(DataError, match=says):
            rescore(exp, data)


def test_lattices_of_another_graph_are_refused(decoded, data, exp):
    told = facts(exp / "decode_test")
    told["lattices"]["symbols"] = "others"
    (exp / "decode_test" / "decode.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"graph in .* was made anew, .* since test was decoded: decode again"):
        rescore(exp, data)


def test_sentence_costs_are_those_of_the_model(tmp_path):
    lm = estimate_ngram([["a", "b"], ["b", "a", "a"]], 3, ["c"])
    costs = SentenceCosts(lm)
    for words in ([], ["a"], ["b", "a", "a", "b"], ["c", "a"]):
        assert costs([words])[0] == pytest.approx(-lm.sentence_log_prob(words))
    assert costs.knows("c") and not costs.knows("d")
    # No <UNK>: as much as probability zero.
    assert costs([["d"]])[0] > 99 * math.log(10)
