import math
import random

import kaldialign
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrpar.errors import DataError, MissingInputError
from asrpar.score.align import GAP, Counts, align, align_characters, count
from asrpar.score.alternatives import parse
from asrpar.score.trn import read_transcripts, read_utt2spk
from asrpar.score.wer import differs_in_case, pick_measure, score

WORDS = st.lists(st.sampled_from("ABCD"), max_size=9)


@given(WORDS, WORDS)
def test_alignment_spells_both_sides(ref, hyp):
    pairs = align(ref, hyp)
    assert [r for r, _ in pairs if r != GAP] == ref
    assert [h for _, h in pairs if h != GAP] == hyp
    c = count(pairs)
    assert c.ref == len(ref)
    # never below the plain edit distance; as light as the lightest alignment
    assert c.errors >= kaldialign.edit_distance(ref, hyp)["total"]
    lightest = kaldialign.edit_distance(ref, hyp, sclite_mode=True)
    assert 4 * c.sub + 3 * (c.ins + c.dele) == 4 * lightest["sub"] + 3 * (lightest["ins"] + lightest["del"])


def test_counts():
    assert count(align(["A", "B", "C"], ["A", "X", "C", "D"])) == Counts(ins=1, dele=0, sub=1, ref=3)
    assert count(align(["A", "B"], [])) == Counts(dele=2, ref=2)
    assert count(align([], ["A"])) == Counts(ins=1)
    # sclite prefers three substitutions to two insertions and two deletions around a correct word
    assert count(align(["A", "A", "C", "D"], ["F", "D", "B", "E"])) == Counts(sub=4, ref=4)
    assert Counts(1, 2, 3, 12).rate == 50.0
    assert Counts(ins=1).rate == float("inf")
    assert math.isnan(Counts().rate)


def test_spaces_are_no_characters():
    assert count(align_characters(["AB", "C"], ["A", "BD"])) == Counts(sub=1, ref=3)


def test_measures_of_text_without_spaces():
    refs, hyps = (
        {"a": ["设定二十九度"], "b": ["去A楼"]},
        {"a": ["设", "定", "二", "九", "度"], "b": ["去", "B", "楼", "了"]},
    )
    cer, mer = score(refs, hyps, measure="cer"), score(refs, hyps, measure="mer")
    assert cer.total == cer.characters == Counts(ins=1, dele=1, sub=1, ref=9)
    assert mer.total == cer.total and score(refs, hyps).total.ref == 2
    assert cer.confusions() == ({("A", "B"): 1}, {"了": 1}, {"十": 1})
    # In words of Latin letters the two part.
    refs, hyps = {"a": ["打开", "WIFI"]}, {"a": ["打", "开", "WIFY"]}
    assert (score(refs, hyps, measure="mer").total.ref, score(refs, hyps, measure="cer").total.ref) == (3, 6)
    assert pick_measure(refs.values()) == "wer" and pick_measure([["打开", "A"], ["灯"]]) == "cer"
    # Words are chosen among alternatives before characters are counted.
    network = parse("打开 { 电灯 / 灯 }")
    assert score({"a": network}, {"a": ["打开", "灯"]}, measure="cer").total == Counts(ref=3)


def test_score_of_a_set():
    refs = {"s1-a": ["ONE", "TWO"], "s1-b": ["THREE"], "s2-a": ["FOUR", "FIVE", "SIX"], "s2-b": []}
    hyps = {"s1-a": ["ONE", "TOO"], "s1-b": ["THREE"], "s2-b": []}
    result = score(refs, hyps)
    assert result.total == Counts(dele=3, sub=1, ref=6)
    assert result.wer == pytest.approx(400 / 6)
    assert (result.sentence_errors, result.ser, result.missing) == (2, 50.0, ["s2-a"])
    assert result.speakers() == {"s1": (Counts(sub=1, ref=3), 2, 1), "s2": (Counts(dele=3, ref=3), 2, 1)}
    substituted, inserted, deleted = result.confusions()
    assert substituted == {("TWO", "TOO"): 1} and not inserted
    assert deleted == {"FOUR": 1, "FIVE": 1, "SIX": 1}


def test_missing_hypothesis_of_an_empty_reference_is_a_wrong_sentence():
    assert score({"a": ["A"], "b": []}, {"a": ["A"]}).sentence_errors == 1


def test_totals_are_the_sum_of_the_utterances():
    rng = random.Random(5)
    refs = {f"u{i}": rng.choices("ABC", k=rng.randint(1, 6)) for i in range(50)}
    hyps = {u: rng.choices("ABC", k=rng.randint(0, 6)) for u in refs}
    result = score(refs, hyps)
    assert sum((c for c, _, _ in result.speakers().values()), Counts()) == result.total
    substituted, inserted, deleted = result.confusions()
    assert (inserted.total(), deleted.total(), substituted.total()) == (
        result.total.ins,
        result.total.dele,
        result.total.sub,
    )


