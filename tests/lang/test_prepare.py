import re

import pytest
from click.testing import CliRunner
from languages import LEXICON, write_manifests

from asrpar.commands.make_graph import command as make_graph_command
from asrpar.commands.prepare_lang import command as prepare_lang_command
from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.lang.config import LangConfig
from asrpar.lang.symbols import read_symbols
from asrpar.lm.arpa import read_arpa


def test_phones(make, tmp_path):
    lang = make(["THE CAT", "THE DOG A"], dev=["ZEBRA CAT"])
    assert lang.tokens == ["<blk>", "AE", "AH", "AO", "D", "DH", "G", "IY", "K", "T"]
    assert lang.num_tokens == 10
    assert lang.words == ["<eps>", "A", "CAT", "DOG", "THE", "#0", "<s>", "</s>"]
    assert lang.encode("THE CAT") == [5, 2, 8, 1, 9]
    assert lang.word_id("THE") == 4
    # THE begins with nothing else's units: no disambiguation but #0.
    assert read_symbols(tmp_path / "lang/tokens.txt")[10:] == ["#0"]
    # The dev set's words are not in the LM: its words are those of train.
    assert sorted(read_arpa(tmp_path / "lang/lm.arpa").words) == ["A", "CAT", "DOG", "THE"]
    assert load_config(LangConfig, tmp_path / "lang/lang.yaml") == lang.config
    with pytest.raises(DataError, match="'BIRD' has no pronunciation"):
        lang.encode("THE BIRD")
    with pytest.raises(DataError, match="'BIRD' is not in the vocabulary"):
        lang.word_id("BIRD")
    with pytest.raises(ConfigError, match="phones do not spell words"):
        lang.decode_tokens([1])


def test_vocabulary_sources(make, tmp_path):
    assert "ZEBRA" in make(["THE CAT"], vocabulary__from_lexicon="true").words
    (tmp_path / "list").write_text("DOG\nA\n")
    lang = make(["THE CAT", "A DOG"], vocabulary__from_text="false", vocabulary__word_list="list")
    assert lang.words[1:-3] == ["A", "DOG"]
    assert read_arpa(tmp_path / "lang/lm.arpa").grams[1].keys() == {("<s>", "A"), ("A", "DOG"), ("DOG", "</s>")}


def test_a_lexicon_that_may_be_cut_short_or_of_another_format(make, tmp_path, caplog):
    (tmp_path / "other").write_text("THE DH AH\nTHE(2) DH IY\nCAT K AE T")
    make(["THE CAT"], phones__lexicon="other", phones__format="lexicon")
    assert "other does not end with a newline: it may have been cut short" in caplog.text
    assert "THE(2) look like second pronunciations" in caplog.text
    caplog.clear()
    make(["THE CAT"])
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


def test_case_is_not_that_of_turkish(make, tmp_path, caplog):
    (tmp_path / "tr").write_text("IŞIK a\nİZ b\n", encoding="utf-8")
    make(["IŞIK İZ"], phones__lexicon="tr")
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
    with pytest.raises(DataError, match="no pronunciation"):
        make(["ışık iz"], phones__lexicon="tr", phones__case="lower")
    assert "unit_settings.phones.case maps I to i" in caplog.text


@pytest.mark.parametrize("text", [5, ["A"], "A\0", "A\ud800"])
def test_transcripts_that_are_no_text(make, text):
    with pytest.raises(
        DataError, match=r"supervisions_train.jsonl.gz:1: the text (is (int|list), not str|has the char)"
    ):
        make([text, "A"])


@pytest.mark.parametrize("path", ["|touch run", "-", "a: b", "x # y", "[x]", "{x}"])
def test_names_of_files_in_settings_are_only_names(make, path):
    with pytest.raises(MissingInputError, match=rf"phones.lexicon: no file .*/{re.escape(path)} or {re.escape(path)}"):
        make(["A"], phones__lexicon=path)


def test_cases_that_do_not_agree(make):
    with pytest.raises(DataError, match="no word of the vocabulary has a pronunciation: do the cases"):
        make(["the cat"], oov__policy="skip")


