"""Recordings that cannot be replayed: one line says which file, and why."""

import pytest

from asrpar.errors import DataError, MissingInputError
from asrpar.parallel.record import Recording, read_recording


@pytest.fixture
def recording(tmp_path):
    made = Recording(tmp_path / "rank-0.tsv", {"learners": 2})
    made.turn("learner", "gradient")
    made.close()
    return made.path


def test_what_was_recorded_is_read(recording):
    facts, entries = read_recording(recording)
    assert facts["learners"] == 2
    assert [(e.activity, e.event, e.step) for e in entries] == [("learner", "gradient", 1)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw.replace(b"learner\t", b"l\xe4rner\t"), "is not UTF-8 text"),
        (lambda raw: b"\xff\xfe" + raw, "is UTF-16 text"),
        (lambda raw: raw[: raw.index(b"\n")], "is not a recording of version"),
        (lambda raw: raw[:-4], "tsv:3: not an event"),
    ],
)
def test_a_damaged_recording(recording, change, said):
    recording.write_bytes(change(recording.read_bytes()))
    with pytest.raises(DataError, match=said):
        read_recording(recording)


def test_no_recording(tmp_path):
    with pytest.raises(MissingInputError, match="is missing"):
        read_recording(tmp_path / "rank-0.tsv")
