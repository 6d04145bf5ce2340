import math
import re

import pytest
from click.testing import CliRunner
from languages import write_manifests

from asrpar.commands.make_graph import command as make_graph_command
from asrpar.commands.prepare_lang import command as prepare_lang_command
from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.graph.config import GraphConfig
from asrpar.graph.make import make_graph
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang
from asrpar.lang.places import Places
from asrpar.lang.symbols import read_symbols
from asrpar.lang.units import UNITS
from asrpar.lm.arpa import read_arpa
from asrpar.lm.prepare import prepare_lang

LEXICON = "A AH\nCAT K AE T\nDOG D AO G\nTHE DH AH\nTHE DH IY\nX EH K S\nZEBRA Z IY B R AH\n"


@pytest.fixture
def make(tmp_path):
    """make(texts, **settings) -> Lang; settings as 'section__key', those of units as 'phones__key'."""

    def run(texts, dev=(), **settings):
        (tmp_path / "lexicon.txt").write_text(LEXICON)
        manifests = write_manifests(tmp_path / "manifests", {"train": texts, "dev": dev})
        given = {"phones__lexicon": "lexicon.txt", **settings}
        dots = [f"{'unit_settings.' * (k.split('__')[0] in UNITS)}{k.replace('__', '.')}={v}" for k, v in given.items()]
        config = load_config(LangConfig, None, dots)
        prepare_lang(config, manifests, tmp_path / "lang", Places(str(tmp_path)))
        return Lang.load(tmp_path / "lang")

    return run


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


@pytest.mark.parametrize(
    ("dev", "message"),
    [
        (["THE DOG", "THE ZEBRA", ""], r"perplexity of the LM on dev: \d\.\d \(1 of 2 sentences"),
        (["ZEBRA"], "each sentence of dev has words that the LM does not know"),
        ([], None),
    ],
)
def test_the_perplexity_of_dev_is_logged(make, caplog, dev, message):
    caplog.set_level("INFO", "asrpar")
    make(["THE CAT", "THE DOG A"], dev=dev)
    said = [r.getMessage() for r in caplog.records if " dev" in r.getMessage()]
    assert len(said) == (message is not None) and all(re.match(message, line) for line in said)


def test_a_damaged_dev_set_does_not_matter_here(make, tmp_path, caplog):
    caplog.set_level("INFO", "asrpar")
    make(["THE CAT"], dev=["THE"])
    (tmp_path / "manifests/supervisions_dev.jsonl.gz").write_text("[1]\n")
    config = load_config(LangConfig, None, ["unit_settings.phones.lexicon=lexicon.txt"])
    prepare_lang(config, tmp_path / "manifests", tmp_path / "lang", Places(str(tmp_path)))
    assert "no perplexity of dev" in caplog.text


def test_targets_outside_the_vocabulary(make):
    # All units of A are in use, so a dev transcript with it has targets; DOG has a unit of its own.
    lang = make(["THE CAT X ZEBRA"])
    assert lang.encodable("A") and lang.encode("A") == [lang.token_id("AH")]
    assert "A" not in lang.words
    assert not lang.encodable("DOG")


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


def test_oov_error(make):
    with pytest.raises(
        DataError, match=r"2 words have no pronunciation: BIRD CATX; extend the lexicon, or set oov.policy"
    ):
        make(["THE BIRD", "CATX THE"])


def test_words_that_the_lexicon_has_in_another_case(make, tmp_path):
    with pytest.raises(
        DataError, match=r"has 2 of them in another case \(unit_settings.phones.case brings it to one\)"
    ):
        make(["the Cat"])
    make(["the cat"], phones__case="lower")
    with pytest.raises(DataError, match=r"the lexicon has 1 of them with other invisible characters, such as U\+200B"):
        make(["THE\u200b CAT"])


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


def test_oov_unk(make, tmp_path):
    lang = make(["THE BIRD", "THE CAT"], oov__policy="unk")
    assert lang.encode("BIRD") == [lang.token_id("SPN")]
    assert lang.word_id("BIRD") == lang.word_id("<UNK>")
    lm = read_arpa(tmp_path / "lang/lm.arpa")
    assert ("THE", "<UNK>") in lm.grams[1]


def test_oov_skip(make, tmp_path):
    lang = make(["THE BIRD", "THE CAT"], oov__policy="skip")
    assert not lang.encodable("THE BIRD") and lang.encodable("THE CAT")
    assert sorted(read_arpa(tmp_path / "lang/lm.arpa").words) == ["CAT", "THE"]


def test_oov_spell(make):
    lang = make(["THE AX", "THE CAT"], oov__policy="spell")
    assert [lang.tokens[i] for i in lang.encode("AX")] == ["AH", "EH", "K", "S"]
    assert "AX" in lang.words
    assert lang.encodable("XAX") and not lang.encodable("BIRD")
    with pytest.raises(DataError, match="lacks letters of BIRD"):
        make(["THE BIRD"], oov__policy="spell")


def test_characters(make):
    lang = make(["THE CAT", "A ACT"], units="characters")
    assert lang.tokens == ["<blk>", "A", "C", "E", "H", "T", "▁"]
    ids = lang.encode("ACT THE")
    assert [lang.tokens[i] for i in ids] == list("▁ACT▁THE")
    assert lang.decode_tokens(ids) == ["ACT", "THE"]
    assert lang.encode("TEACH")  # any word of these letters
    assert not lang.encodable("DOG")


def test_characters_of_reserved_units(make):
    with pytest.raises(DataError, match="'#' is a reserved unit"):
        make(["THE #"], units="characters")


