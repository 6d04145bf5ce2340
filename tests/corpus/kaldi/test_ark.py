"""Features and alignments in Kaldi's archives."""

import pickle
import subprocess
from pathlib import Path

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from asrpar.corpus.kaldi.ark import read_alignments, read_matrices, write_alignments, write_matrices
from asrpar.errors import DataError

RNG = np.random.default_rng(0)
FEATURES = [(f"utt-{n}", RNG.normal(0, 5, (n + 1, 13)).astype(np.float32)) for n in range(12)]


def assert_same(read, expected, tolerance: float = 0.0) -> None:
    read = list(read)
    assert [key for key, _ in read] == [key for key, _ in expected]
    for (_, a), (_, b) in zip(read, expected, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def test_features_round_trip(tmp_path: Path) -> None:
    scp = write_matrices(tmp_path / "feats.ark", iter(FEATURES))
    assert scp == tmp_path / "feats.scp"
    assert_same(read_matrices(scp), FEATURES)
    assert_same(read_matrices(tmp_path / "feats.ark"), FEATURES)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["feats.ark", "feats.scp"]


def test_kaldiio_itself_reads_them(tmp_path: Path) -> None:
    scp = write_matrices(tmp_path / "feats.ark", FEATURES)
    assert_same(kaldiio.load_scp(str(scp)).items(), FEATURES)
    assert_same(kaldiio.load_ark(str(tmp_path / "feats.ark")), FEATURES)


@pytest.mark.parametrize("method", range(1, 8))
def test_compression(tmp_path: Path, method: int) -> None:
    # Methods 4, 6 and 7 have a fixed range: 16-bit numbers, 0 to 255, 0 to 1.
    features = [(k, np.abs(x) / np.abs(x).max()) for k, x in FEATURES] if method in (6, 7) else FEATURES
    write_matrices(tmp_path / "feats.ark", features, compression=method)
    span = max(x.max() - x.min() for _, x in features)
    tolerance = {1: span / 32, 2: span / 32, 3: span / 6e4, 4: 1.0, 5: span / 250, 6: 1.0, 7: 1 / 250}[method]
    assert_same(read_matrices(tmp_path / "feats.scp"), features, tolerance)
    assert (tmp_path / "feats.ark").stat().st_size < 0.8 * sum(x.nbytes for _, x in features)


def test_compressed_silence_stays_finite(tmp_path: Path) -> None:
    flat = [("a", np.full((30, 4), -15.9, np.float32)), ("b", np.zeros((3, 4), np.float32))]
    write_matrices(tmp_path / "feats.ark", flat, compression=1)
    assert_same(read_matrices(tmp_path / "feats.scp"), flat, tolerance=0.3)


def test_strided_features(tmp_path: Path) -> None:
    big = RNG.normal(size=(20, 10)).astype(np.float32)
    write_matrices(tmp_path / "feats.ark", [("a", big[::2, ::2]), ("b", big.T[:5])][:1])
    assert_same(read_matrices(tmp_path / "feats.scp"), [("a", big[::2, ::2])])


def test_alignments_round_trip(tmp_path: Path) -> None:
    alignments = [("a", np.array([1, 1, 2, 40000, 0], np.int32)), ("b", np.array([-3], np.int32))]
    scp = write_alignments(tmp_path / "ali.ark", alignments)
    assert_same(read_alignments(scp), alignments)
    assert_same(read_alignments(tmp_path / "ali.ark"), alignments)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.floats(-(2.0**99), 2.0**99, width=32)
    ),
    hnp.arrays(np.int32, st.integers(1, 20)),
)
def test_any_values_round_trip(tmp_path_factory: pytest.TempPathFactory, matrix, vector) -> None:
    folder = tmp_path_factory.mktemp("ark")
    assert_same(read_matrices(write_matrices(folder / "m.ark", [("k", matrix)])), [("k", matrix)])
    assert_same(read_alignments(write_alignments(folder / "v.ark", [("k", vector)])), [("k", vector)])


def test_text_archives_and_doubles_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.ark").write_text("a  [\n  1.5 2.0\n  3.0 4.0 ]\nb  [\n  5.0 6.0 ]\n")
    expected = [("a", np.array([[1.5, 2], [3, 4]], np.float32)), ("b", np.array([[5, 6]], np.float32))]
    assert_same(read_matrices(tmp_path / "t.ark"), expected)
    kaldiio.save_ark(str(tmp_path / "d.ark"), {"a": np.array([[1.5, 2], [3, 4]])})
    assert_same(read_matrices(tmp_path / "d.ark"), expected[:1])


