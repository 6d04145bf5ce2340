import re
import shutil

import pytest
import yaml

from asrpar.errors import DataError, MissingInputError
from asrpar.graph.config import GraphConfig
from asrpar.graph.folder import graph_file, graph_name, write_info
from asrpar.graph.make import make_graph


def test_graph_yaml_says_what_the_graph_is(small):
    assert yaml.safe_load((small[1] / "graph.yaml").read_text()) == {
        "graph": "HLG",
        "settings": {
            "topology": "ctc",
            "topologies": {},
            "max_states": 20_000_000,
            "max_ngrams": 10_000_000,
            "self_loop_scale": None,
        },
    }
    assert graph_file(small[1], "fst") == small[1] / "HLG.fst"
    assert graph_file(small[1], "pt") == small[1] / "HLG.pt"


def test_files_are_called_as_graph_yaml_says(tmp_path):
    write_info(tmp_path, "HCLG", GraphConfig())
    with pytest.raises(MissingInputError, match=r"HCLG\.fst is missing: run asrpar make-graph \(stage 5\)"):
        graph_file(tmp_path, "fst")
    (tmp_path / "HCLG.fst").touch()
    assert graph_file(tmp_path, "fst") == tmp_path / "HCLG.fst"


@pytest.mark.parametrize("text", [None, "topology: ctc\nmax_states: 10\n"])
def test_folders_of_others_and_of_before_hold_hlg(tmp_path, text):
    if text is not None:
        (tmp_path / "graph.yaml").write_text(text)
    assert graph_name(tmp_path) == "HLG"


@pytest.mark.parametrize("text", ["", "graph: [", "graph: ../HLG", "graph: 3", "- HLG", "graph: null"])
def test_a_graph_yaml_that_does_not_say_it(tmp_path, text):
    (tmp_path / "graph.yaml").write_text(text)
    with pytest.raises(DataError, match=r"graph\.yaml does not say what the graph is \(graph: HLG\): run asrpar make"):
        graph_name(tmp_path)


def test_the_word_for_others_is_no_word_that_was_lost(small, tmp_path, caplog):
    shutil.copytree(small[0], tmp_path / "lang")
    lm = tmp_path / "lang/lm.arpa"
    text = re.sub(r"ngram 1=(\d+)", lambda m: f"ngram 1={int(m[1]) + 1}", lm.read_text())
    for word, dropped in (("<unk>", []), ("ZEBRA", ["1 n-grams of"])):
        lm.write_text(text.replace("\\1-grams:\n", f"\\1-grams:\n-3.0\t{word}\n"))
        make_graph(GraphConfig(), tmp_path / "lang", tmp_path / "graph")
        told = [record.getMessage() for record in caplog.records if "outside the vocabulary" in record.getMessage()]
        assert [line[: len("1 n-grams of")] for line in told] == dropped, word