def test_characters_with_unk(make):
    lang = make(["THE CAT"], units="characters", oov__policy="unk")
    assert lang.encode("DOG") == [lang.token_id("SPN")]
    assert "<UNK>" in lang.words and lang.words[lang.word_id("DOG")] == "<UNK>"


def test_text_without_words(make):
    with pytest.raises(DataError, match="no words in the text of train"):
        make(["", " "])


def test_cases_that_do_not_agree(make):
    with pytest.raises(DataError, match="no word of the vocabulary has a pronunciation: do the cases"):
        make(["the cat"], oov__policy="skip")


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_sentencepiece(make, tmp_path, kind):
    texts = ["THE CAT SAT ON THE MAT", "THE DOG SAT", "A CAT AND A DOG AND A MAT"] * 5
    settings = {"units": "sentencepiece", "sentencepiece__vocab_size": 16, "sentencepiece__type": kind}
    lang = make(texts, **settings)
    assert lang.tokens[0] == "<blk>" and "<unk>" not in lang.tokens and lang.num_tokens == 16
    ids = lang.encode("THE DOG SAT ON A CAT")
    assert 0 not in ids and lang.decode_tokens(ids) == ["THE", "DOG", "SAT", "ON", "A", "CAT"]
    assert [t for w in ("THE", "DOG") for t in lang.lexicon.first(w)] == [
        lang.tokens[i] for i in lang.encode("THE DOG")
    ]
    assert not lang.encodable("QUIZ")
    first = (tmp_path / "lang/sentencepiece.model").read_bytes()
    make(texts, **settings)
    assert (tmp_path / "lang/sentencepiece.model").read_bytes() == first


def test_sentencepiece_too_many_units(make):
    with pytest.raises(ConfigError, match=r"unit_settings.sentencepiece.vocab_size: 500 does not suit the text"):
        make(["THE CAT"], units="sentencepiece", sentencepiece__vocab_size=500)


def test_given_arpa(make, tmp_path):
    (tmp_path / "lm.arpa").write_text(
        "\\data\\\nngram 1=5\n\n\\1-grams:\n-99 <s>\n-1 </s>\n-0.5 the\n-0.6 cat\n-0.7 unheard\n\n\\end\\\n"
    )
    make(["THE CAT"], lm__arpa="lm.arpa", lm__arpa_case="upper")
    assert read_arpa(tmp_path / "lang/lm.arpa").log10_prob([], "CAT") == -0.6
    with pytest.raises(ConfigError, match="no word of the vocabulary"):
        make(["THE CAT"], lm__arpa="lm.arpa")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "\\data\\\nngram 1=1\n\n\\1-grams:\n-1 A\n\n\\end\\\n",
            "more.txt is a language model, not text: give it as lm.arpa",
        ),
        ("A DOG (an1-fash)\nTHE DOG (an2-fash)\n", r"more.txt is a trn with an id in each line, such as \(an1-fash\)"),
        ("84-121-0 THE DOG\n84-121-1 A DOG\n", "more.txt is a Kaldi text with an id in each line, such as 84-121-0"),
        ("BAC009S01 THE DOG\nBAC009S02 A DOG\n", "more.txt is a Kaldi text with an id in each line, such as BAC009S01"),
    ],
)
def test_text_that_is_none(make, tmp_path, text, message):
    (tmp_path / "more.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        make(["THE CAT"], lm__text="more.txt", units="characters")


def test_extra_text(make, tmp_path):
    (tmp_path / "more.txt").write_text("a dog\n\nthe dog\n")
    lang = make(["THE CAT"], lm__text="more.txt", lm__text_case="upper")
    assert "DOG" in lang.words
    assert ("THE", "DOG") in read_arpa(tmp_path / "lang/lm.arpa").grams[1]


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


def test_where_files_are_looked_for(tmp_path, monkeypatch):
    for name in ("corpus", "conf", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    places = Places(str(tmp_path / "corpus"), (str(tmp_path / "conf"),))
    with pytest.raises(MissingInputError, match=r"phones.lexicon: no file .*corpus/l or .*conf/l or l"):
        places.find("l", "unit_settings.phones.lexicon")
    for name in ("here", "conf", "corpus"):
        (tmp_path / name / "l").touch()
        assert places.find("l", "x").resolve() == tmp_path / name / "l"
    assert places.find("{corpus_dir}/l", "x") == tmp_path / "corpus/l"
    assert places.find(str(tmp_path / "here/l"), "x") == tmp_path / "here/l"
    with pytest.raises(ConfigError, match="needs --corpus-dir"):
        Places().find("{corpus_dir}/l", "x")


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
    with pytest.raises(ConfigError, match="topology 'hmm' is unknown; known: ctc, ctc_modified"):
        runner.invoke(make_graph_command, [*graph, "--set", "topology=hmm"], catch_exceptions=False)
    for states in (-5, 0, 2**31):  # for OpenFst, no bound, or no number
        with pytest.raises(ConfigError, match=f"max_states is {states}: it must lie between 1 and"):
            runner.invoke(make_graph_command, [*graph, "--set", f"max_states={states}"], catch_exceptions=False)
    with pytest.raises(MissingInputError, match=r"supervisions_train.jsonl.gz is missing: run stage 1"):
        runner.invoke(prepare_lang_command, [*args, "--manifests", str(tmp_path)], catch_exceptions=False)


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


def test_position_dependent_phones(make):
    lang = make(["THE CAT", "A X"], phones__position_dependent="true")
    assert [lang.tokens[i] for i in lang.encode("A CAT THE")] == ["AH_S", "K_B", "AE_I", "T_E", "DH_B", "AH_E"]