def test_wrong_input():
    with pytest.raises(DataError, match="1 hypotheses have no reference, such as y"):
        score({"x": ["A"]}, {"y": ["A"]})
    with pytest.raises(DataError, match="no words"):
        score({"x": []}, {"x": []})
    with pytest.raises(DataError, match="x is not in the utt2spk"):
        score({"x": ["A"]}, {"x": ["A"]}, {"y": "s"})


def test_speakers_from_a_mapping():
    assert list(score({"x-1": ["A"]}, {}, {"x-1": "anna"}).speakers()) == ["anna"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A B (u-1)\n(u-2)\n\nC ( D) (u-3) \n", {"u-1": ["A", "B"], "u-2": [], "u-3": ["C", "(", "D)"]}),
        ("u-1 A B\nu-2\nu-3 C\n", {"u-1": ["A", "B"], "u-2": [], "u-3": ["C"]}),
        ("u-1\tA B\n", {"u-1": ["A", "B"]}),
    ],
)
def test_transcript_formats(tmp_path, text, expected):
    (tmp_path / "t").write_text(text)
    assert read_transcripts(tmp_path / "t") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A (u)\nB (u)\n", ":2: utterance u comes twice"),
        ("A (u)\nB\n", ":2: no '\\(utt-id\\)'"),
        ("\n \n", "is empty"),
        ("A B (a b)\n", ":1: no '\\(utt-id\\)'"),
        ("A (a(1)\n", ":1: no '\\(utt-id\\)'"),
        ("A (a)1)\n", ":1: no '\\(utt-id\\)'"),
        ("A ( )\n", ":1: no '\\(utt-id\\)'"),
    ],
)
def test_bad_transcripts(tmp_path, text, message):
    (tmp_path / "t.trn").write_text(text)
    with pytest.raises(DataError, match=message):
        read_transcripts(tmp_path / "t.trn")


def test_the_id_is_the_last_thing_in_brackets(tmp_path):
    """sclite wants no space before it, and takes spaces inside."""
    (tmp_path / "t.trn").write_text("A B(u-1)\nA (NOISE)(u-2 )\nA (x((1)))\n")
    assert read_transcripts(tmp_path / "t.trn") == {"u-1": ["A", "B"], "u-2": ["A", "(NOISE)"], "x((1))": ["A"]}


def test_references_that_say_nothing(tmp_path):
    (tmp_path / "t.trn").write_text("@ (u-1)\n{ @ / @ } (u-2)\n")
    with pytest.raises(DataError, match="the references have no words"):
        score(read_transcripts(tmp_path / "t.trn"), {"u-1": ["A"]})


@pytest.mark.parametrize(
    ("other", "why"),
    [("É-1", "another case"), ("e\u0301-1", r"another way to write accents \(NFC"), ("x", "wrong file")],
)
def test_ids_of_another_form(other, why):
    with pytest.raises(DataError, match=f"1 hypotheses have no reference, such as {other}: .*{why}"):
        score({"é-1": ["A"]}, {other: ["A"]})


def test_words_of_another_case():
    assert differs_in_case({"u": ["A", "B", "C"]}, {"u": ["a", "b", "x"]})
    assert not differs_in_case({"u": ["A", "b", "C"]}, {"u": ["a", "b", "x"]})
    assert not differs_in_case({"u": ["A"]}, {"u": []})


def test_a_text_is_not_taken_for_trn_by_its_first_line(tmp_path):
    (tmp_path / "text").write_text("u-1 A (NOISE)\nu-2 B\n")
    assert read_transcripts(tmp_path / "text") == {"u-1": ["A", "(NOISE)"], "u-2": ["B"]}
    (tmp_path / "text").write_text("u-1 A (NOISE)\nu-2 (NOISE)\n")
    assert list(read_transcripts(tmp_path / "text")) == ["u-1", "u-2"]
    (tmp_path / "text").write_text("A (u-1)\nA (u-2)\nA\n")
    with pytest.raises(DataError, match=r"text:2: utterance A comes twice \(read as .*call the file \*\.trn"):
        read_transcripts(tmp_path / "text")


def test_lines_end_at_line_ends_only(tmp_path):
    (tmp_path / "text").write_text("u-1 A\x85B\u2028C\r\nu-2 D\r\n", newline="")
    assert list(read_transcripts(tmp_path / "text")) == ["u-1", "u-2"]


def test_unreadable_transcripts(tmp_path):
    with pytest.raises(MissingInputError, match="asrpar decode"):
        read_transcripts(tmp_path / "t")
    (tmp_path / "t").write_bytes(b"\xff (u)\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_transcripts(tmp_path / "t")
    (tmp_path / "u").write_bytes(b"a b\nc \xe9\n")
    with pytest.raises(DataError, match=r"u is not UTF-8 text \(line 2"):
        read_utt2spk(tmp_path / "u")
    with pytest.raises(MissingInputError, match="utt2spk"):
        read_utt2spk(tmp_path / "v")
    (tmp_path / "u").write_text("a b\na c\n")
    with pytest.raises(DataError, match="u:2: a is of 'b' in an earlier line"):
        read_utt2spk(tmp_path / "u")
    (tmp_path / "u").write_text("a b c\n")
    with pytest.raises(DataError, match="u:1"):
        read_utt2spk(tmp_path / "u")
