"""What ranks tell each other in files of a training that stands still."""

import pytest

from asrpar.train.notices import Notices


@pytest.fixture
def pair(tmp_path):
    found = [Notices(tmp_path, rank) for rank in range(2)]
    for one in found:
        one.open()
    return found


def test_one_is_the_first_to_notice_and_all_know_who(pair):
    first, second = pair
    assert second.noticed() == ""
    first.notice("rank 0 12.5")
    with pytest.raises(FileExistsError):
        second.notice("rank 1 12.6")
    assert second.noticed() == "rank 0 12.5"
    second.forget()
    assert first.noticed() == ""


def test_answers_are_those_to_this_stall(pair):
    first, second = pair
    first.tell({"step": 3, "marker": "now"})
    second.tell({"step": 2, "marker": "before"})
    assert first.answers([0, 1, 2], "now") == {0: {"step": 3, "marker": "now"}}
    assert list(first.told([0, 1])) == [1]
    second.close()
    assert first.told([0, 1]) == {1: ""}


def test_who_is_to_end_and_who_does_not_answer(pair, tmp_path):
    first, second = pair
    assert (second.blamed(), second.silent()) == (("", ""), [])
    first.blame(1, "no progress for 60 s: rank 1 is behind")
    first.call_silent([1, 3])
    assert second.blamed() == ("1", "no progress for 60 s: rank 1 is behind") and second.silent() == [1, 3]
    # As another rank may see a file that is just being written elsewhere.
    (tmp_path / "beats/silent").write_text("[1, ")
    (tmp_path / "beats/0.json").write_text('{"step"')
    assert second.silent() == [] and second.answers([0], "now") == {}


def test_words_go_into_the_log_of_the_rank(pair, tmp_path):
    pair[1].write("where it is")
    assert (tmp_path / "train.1.log").read_text() == "where it is\n"
