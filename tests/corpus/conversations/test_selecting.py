from collections import Counter

import pytest
from lhotse import SupervisionSegment

from asrpar.corpus.conversations.selecting import by_speakers, capped, first
from asrpar.errors import DataError


def utterance(speaker: str, call: int, number: int, text: str = "yes") -> SupervisionSegment:
    return SupervisionSegment(
        id=f"{speaker}-{call}-{number:03d}",
        recording_id=str(call),
        start=0,
        duration=1,
        channel=0,
        text=text,
        speaker=speaker,
    )


def corpus(calls_of: dict[str, int], each: int = 5) -> list[SupervisionSegment]:
    return [utterance(who, call, n) for who, calls in calls_of.items() for call in range(calls) for n in range(each)]


def test_the_cap_is_exact_and_draws_evenly():
    many = [utterance("a", 1, n) for n in range(100)] + [utterance("b", 1, n, "no") for n in range(7)]
    left, out = capped(many, 10, seed=1)
    assert Counter(u.text for u in left) == {"yes": 10, "no": 7} and out == {"yes": 90}
    assert left == [u for u in many if u in left]  # in their order
    again, _ = capped(list(reversed(many)), 10, seed=1)
    assert {u.id for u in again} == {u.id for u in left}  # whatever the order was
    seen = Counter(u.id for seed in range(200) for u in capped(many[:100], 10, seed)[0])
    assert len(seen) == 100 and min(seen.values()) > 5 and max(seen.values()) < 45


def test_dev_is_speaker_disjoint_and_as_large_as_asked_for():
    people = {f"s{n}": 1 + n % 4 for n in range(12)}
    there = corpus(people)
    dev, train, rest = by_speakers(there, 12, seed=1)
    assert len(dev) == 12 and len(dev) + len(train) + len(rest) == len(there)
    assert not {u.speaker for u in dev} & {u.speaker for u in train}
    assert {people[u.speaker] for u in dev} == {1}  # those of one call first
    assert by_speakers(list(reversed(there)), 12, seed=1)[0] == dev
    assert any(by_speakers(there, 12, seed=seed)[0] != dev for seed in range(2, 6))


def test_dev_as_in_kaldi_is_the_first_by_id():
    dev, train, rest = first(list(reversed(corpus({"a": 1, "b": 2}))), 7)
    assert [u.id for u in dev[-2:]] == ["b-0-000", "b-0-001"] and len(train) == 8 and rest == []


def test_a_dev_that_leaves_nothing_is_refused():
    for choose in (lambda: first(corpus({"a": 1}), 5), lambda: by_speakers(corpus({"a": 1}), 5, 1)):
        with pytest.raises(DataError, match=r"dev_size is 5, and there are 5 utterances: .*--set dev_size=N"):
            choose()
    with pytest.raises(DataError, match="takes all 1 speakers"):
        by_speakers(corpus({"a": 1}), 4, 1)
