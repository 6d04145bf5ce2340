"""Languages without spaces between words: units, vocabulary and graph are of characters, from text as it is."""

import os
from pathlib import Path

import kaldifst
import numpy as np
import pytest
from languages import write_manifests

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.graph.config import GraphConfig
from asrpar.graph.make import make_graph
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang
from asrpar.lang.places import Places
from asrpar.lang.unspaced import is_character, join_words, mostly_unspaced, split_characters
from asrpar.lm.arpa import read_arpa
from asrpar.lm.prepare import prepare_lang

TEXTS = ["设定二十九度", "设定三十度", "去A楼", "打开 WIFI"]


def make_lang(folder, manifests, *settings):
    prepare_lang(load_config(LangConfig, None, ["units=characters", *settings]), manifests, folder / "lang", Places())
    return Lang.load(folder / "lang")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("设定二十九度", list("设定二十九度")),
        ("去A楼 OK吗", ["去", "A", "楼", "OK", "吗"]),
        ("カタカナ", list("カタカナ")),
        ("ｶﾞｲﾄﾞ", ["ｶﾞ", "ｲ", "ﾄﾞ"]),
        ("น้ำ", ["น้", "ำ"]),
        ("don't stop", ["don't", "stop"]),
        ("한국어 말", ["한국어", "말"]),
        ("Ａ楼２号", ["Ａ", "楼", "２", "号"]),
        ("\U00020000\u845b\U000e0100", ["\U00020000", "\u845b\U000e0100"]),
        ("", []),
    ],
)
def test_words_of_a_text(text, words):
    assert split_characters(text) == words
    assert "".join(words) == "".join(text.split())


def test_words_are_joined_as_they_are_written():
    for text in ("设定二十九度", "打开 WIFI 吗", "don't stop", ""):
        assert join_words(split_characters(text)) == text


def test_which_text_is_of_such_a_script():
    assert mostly_unspaced(TEXTS) and not mostly_unspaced(["打开 WIFI"]) and not mostly_unspaced([])
    assert is_character("度") and is_character("น้") and not is_character("度度") and not is_character("A")


def test_characters_are_units_and_words(tmp_path):
    (tmp_path / "more.txt").write_text("三楼\n", encoding="utf-8")
    (tmp_path / "words.txt").write_text("开A\n", encoding="utf-8")
    more = (f"lm.text={tmp_path}/more.txt", f"vocabulary.word_list={tmp_path}/words.txt", "lm.order=2")
    manifests = write_manifests(tmp_path / "m", {"train": TEXTS, "dev": ["二楼"]})
    lang = make_lang(tmp_path, manifests, *more)
    assert lang.config.split == "characters"
    assert set(lang.words[1:-3]) == {*"设定二十九度三去A楼打开", "WIFI"}
    # One unit for each character, and a word start for the words of other scripts only.
    assert [lang.tokens[i] for i in lang.encode("去A楼WIFI")] == ["去", "▁", "A", "楼", "▁", "W", "I", "F", "I"]
    assert lang.decode_tokens(lang.encode("去A楼 二")) == ["去", "A", "楼", "二"]
    assert ("三", "楼") in read_arpa(tmp_path / "lang/lm.arpa").grams[1]
    assert "设定三十度" in make_lang(tmp_path, manifests, "split=blanks").words


def test_text_with_blanks_stays_as_it_is(tmp_path):
    lang = make_lang(tmp_path, write_manifests(tmp_path / "m", {"train": ["THE CAT", "ЩУКА"]}))
    assert lang.config.split == "blanks" and "ЩУКА" in lang.words
    with pytest.raises(ConfigError, match="split 'letters' is unknown; known: auto, blanks, characters"):
        make_lang(tmp_path, tmp_path / "m", "split=letters")


def test_a_lexicon_of_words_is_not_split(tmp_path):
    (tmp_path / "lexicon.txt").write_text("今天 j in1 t ian1\n天气 t ian1 q i4\n", encoding="utf-8")
    manifests = write_manifests(tmp_path / "m", {"train": ["今天 天气"]})
    lang = make_lang(tmp_path, manifests, "units=phones", f"unit_settings.phones.lexicon={tmp_path}/lexicon.txt")
    assert lang.config.split == "blanks" and lang.words[1:-3] == ["今天", "天气"]


@pytest.mark.corpora
@pytest.mark.skipif(not os.environ.get("ASRPAR_CORPORA"), reason="ASRPAR_CORPORA is not set")
def test_aishell(tmp_path):
    from kaldi_decoder import DecodableCtc, FasterDecoder, FasterDecoderOptions

    lines = (Path(os.environ["ASRPAR_CORPORA"]) / "aishell_sample" / "transcript.txt").read_text().splitlines()
    texts = [line.split(maxsplit=1)[1] for line in lines][::40]
    lang = make_lang(tmp_path, write_manifests(tmp_path / "m", {"train": texts}))
    make_graph(GraphConfig(topology="ctc_modified"), tmp_path / "lang", tmp_path / "graph")
    fst = kaldifst.StdVectorFst.read(str(tmp_path / "graph/HLG.fst"))
    for text in texts[:20]:
        frames = [x for i in lang.encode(text) for x in (0, i)]
        log_probs = np.full((len(frames), lang.num_tokens), -30.0, dtype=np.float32)
        log_probs[np.arange(len(frames)), frames] = 0.0
        decoder = FasterDecoder(fst, FasterDecoderOptions(max_active=7000, beam=20.0))
        decoder.decode(DecodableCtc(log_probs))
        _, _, words, _ = kaldifst.get_linear_symbol_sequence(decoder.get_best_path()[1])
        assert [lang.words[w] for w in words] == split_characters(text)
