"""Alternatives, optional words and comments of trn files. The counts are those that sclite 2.10 gave."""

import pytest

from asrpar.errors import DataError
from asrpar.score.align import align, count
from asrpar.score.trn import count_bracketed, count_nested, read_transcripts
from asrpar.score.wer import score


def counts(tmp_path, ref, hyp, **options):
    """(correct, sub, del, ins) of one utterance."""
    for side, text in (("ref", ref), ("hyp", hyp)):
        (tmp_path / f"{side}.trn").write_text(f"{text} (s-1)\n")
    refs, hyps = (read_transcripts(tmp_path / f"{side}.trn", **options) for side in ("ref", "hyp"))
    c = count(align(refs["s-1"], hyps["s-1"]))
    return c.ref - c.sub - c.dele, c.sub, c.dele, c.ins


@pytest.mark.parametrize(
    ("ref", "hyp", "expected"),
    [
        ("a { b / c / @ } d", "a d", (2, 0, 0, 0)),
        ("a { b / c / @ } d", "a b d", (3, 0, 0, 0)),
        ("a { b / c } d", "a x d", (2, 1, 0, 0)),
        ("a { b c / d e f } g", "a d e g", (4, 0, 1, 0)),
        ("{ a / @ }", "", (0, 0, 0, 0)),
        ("{ a / @ }", "b", (0, 0, 0, 1)),
        ("{ a / { b / c } d } e", "c d e", (3, 0, 0, 0)),
        ("a {b/c} d", "a b d", (3, 0, 0, 0)),
        ("{ and/or / c }", "or", (1, 0, 0, 0)),
        ("a / b", "a / b", (3, 0, 0, 0)),
        ("a @ d", "a d", (2, 0, 0, 0)),
        ("a d", "a @ d", (2, 0, 0, 0)),
        ("a d", "a { b / c } d", (2, 0, 0, 1)),
        ("a (%HESITATION) d", "a d", (2, 0, 1, 0)),
        ("a (b) d", "a b d", (2, 1, 0, 0)),
        ("a b- d", "a big d", (2, 1, 0, 0)),
        # Three substitutions and not two deletions and two insertions, except where rounding decides.
        ("F A E", "E C C", (0, 3, 0, 0)),
        ("F A { @ } E", "E C C", (1, 0, 2, 2)),
    ],
)
def test_counts_are_those_of_sclite(tmp_path, ref, hyp, expected):
    assert counts(tmp_path, ref, hyp) == expected


@pytest.mark.parametrize(
    ("ref", "hyp", "expected"),
    [
        ("a (%HESITATION) d", "a d", (3, 0, 0, 0)),
        ("a (%HESITATION) d", "a %HESITATION d", (3, 0, 0, 0)),
        ("a (%HESITATION) d", "a x d", (2, 1, 0, 0)),
        ("a (b) d", "a (b) d", (3, 0, 0, 0)),
        ("a d", "a (b) d", (3, 0, 0, 0)),
        ("a { (b) / c } d", "a d", (3, 0, 0, 0)),
    ],
)
def test_optional_words_are_counted_as_sclite_does(tmp_path, ref, hyp, expected):
    assert counts(tmp_path, ref, hyp, optional_words=True) == expected


def test_what_was_chosen_is_the_reference(tmp_path):
    (tmp_path / "ref.trn").write_text(";; two utterances\nSO { THEY ARE / THEY'RE } (s-1)\nNO { OH / @ } (s-2)\n")
    (tmp_path / "hyp.trn").write_text("SO THEY'RE HERE (s-1)\nNO (s-2)\n;; the end\n")
    refs, hyps = read_transcripts(tmp_path / "ref.trn"), read_transcripts(tmp_path / "hyp.trn")
    result = score(refs, hyps)
    assert (result.total.ref, result.total.ins, result.total.errors) == (3, 1, 1)
    assert result.characters.ref == len("SOTHEY'RE") + len("NO") and result.characters.errors == len("HERE")
    assert [r for r, _ in result.utterances[1].pairs] == ["NO"]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("ref.trn", "A { B / C (s-1)", r"ref.trn:2: a '\{' without its '\}'"),
        ("ref.trn", "A B } C (s-1)", r"ref.trn:2: a '\}' without its '\{'"),
        ("ref.trn", "A { B / } C (s-1)", r"ref.trn:2: an alternative without words: write @"),
        ("ref.trn", "A {} C (s-1)", r"ref.trn:2: an alternative without words"),
        ("text", "s-1 A { B / C } D", r"text:2: alternatives such as \{ A / B \} are of trn, 'WORDS \(utt-id\)'"),
        (
            "x.ctm",
            "s-1 1 0.10 0.20 YES",
            r"x.ctm is a ctm: give transcripts.* hubscr.pl \(--manifests, --engine sctk\)",
        ),
        ("x", "s-1 1 spk 0.10 0.20 YES", r"x is a stm: give transcripts"),
    ],
)
def test_what_cannot_be_counted_is_refused(tmp_path, name, line, message):
    (tmp_path / name).write_text(f";; comment\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_transcripts(tmp_path / name)


def test_words_in_brackets_are_noticed(tmp_path):
    (tmp_path / "ref.trn").write_text("A (B) { (C) / D } (s-1)\n(E) (s-2)\n")
    assert count_bracketed(read_transcripts(tmp_path / "ref.trn")) == 3


def test_alternatives_within_alternatives_are_noticed(tmp_path):
    (tmp_path / "ref.trn").write_text("{ A / { B / C } } D (s-1)\n{ A / B } { C / D } (s-2)\nA (s-3)\n")
    assert count_nested(read_transcripts(tmp_path / "ref.trn")) == 1
