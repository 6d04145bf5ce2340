import re

import pytest

from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError
from asrpar.lang.config import LangConfig
from asrpar.lang.places import Places
from asrpar.lm.arpa import read_arpa
from asrpar.lm.prepare import prepare_lang


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


def test_text_without_words(make):
    with pytest.raises(DataError, match="no words in the text of train"):
        make(["", " "])