def test_optional_silence(make, tmp_path):
    lang = make(["THE CAT", "A"], optional_silence__symbol="SIL", optional_silence__probability=0.4)
    assert "SIL" in lang.tokens and lang.token_id("SIL") not in lang.encode("THE CAT A")
    assert read_symbols(tmp_path / "lang/tokens.txt")[-2:] == ["#0", "#1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": "syllables"}, "units 'syllables' is unknown; known: characters, phones, sentencepiece"),
        ({"oov__policy": "ignore"}, "oov.policy 'ignore' is unknown"),
        ({"lm__order": 6}, "lm.order is 6: it must lie between 1 and 5"),
        ({"lm__splits": "[train,dev]"}, "lm.splits: 'dev' is not training text"),
        ({"optional_silence__probability": 1.0}, r"must lie in \(0, 1\)"),
        ({"vocabulary__from_text": "false"}, "switch it or from_lexicon on"),
        ({"units": "characters", "oov__policy": "spell"}, "'spell' is for phones"),
        ({"units": "characters", "vocabulary__from_lexicon": "true"}, "units 'characters' have no lexicon"),
        ({"optional_silence__symbol": "'#1'"}, "symbol is #1: it cannot be the name of a unit"),
        ({"units": "sentencepiece", "sentencepiece__vocab_size": 2}, "vocab_size is 2: it must lie between 3 and"),
        (
            {"units": "sentencepiece", "sentencepiece__vocab_size": 2**31},
            "vocab_size is 2147483648: it must lie",
        ),
        ({"phones__lexicon": "null"}, "unit_settings.phones.lexicon is not set"),
        ({"phones__lexicon": "'{corpus}/x'"}, "no file"),
    ],
)
def test_bad_settings(make, settings, message):
    with pytest.raises((ConfigError, MissingInputError), match=message):
        make(["THE CAT"], **settings)


def test_commands(tmp_path):
    (tmp_path / "lexicon.txt").write_text(LEXICON)
    (tmp_path / "lang.yaml").write_text("unit_settings: {phones: {lexicon: lexicon.txt}}\nlm: {order: 2}\n")
    manifests = str(write_manifests(tmp_path / "m", {"train": ["THE CAT", "A DOG"]}))
    runner = CliRunner()
    args = ["--config", str(tmp_path / "lang.yaml"), "--manifests", manifests, "--output", str(tmp_path / "lang")]
    for _ in range(2):  # may be run again
        assert runner.invoke(prepare_lang_command, args, catch_exceptions=False).exit_code == 0
        graph = ["--lang", str(tmp_path / "lang"), "--output", str(tmp_path / "graph")]
        assert runner.invoke(make_graph_command, graph, catch_exceptions=False).exit_code == 0
    assert sorted(p.name for p in (tmp_path / "graph").glob("[!.]*")) == [
        "HLG.fst", "HLG.pt", "files.sha256", "graph.yaml", "tokens.txt", "words.txt"
    ]  # fmt: skip
    with pytest.raises(MissingInputError, match="run stage 3"):
        runner.invoke(make_graph_command, ["--lang", "nowhere", "--output", "x"], catch_exceptions=False)
    with pytest.raises(ConfigError, match=r"topology 'hmm' is unknown; known: .*ctc, ctc_modified"):
        runner.invoke(make_graph_command, [*graph, "--set", "topology=hmm"], catch_exceptions=False)
    for states in (-5, 0, 2**31):  # for OpenFst, no bound, or no number
        with pytest.raises(ConfigError, match=f"max_states is {states}: it must lie between 1 and"):
            runner.invoke(make_graph_command, [*graph, "--set", f"max_states={states}"], catch_exceptions=False)
    with pytest.raises(MissingInputError, match=r"supervisions_train.jsonl.gz is missing: run stage 1"):
        runner.invoke(prepare_lang_command, [*args, "--manifests", str(tmp_path)], catch_exceptions=False)
