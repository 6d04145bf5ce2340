import gzip
import struct

import numpy as np
import pytest

from asrpar.corpus.kaldi.ark import write_alignments
from asrpar.corpus.kaldi.labels import label_files, read_labels, write_labels
from asrpar.errors import DataError, MissingInputError


def binary(**labels):
    """As Kaldi's Int32VectorWriter has them."""
    found = b""
    for key, values in labels.items():
        found += key.encode() + b" \0B\4" + struct.pack("<i", len(values))
        found += b"".join(b"\4" + struct.pack("<i", v) for v in values)
    return found


def read(path):
    return {key: labels.tolist() for key, labels in read_labels(path)}


def test_jobs_are_read_in_the_order_of_their_numbers(tmp_path):
    for job in (1, 2, 10):
        (tmp_path / f"ali.{job}.gz").write_bytes(gzip.compress(binary(**{f"u{job}": [job, 7], f"v{job}": [8]})))
    for job in range(3, 10):
        (tmp_path / f"ali.{job}.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "ali.1.log").write_text("no labels")
    assert list(read(tmp_path).items()) == [(f"{x}{n}", [n, 7] if x == "u" else [8]) for n in (1, 2, 10) for x in "uv"]
    (tmp_path / "ali.2.gz").unlink()
    with pytest.raises(MissingInputError, match=r"has no ali\.2\.gz"):
        label_files(tmp_path)


@pytest.mark.parametrize("packed", [True, False])
def test_text_and_binary_files(tmp_path, packed):
    for name, content in (("a", binary(u=[1, 2], v=[3])), ("b", b"u 1 2 \nv 3\n")):
        (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
        assert read(tmp_path / name) == {"u": [1, 2], "v": [3]}


def test_scp_files_and_what_is_written_here(tmp_path):
    labels = {"u": np.array([4, 5], np.int32), "v": np.array([6], np.int32)}
    assert read(write_alignments(tmp_path / "x.ark", labels.items())) == {"u": [4, 5], "v": [6]}
    write_labels(tmp_path / "ali.1.gz", labels.items())
    assert read(tmp_path) == {"u": [4, 5], "v": [6]}
    assert gzip.decompress((tmp_path / "ali.1.gz").read_bytes()) == binary(u=[4, 5], v=[6])
    before = (tmp_path / "ali.1.gz").read_bytes()
    write_labels(tmp_path / "ali.1.gz", labels.items())
    assert (tmp_path / "ali.1.gz").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(binary(u=[1] * 500), mtime=0)[:-20], "is cut short or damaged"),
        (binary(u=[1, 2])[:-3], "cut short or damaged at u"),
        (b"u 1 two\n", r"x:1: expected an utterance and its labels"),
        (b"u 1 99999999999\n", r"x:1: expected an utterance"),
        (b"u 1 2\nu 3\n", "u occurs twice"),
        (b"u \0BFM \4\1\0\0\0\4\1\0\0\0\0\0\0\0", "u is no vector of int32"),
    ],
)
def test_damaged_files(tmp_path, content, message):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x")


def test_nothing_there(tmp_path):
    with pytest.raises(MissingInputError, match=r"has no ali\.1\.gz"):
        read(tmp_path)
