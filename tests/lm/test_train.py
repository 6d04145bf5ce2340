"""Models of text in files against those of dictionaries, word by word, and against KenLM's."""

import gzip
import random
from pathlib import Path

import pytest
from small_lm import estimate_ngram

from asrpar.errors import ConfigError, DataError
from asrpar.lm import counting
from asrpar.lm.arpa import read_arpa
from asrpar.lm.text_ids import EOS_ID, IdFile, WordIds
from asrpar.lm.train import Training, train_lm


def zipf(words, sentences, seed=0, longest=9):
    rng = random.Random(seed)
    names = [f"w{i}" for i in range(words)]
    weights = [1 / (i + 1) for i in range(words)]
    return [rng.choices(names, weights, k=rng.randint(0, longest)) for _ in range(sentences)]


def train(tmp_path, sentences, name="lm.arpa", **how):
    ids = WordIds()
    text = IdFile(tmp_path / "text.ids").write([ids.sentences(sentences)])
    found = train_lm(text, ids, Training(**how), tmp_path / name, tmp_path / "work")
    assert not (tmp_path / "work").exists()
    return found


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("memory", [1.0, 1e-6])
def test_the_file_is_that_of_dictionaries(tmp_path, order, memory, monkeypatch):
    sentences = zipf(60, 400 if memory == 1 else 120)
    estimate_ngram(sentences, order, ["unheard"]).write(tmp_path / "small.arpa")
    if memory < 1:
        # Many buckets, and words that fill more than one read.
        monkeypatch.setattr(counting, "LEAST", 60)
    vocabulary = {w for words in sentences for w in words} | {"unheard"}
    train(tmp_path, sentences, order=order, memory=memory, vocabulary=vocabulary)
    assert (tmp_path / "lm.arpa").read_bytes() == (tmp_path / "small.arpa").read_bytes()


# Of what KenLM's lmplz (0.3.0) makes of zipf(3000, 3000, seed=3), with -o 3, and with -o 3 --prune 0 1 2, some n-grams.
KENLM = Path(__file__).parent / "kenlm.txt"


@pytest.mark.parametrize("min_counts", [[], [1, 2, 3]])
def test_the_numbers_are_kenlms(tmp_path, min_counts):
    sentences = zipf(3000, 3000, seed=3)
    vocabulary = {w for words in sentences for w in words} | {"<UNK>"}
    found = train(tmp_path, sentences, order=3, min_counts=min_counts, vocabulary=vocabulary, unknown="<UNK>")
    lm = read_arpa(tmp_path / "lm.arpa")
    for line in KENLM.read_text().splitlines():
        which, *fields = line.split("\t")
        if which == f"sizes {min_counts}":
            assert found.sizes == lm.sizes == [int(x) for x in fields]
        elif which == str(min_counts):
            prob, gram, backoff = fields
            gram = tuple(gram.split())
            assert lm.grams[len(gram) - 1][gram] == pytest.approx((float(prob), float(backoff)), abs=2e-6)


def test_rare_n_grams_leave_their_mass_to_the_shorter_ones(tmp_path):
    train(tmp_path, zipf(8, 300), order=3, min_counts=[1, 2, 4])
    lm = read_arpa(tmp_path / "lm.arpa")
    words = [*lm.words, "</s>"]
    for history in [(), ("<s>",), ("w0",), ("w7", "w6"), ("<s>", "w5"), ("w0", "w1")]:
        assert sum(10 ** lm.log10_prob(history, w) for w in words) == pytest.approx(1.0, abs=1e-5), history


def test_words_outside_the_vocabulary(tmp_path):
    sentences = [["a", "b"], ["a", "x"], ["y", "x", "a"], ["b"]]
    found = train(tmp_path, sentences, order=2, vocabulary={"a", "b", "<UNK>"}, unknown="<UNK>")
    assert (found.unknown, found.unknown_kinds, found.left_out) == (3, 2, 0)
    assert ("a", "<UNK>") in read_arpa(tmp_path / "lm.arpa").grams[1]
    found = train(tmp_path, sentences, order=2, vocabulary={"a", "b"})
    assert (found.sentences, found.left_out) == (4, 2)
    assert sorted(read_arpa(tmp_path / "lm.arpa").words) == ["a", "b"]
    with pytest.raises(ConfigError, match="the vocabulary of the language model lacks <UNK>"):
        train(tmp_path, sentences, vocabulary={"a"}, unknown="<UNK>")
    with pytest.raises(DataError, match="no training text"):
        train(tmp_path, sentences, vocabulary={"c"})


@pytest.mark.parametrize("order", [2, 5])
@pytest.mark.parametrize("memory", [1.0, 1e-6])
def test_keys_of_bytes_are_those_of_numbers(tmp_path, order, memory, monkeypatch):
    if memory < 1:
        monkeypatch.setattr(counting, "LEAST", 60)
    made = []
    for name in ("numbers.arpa", "bytes.arpa"):
        train(tmp_path, zipf(300, 150), name, order=order, memory=memory, min_counts=[1, 1, 2])
        made.append((tmp_path / name).read_bytes())
        monkeypatch.setattr(counting, "fits", lambda words, order: False)
    assert made[0] == made[1]


def test_long_n_grams_of_many_words(tmp_path):
    # No number of 64 bits has room for four of these words and the fifth.
    sentences = [[f"w{i + j}" for j in range(4)] for i in range(0, 34_000, 2)]
    found = train(tmp_path, sentences, order=5)
    assert found.sizes == [34_004, 3 * 17_000 + 17_001, 4 * 17_000, 3 * 17_000, 2 * 17_000]


def test_text_files(tmp_path):
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress("a b\r\n\n  \nthe\u00a0cat e\u0301\nB".encode()))
    ids = WordIds()
    for piece in (3, 1 << 20):
        blocks = list(ids.file(path, "lower", piece=piece))
        words = {i: w for w, i in ids.items()}
        text = " ".join("/" if i == EOS_ID else words[i] for block in blocks for i in block.tolist())
        assert text == "a b / the cat \u00e9 / b /"
    path.write_text("a </s> b\n")
    with pytest.raises(DataError, match="</s> inside a sentence"):
        list(ids.file(path))


def test_a_gzipped_model_and_its_bytes(tmp_path):
    sentences = zipf(20, 50)
    train(tmp_path, sentences, "lm.arpa.gz")
    first = (tmp_path / "lm.arpa.gz").read_bytes()
    train(tmp_path, sentences, "lm.arpa.gz")
    assert (tmp_path / "lm.arpa.gz").read_bytes() == first
    train(tmp_path, sentences)
    assert gzip.decompress(first) == (tmp_path / "lm.arpa").read_bytes()
