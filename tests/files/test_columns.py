"""Columns of numbers and strings in one file."""

import zipfile

import numpy as np
import pytest

from asrpar.files.columns import Strings, read_columns, write_columns

TEXTS = ["", "a", "ünïcode 語", "b" * 5000, "a b"] * 2000


def test_strings_are_what_they_were(tmp_path):
    strings, numbers = Strings.of(TEXTS), np.arange(7, dtype=np.int32)
    write_columns(tmp_path / "x.npz", {"texts": strings, "numbers": numbers, "none": Strings.of([])})
    found = read_columns(tmp_path / "x.npz")
    assert list(found) == ["numbers", "texts", "none"] or set(found) == {"numbers", "texts", "none"}
    assert list(found["texts"]) == TEXTS == list(strings) and len(found["none"]) == 0 == len(list(found["none"]))
    assert found["texts"][-1] == "a b" and found["texts"][1:4] == TEXTS[1:4] and found["texts"][5003] == TEXTS[5003]
    with pytest.raises(IndexError):
        found["texts"][len(TEXTS)]
    assert isinstance(found["texts"].data, np.memmap) and found["numbers"].tolist() == list(range(7))
    with np.load(tmp_path / "x.npz") as plain:  # as anybody reads it
        assert bytes(plain["texts"]).decode() == "".join(TEXTS)
    before = (tmp_path / "x.npz").read_bytes()
    write_columns(tmp_path / "x.npz", {"texts": strings, "numbers": numbers, "none": Strings.of([])})
    assert (tmp_path / "x.npz").read_bytes() == before


def test_what_comes_twice_is_found():
    assert Strings.of(["a", "b", "c"]).repeated() is None
    # Of one CRC-32, though they differ.
    assert Strings.of(["plumless", "buckeroo"]).repeated() is None
    assert Strings.of(["plumless", "b", "buckeroo", "plumless"]).repeated() == "plumless"


@pytest.mark.parametrize("at", [0.3, 0.6, 0.99])
def test_damage_is_noticed(tmp_path, at):
    write_columns(tmp_path / "x.npz", {"texts": Strings.of(TEXTS), "numbers": np.arange(9000)})
    data = bytearray((tmp_path / "x.npz").read_bytes())
    (tmp_path / "x.npz").write_bytes(data[: int(at * len(data))])
    with pytest.raises((OSError, ValueError, zipfile.BadZipFile)):
        read_columns(tmp_path / "x.npz")
    data[int(at * 0.9 * len(data))] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises((OSError, ValueError, zipfile.BadZipFile)):
        read_columns(tmp_path / "x.npz")
