"""Counts of a whole corpus, and how a message tells what is off."""

from pathlib import Path

import pytest

from asrpar.corpus.counts import Count, check_counts
from asrpar.errors import DataError

HERE = Path("/corpora/x")


def test_right_counts_pass():
    check_counts("X", HERE, [Count("files", 2435, (2435, 2438)), Count("hours", 311.7, 311.62, tolerance=0.1)])


def test_each_wrong_count_is_named_with_its_difference():
    counts = [
        Count("files", 2430, (2435, 2438)),
        Count("speakers", 400, 400),
        Count("utterances of train", 1120, 1100),
        Count("hours", 311.0, 311.62, tolerance=0.1),
    ]
    with pytest.raises(DataError) as error:
        check_counts("X", HERE, counts)
    assert str(error.value) == (
        "/corpora/x: 3 of 4 counts are not those of X: files: 2,430 instead of 2,435 or 2,438 (5 too few); utterances "
        "of train: 1,120 instead of 1,100 (20 too many); hours: 311 instead of 311.62 (0.62 too few). If it holds a "
        "part of the corpus on purpose, say so with --partial"
    )