GOOD = np.ones((3, 2), np.float32)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "nothing to write"),
        ([("a", GOOD), ("a", GOOD)], "a occurs twice"),
        ([("a b", GOOD)], "'a b' cannot be an id"),
        ([("", GOOD)], "'' cannot be an id"),
        ([("a", GOOD.astype(np.float64))], r"a: expected float32 \(T, C\), got float64 \(3, 2\)"),
        ([("a", GOOD[0])], r"a: expected float32 \(T, C\), got float32 \(2,\)"),
        ([("a", [[1.0]])], "a: expected float32 .* got list"),
        ([("a", GOOD[:0])], "a: there is nothing in it"),
        ([("a", GOOD), ("b", GOOD[:, :1])], "b: 1 features a frame, the others have 2"),
        ([("a", GOOD * np.nan)], "a: the features hold NaN"),
        ([("a", np.full((3, 2), np.inf, np.float32))], "a: the features hold NaN or infinity"),
    ],
)
def test_features_that_are_refused_leave_nothing(tmp_path: Path, items, message: str) -> None:
    with pytest.raises(DataError, match=message):
        write_matrices(tmp_path / "feats.ark", items)
    assert list(tmp_path.iterdir()) == []


def test_options_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="methods 1 to 7"):
        write_matrices(tmp_path / "feats.ark", FEATURES, compression=8)
    with pytest.raises(DataError, match=r"ends with .ark"):
        write_matrices(tmp_path / "feats", FEATURES)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.int16])
def test_alignments_of_another_type_are_refused(tmp_path: Path, dtype: type) -> None:
    with pytest.raises(DataError, match=r"expected int32 \(T,\)"):
        write_alignments(tmp_path / "ali.ark", [("a", np.ones(3, dtype))])
    with pytest.raises(DataError, match="there is nothing in it"):
        write_alignments(tmp_path / "ali.ark", [("a", np.ones(0, np.int32))])


def test_one_is_not_read_as_the_other(tmp_path: Path) -> None:
    matrices = write_matrices(tmp_path / "feats.ark", FEATURES)
    alignments = write_alignments(tmp_path / "ali.ark", [("a", np.ones(3, np.int32))])
    with pytest.raises(DataError, match="utt-0 is no vector of int32"):
        list(read_alignments(matrices))
    with pytest.raises(DataError, match="a is no matrix"):
        list(read_matrices(alignments))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95, 0.999])
def test_a_cut_archive_is_named(tmp_path: Path, kept: float) -> None:
    ark = tmp_path / "feats.ark"
    write_matrices(ark, FEATURES)
    ark.write_bytes(ark.read_bytes()[: int(kept * ark.stat().st_size)])
    for path in (ark, ark.with_suffix(".scp")):
        with pytest.raises(DataError, match=r"feats\.(ark|scp)"):
            list(read_matrices(path))


def test_no_pickle_is_loaded_and_no_command_run(tmp_path: Path) -> None:
    witness = tmp_path / "was run"

    class Evil:
        def __reduce__(self):
            return subprocess.run, (["touch", str(witness)],)

    (tmp_path / "evil.ark").write_bytes(b"a PKL" + pickle.dumps(Evil()))
    (tmp_path / "evil.scp").write_text(f"a {tmp_path}/evil.ark:2\n")
    (tmp_path / "pipe.scp").write_text(f"a touch '{witness}' |\n")
    (tmp_path / "pipe2.scp").write_text(f"a |touch '{witness}'\n")
    for name, message in (
        ("evil.ark", "a is no matrix or vector"),
        ("evil.scp", "a is no matrix or vector"),
        ("pipe.scp", "is a command; commands in data are not run"),
        ("pipe2.scp", "is a command; commands in data are not run"),
    ):
        with pytest.raises(DataError, match=message):
            list(read_matrices(tmp_path / name))
    assert not witness.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a gone.ark:3\n", "no such file: gone.ark"),
        (f"a {__file__}:{10**20}\n", "feats.scp:1: no such file"),
        ("a\n", "feats.scp:1: malformed: 1 fields; the form is `utterance archive:offset`"),
        ("a x:1\na x:1\n", "feats.scp:2: 'a' is a duplicate of line 1"),
        ("a x.ark:3[0:5]\n", "ranges of rows"),
        ("", "feats.scp: is empty"),
    ],
)
def test_scp_files_that_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "feats.scp").write_text(content)
    with pytest.raises(DataError, match=message.replace("[", r"\[")):
        list(read_matrices(tmp_path / "feats.scp"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.ark").write_bytes(bytes(range(256)))
    with pytest.raises(DataError):
        list(read_matrices(tmp_path / "x.ark"))
    with pytest.raises(DataError, match="no such file"):
        list(read_matrices(tmp_path / "gone.ark"))
