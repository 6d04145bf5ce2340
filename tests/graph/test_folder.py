import pytest
import yaml

from asrpar.errors import DataError, MissingInputError
from asrpar.graph.config import GraphConfig
from asrpar.graph.folder import graph_file, graph_name, write_info


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
