import gzip
import math

import pytest

from asrpar.errors import DataError, MissingInputError
from asrpar.lm.arpa import read_arpa

GOOD = """Any text may stand here.

\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-0.5\t<s>\t-0.25
-1.0\t</s>
-0.7 alpha -0.125
-0.9 Beta

\\2-grams:
-0.2 <s> alpha
-0.3 alpha Beta
-0.1 Beta </s>

\\end\\
"""


def read(tmp_path, text, case="keep"):
    path = tmp_path / "x.arpa"
    path.write_text(text, encoding="utf-8")
    return read_arpa(path, case)


def test_scores(tmp_path):
    lm = read(tmp_path, GOOD)
    assert lm.order == 2
    assert sorted(lm.words) == ["Beta", "alpha"]
    assert lm.log10_prob(["<s>"], "alpha") == -0.2
    assert lm.log10_prob(["x", "alpha"], "</s>") == -0.125 - 1.0
    assert lm.log10_prob(["Beta"], "alpha") == -0.7  # no back-off weight listed: 0
    assert lm.sentence_log_prob(["alpha", "Beta"]) == pytest.approx((-0.2 - 0.3 - 0.1) * math.log(10))
    assert lm.perplexity([["alpha", "Beta"], ["alpha"]]) == pytest.approx(10 ** ((0.6 + 0.2 + 0.125 + 1.0) / 5))


def test_case_mapping_and_gzip(tmp_path):
    path = tmp_path / "x.arpa.gz"
    path.write_bytes(gzip.compress(GOOD.encode()))
    assert sorted(read_arpa(path, "upper").words) == ["ALPHA", "BETA"]
    assert ("<s>", "alpha") in read_arpa(path, "lower").grams[1]


def test_unknown_word(tmp_path):
    lm = read(tmp_path, GOOD.replace("Beta", "<unk>"))
    assert lm.sentence_log_prob(["alpha", "xyz"]) == pytest.approx(-0.6 * math.log(10))
    with pytest.raises(DataError, match="does not know the word 'xyz'"):
        read(tmp_path, GOOD).sentence_log_prob(["xyz"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "data", r"no \\data\\ line"),
        ("\\end\\", "", r"no \\end\\ line: the file is cut off"),
        ("ngram 2=3", "ngram 2=4", r"x.arpa:18: 3 2-grams, but \\data\\ says 4"),
        ("ngram 2=3", "ngram 3=3", r":5: expected 'ngram 2=COUNT', found 'ngram 3=3'"),
        ("ngram 1=4", "ngram 1=four", r":4: expected 'ngram 1=COUNT'"),
        ("-0.2 <s> alpha", "-0.2 <s>", r":14: a 2-gram has 3 or 4 fields, found 2"),
        ("-0.2 <s> alpha", "abc <s> alpha", r":14: not a number"),
        ("-0.2 <s> alpha", "nan <s> alpha", r":14: not a finite number"),
        ("-0.2 <s> alpha", "0.2 <s> alpha", r":14: log10 probability 0.2 is above 0"),
        ("-0.2 <s> alpha", "-0.2 <s> gamma", r":14: 'gamma' is not among the 1-grams"),
        ("-0.2 <s> alpha", "-0.1 Beta </s>", r":16: 'Beta </s>' is listed twice"),
        ("\\2-grams:", "\\3-grams:", r":13: unexpected heading"),
        ("ngram 2=3", "ngram 2=3\nngram 3=1", r"\\end\\ after 2-grams, but \\data\\ lists 3 orders"),
    ],
)
def test_damaged_files(tmp_path, old, new, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize("end", ["-1 x", "-99 </s>"])
def test_sentences_have_to_end(tmp_path, end):
    with pytest.raises(DataError, match="</s> has no probability, so that no sentence can end"):
        read(tmp_path, f"\\data\\\nngram 1=2\n\\1-grams:\n-0.5 a\n{end}\n\\end\\\n")


def test_case_mapping_collision(tmp_path):
    with pytest.raises(DataError, match="'BETA' is listed twice \\(after case mapping\\)"):
        read(tmp_path, GOOD.replace("alpha", "BETA"), "upper")


def test_unreadable(tmp_path):
    with pytest.raises(MissingInputError, match="is missing"):
        read_arpa(tmp_path / "none")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(GOOD.encode())[:-20])
    with pytest.raises(DataError, match="damaged gzip"):
        read_arpa(tmp_path / "cut.gz")
    (tmp_path / "latin").write_bytes(b"\\data\\\n\xe9\xe8\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_arpa(tmp_path / "latin")
