"""The commands for language models."""

import gzip
import random
import re

import pytest

from asrpar.cli import main
from asrpar.lm.arpa import arpa_sizes, read_arpa


def text(seed, sentences, words):
    rng = random.Random(seed)
    chosen = [
        rng.choices(words, [1 / (i + 1) for i in range(len(words))], k=rng.randint(2, 9)) for _ in range(sentences)
    ]
    return "".join(f"{' '.join(said)}\n" for said in chosen)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text(text(1, 300, "abcdefgh"))
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(text(2, 300, "hgfedcbaz").encode()))
    (tmp_path / "held.txt").write_text(text(3, 60, "hgfedcbaz") + text(4, 20, "abcdefgh"))
    return tmp_path


def refused(capfd, *args):
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    assert stopped.value.code in (1, 2)  # 2: options, as click has it
    err = capfd.readouterr().err.splitlines()
    assert "Traceback" not in "".join(err)
    return err[-1]


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_from_texts_to_a_mixture(folder, capfd):
    main(["train-lm", "--text", "a.txt", "--output", "a.arpa.gz"])
    main(["train-lm", "--text", "b.txt.gz", "--output", "b.arpa", "--order", "2", "--min-counts", "1,2"])
    assert len(arpa_sizes("a.arpa.gz")) == 3 and read_arpa("a.arpa.gz").sizes == arpa_sizes("a.arpa.gz")
    main(["mix-lm", "--lm", "a.arpa.gz", "--lm", "b.arpa", "--held-out", "held.txt", "--output", "mixed.arpa"])
    said = capfd.readouterr().err
    first, second = (float(w) for w in re.findall(r"weight (\d\.\d+): [ab]\.arpa", said))
    assert first + second == pytest.approx(1.0, abs=1e-3) and second > first
    mixture = float(re.search(r"perplexity of the mixture on held.txt: ([\d.]+)", said)[1])
    main(["prune-lm", "--lm", "mixed.arpa", "--threshold", "1e-3", "--output", "small.arpa"])
    assert sum(arpa_sizes("small.arpa")) < sum(arpa_sizes("mixed.arpa"))
    main(["perplexity", "--lm", "a.arpa.gz", "--lm", "mixed.arpa", "--lm", "small.arpa", "--text", "held.txt"])
    told = dict(re.findall(r"^(\S+): perplexity ([\d.]+)", capfd.readouterr().out, re.MULTILINE))
    assert float(told["mixed.arpa"]) == pytest.approx(mixture, rel=0.05)
    assert float(told["mixed.arpa"]) <= float(told["small.arpa"])
    # In one step the same but for the digits of the files.
    main(["train-lm", "--text", "a.txt", "--text", "b.txt.gz", "--held-out", "held.txt", "--output", "one.arpa"])
    assert read_arpa("one.arpa").words == list("abcdefghz")
    main(["train-lm", "--text", "a.txt", "--text", "b.txt.gz", "--together", "--output", "pooled.arpa"])
    assert [name for name in left(folder) if name.startswith(".")] == []


def test_vocabulary(folder, capfd):
    (folder / "words.txt").write_text("<eps> 0\na 1\nb 2\n#0 3\n<s> 4\n</s> 5\n")
    main(["train-lm", "--text", "a.txt", "--output", "lm.arpa", "--vocabulary", "words.txt"])
    assert sorted(read_arpa("lm.arpa").words) == ["<UNK>", "a", "b"]
    assert "are outside the vocabulary" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("train-lm --text none.txt --output x.arpa", "none.txt is missing"),
        ("train-lm --text a.txt --text b.txt.gz --output x.arpa", "several texts: give --held-out"),
        ("train-lm --text a.txt --output no/x.arpa", "no, where x.arpa is to be written, is no folder"),
        ("train-lm --text a.txt --output a.txt", "--output would replace a.txt, which is read"),
        ("train-lm --text a.txt --output x.arpa --min-counts 2,1", "--min-counts 2,1 must begin with 1, not fall"),
        ("train-lm --text a.txt --output x.arpa --min-counts 1,x", "numbers with commas between are expected"),
        ("train-lm --text a.txt --output x.arpa --min-counts 1,1.5", "1,1.5: whole numbers with commas"),
        ("train-lm --text a.txt --output x.arpa --min-counts 1,nan", "1,nan: whole numbers with commas"),
        ("train-lm --text a.txt --output x.arpa --memory nan", "'--memory': nan is no finite number"),
        ("train-lm --text a.txt --output x.arpa --prune nan", "'--prune': nan is no finite number"),
        ("train-lm --text a.txt --output x.arpa --prune 2", "'--prune': 2.0 is not in the range 0<=x<1"),
        ("train-lm --text a.txt --output x.arpa --held-out a.txt", "sentences of 6 words or more of a.txt, which the"),
        ("mix-lm --lm a.txt --output x.arpa", "one language model cannot be mixed"),
        ("mix-lm --lm a.txt --lm held.txt --output x.arpa", "give --held-out"),
        ("mix-lm --lm a.txt --lm held.txt --output x.arpa --weights 1", "--weights has 1 values for 2"),
        ("mix-lm --lm a.txt --lm held.txt --output x.arpa --weights 1,1", "and sum to 1"),
        ("mix-lm --lm a.txt --lm held.txt --output x.arpa --weights nan,1", "and sum to 1"),
        ("prune-lm --lm a.txt --output x.arpa --threshold 1e-8", "a.txt: no \\data\\ line"),
        ("prune-lm --lm a.txt --output x.arpa --threshold 8", "--threshold 8 is not between 0 and 1"),
    ],
)
def test_mistakes(folder, capfd, args, message):
    before = left(folder)
    assert message in refused(capfd, *args.split())
    assert left(folder) == before
