"""Language models whose arrays lie on disk: the same, to the last digit, as in memory, whatever the pieces."""

import random

import numpy as np
import pytest
from small_lm import estimate_ngram

from asrpar.errors import DataError
from asrpar.lm import backoff, shelf, sorting
from asrpar.lm.arpa import read_arpa
from asrpar.lm.mix import mix
from asrpar.lm.prune import prune
from asrpar.lm.shelf import MEMORY, Disk
from asrpar.lm.sorting import is_sorted, sort


def model(path, seed, words, order):
    rng = random.Random(seed)
    estimate_ngram([[rng.choice(words) for _ in range(rng.randrange(1, 9))] for _ in range(80)], order).write(path)
    return path


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(shelf, "PIECE", 7)
    monkeypatch.setattr(sorting, "MOST", 11)
    monkeypatch.setattr(backoff, "MANY", 3)


@pytest.fixture
def files(tmp_path):
    return [model(tmp_path / "a.arpa", 1, "abcdef", 3), model(tmp_path / "b.arpa", 2, "fghib", 2)]


def written(lm, path):
    lm.write(path)
    return path.read_text()


def test_mixing_and_pruning(files, tmp_path, monkeypatch, small_pieces):
    on_disk = Disk(tmp_path / "work")
    mixed = mix([read_arpa(path, shelf=on_disk) for path in files], [0.3, 0.7], on_disk)
    small = prune(mixed, 1e-4)
    assert all(isinstance(one, np.memmap) for one in (*small.keys, *small.probs))
    assert 0 < small.sizes[2] < mixed.sizes[2]
    assert list((tmp_path / "work").iterdir()) == []
    told = written(mixed, tmp_path / "m"), written(small, tmp_path / "p")
    monkeypatch.undo()
    expected = mix([read_arpa(path) for path in files], [0.3, 0.7])
    assert told == (written(expected, tmp_path / "m"), written(prune(expected, 1e-4), tmp_path / "p"))
    assert all(np.array_equal(a, b) for a, b in zip(mixed.keys, expected.keys, strict=True))


def shuffled(path, drop=""):
    """The model with its n-grams in another order, without one of them."""
    lines, found = path.read_text().split("\n"), []
    section: list[str] = []
    for line in lines:
        if line.startswith("\\") or not line:
            random.Random(0).shuffle(section)
            found += [*section, line]
            section = []
        elif line.startswith("ngram"):
            found.append(line)
        elif line.split("\t")[1] != drop:
            section.append(line)
    return found


def test_files_in_any_order(files, tmp_path, small_pieces):
    expected = read_arpa(files[0])
    (tmp_path / "mixed.arpa").write_text("\n".join(shuffled(files[0])))
    found = read_arpa(tmp_path / "mixed.arpa", shelf=Disk(tmp_path / "work"))
    for kind in ("keys", "probs", "backoffs"):
        assert all(map(np.array_equal, getattr(found, kind), getattr(expected, kind)))


def test_prefixes_that_are_not_listed(files, tmp_path, small_pieces):
    lost = next(gram for gram in read_arpa(files[0]).grams[2] if gram[0] != "<s>")[:2]
    lines = shuffled(files[0], " ".join(lost))
    count = next(line for line in lines if line.startswith("ngram 2="))
    lines[lines.index(count)] = f"ngram 2={int(count[8:]) - 1}"
    (tmp_path / "lost.arpa").write_text("\n".join(lines))
    found, expected = (read_arpa(tmp_path / "lost.arpa", shelf=x) for x in (Disk(tmp_path / "work"), MEMORY))
    assert lost in found.grams[1] and found.grams == expected.grams


def test_what_is_there_twice_is_told_with_its_line(files, tmp_path, small_pieces):
    lines = shuffled(files[0])
    at = lines.index("\\2-grams:") + 4
    lines.insert(at + 30, lines[at])
    count = next(line for line in lines if line.startswith("ngram 2="))
    lines[lines.index(count)] = f"ngram 2={int(count[8:]) + 1}"
    (tmp_path / "twice.arpa").write_text("\n".join(lines))
    gram = lines[at].split("\t")[1]
    for one in (Disk(tmp_path / "work"), MEMORY):
        with pytest.raises(DataError, match=rf"twice\.arpa:{at + 31}: '{gram}' is listed twice"):
            read_arpa(tmp_path / "twice.arpa", shelf=one)


@pytest.mark.parametrize("most", [1, 5, 1000])
def test_sorting(tmp_path, most):
    rng = np.random.default_rng(0)
    keys, values = rng.permutation(200).astype(np.uint64) * np.uint64(1 << 55), rng.random(200)
    for one in (MEMORY, Disk(tmp_path)):
        by_key, (own,), twice = sort(one, keys, (values,), most)
        assert is_sorted(one, by_key) and twice is None
        assert np.array_equal(own, values[np.argsort(keys)])
        keys_twice = np.concatenate((keys, keys[50:52]))
        same = sort(one, keys_twice, (np.arange(202.0),), most)[2]
        assert same in ((50, 200), (51, 201))
    assert not len(sort(MEMORY, keys[:0], (values[:0],))[0])
