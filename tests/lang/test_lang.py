import math

import pytest

from asrpar.config import load_config
from asrpar.errors import DataError
from asrpar.graph.config import GraphConfig
from asrpar.graph.make import make_graph
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang


def test_damaged_folder(make, tmp_path):
    lang = make(["THE CAT"])
    assert math.isclose(lang.lexicon.entries[0].prob, 1.0)
    (tmp_path / "lang/words.txt").write_text("<eps> 0\nA 2\n")
    with pytest.raises(DataError, match=r"words.txt:2: expected 'SYMBOL 1', found 'A 2'"):
        Lang.load(tmp_path / "lang")


@pytest.mark.parametrize("name", ["lexicon.txt", "targets_lexicon.txt", "words.txt", "tokens.txt"])
def test_a_folder_that_was_cut_short_is_not_used(make, tmp_path, name):
    make(["THE CAT X ZEBRA"])  # which leaves words for targets_lexicon.txt
    path = tmp_path / "lang" / name
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]) or "A 1 AH AH\n")
    with pytest.raises(DataError, match=rf"{name} is not as it was made: cut short, or changed. Run stage 3"):
        make_graph(GraphConfig(), tmp_path / "lang", tmp_path / "graph")
    assert not (tmp_path / "graph" / "HLG.fst").exists()
    (tmp_path / "lang" / "files.sha256").unlink()  # a folder of an earlier version
    if name != "words.txt":
        Lang.load(tmp_path / "lang")
    path.write_text(whole)
    make(["THE CAT X ZEBRA"])  # made again
    make_graph(GraphConfig(), tmp_path / "lang", tmp_path / "graph")


def test_variants_are_all_pronunciations_with_the_first_ones_first(make):
    lang = make(["THE CAT", "THE DOG A"])
    ah, iy = lang.token_id("AH"), lang.token_id("IY")
    first = lang.encode("THE CAT THE")
    expected = [[first[0], x, *first[2:6], y] for x in (ah, iy) for y in (ah, iy)]
    variants = lang.encode_variants("THE CAT THE")
    assert variants[0] == first
    assert sorted(variants) == sorted(expected)
    # Of a great many those that depart least from the first pronunciations.
    few = lang.encode_variants("THE " * 40, limit=5)
    assert few[0] == lang.encode("THE " * 40)
    assert [ids.count(iy) for ids in few] == [0, 1, 1, 1, 1]
    assert lang.encode_variants("THE BIRD") == []


def test_targets_outside_the_vocabulary(make):
    # All units of A are in use, so a dev transcript with it has targets; DOG has a unit of its own.
    lang = make(["THE CAT X ZEBRA"])
    assert lang.encode_variants("A") and lang.encode("A") == [lang.token_id("AH")]
    assert "A" not in lang.words
    assert not lang.encode_variants("DOG")


def test_a_folder_of_before_says_what_to_do(make, tmp_path):
    make(["THE CAT"])
    path = tmp_path / "lang/lang.yaml"
    path.write_text("units: phones\nlexicon:\n  path: lexicon.txt\n  format: auto\n")
    with pytest.raises(DataError, match=r"'lexicon.path' is now 'unit_settings.phones.lexicon': run stage 3"):
        Lang.load(tmp_path / "lang")


def test_lang_yaml_has_all_settings_of_the_units(make, tmp_path):
    config = make(["THE CAT"], phones__case="upper").config
    assert config.unit_settings["phones"] == {
        "lexicon": "lexicon.txt", "format": "auto", "case": "upper", "strip_stress": False, "position_dependent": False
    }  # fmt: skip
    assert load_config(LangConfig, tmp_path / "lang/lang.yaml") == config
