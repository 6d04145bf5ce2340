"""References of conversations: what is read, mended and refused."""

import pytest

from asrpar.corpus.nist.pem import read_pem
from asrpar.corpus.nist.stm import mended, plain_words, read_stm
from asrpar.errors import DataError, MissingInputError


def stm(tmp_path, *lines):
    (tmp_path / "x.stm").write_text("".join(f"{line}\n" for line in lines))
    return read_stm(tmp_path / "x.stm")


def test_segments_comments_and_blanks(tmp_path):
    found = stm(
        tmp_path,
        ';; LABEL "O" "Overall" "Overall"',
        "en_9001 A en_9001_A 301.85 302.48 <O,en>  OH   YEAH",
        "fsh_9001 2 fsh_9001_2 12.345 13 <o,f0> (UH) NO",
        "fsh_9001 1 inter_segment_gap 13.0 14.0 <o,f0>",
        "en_9001 b en_9001_B 0.00 1.5",
        "en_9001 A en_9001_A 302.48 303.0 IGNORE_TIME_SEGMENT_IN_SCORING",
    )
    assert [(s.channel, s.label, s.text, s.ignored) for s in found.segments] == [
        ("A", "<O,en>", "OH YEAH", False),
        ("B", "<o,f0>", "(UH) NO", False),
        ("B", "", "", False),
        ("A", "", "IGNORE_TIME_SEGMENT_IN_SCORING", True),
    ]
    assert found.text().splitlines()[:3] == [
        ';; LABEL "O" "Overall" "Overall"',
        "en_9001 A en_9001_A 301.85 302.48 <O,en> OH YEAH",
        "fsh_9001 B fsh_9001_2 12.345 13 <o,f0> (UH) NO",
    ]


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("((%HESITATION) SO", "(%HESITATION) SO"),
        ("SO ((UH-)) NO", "SO (UH-) NO"),
        ("<B_ASIDE> COME IN <E_ASIDE> YES", "COME IN YES"),
        ("<b_aside> COME IN", "COME IN"),
        ("{ (UH) / @ } (A B) C", "{ (UH) / @ } (A B) C"),
    ],
)
def test_what_stops_the_filter_is_mended(tmp_path, text, becomes):
    found = stm(tmp_path, f"en_9001 A en_9001_A 1.00 2.00 <O> {text}", f"en_9001 A en_9001_A 3.00 4.00 {text}")
    assert [s.text for s in mended(found, "x.stm").segments] == [becomes, becomes]


@pytest.mark.parametrize("text", ["(A B", "A) B", "A () B", "(A (B) C)"])
def test_other_brackets_that_do_not_match_are_refused(tmp_path, text):
    with pytest.raises(DataError, match=r"x.stm: en_9001 A at 1 s: brackets do not match"):
        mended(stm(tmp_path, f"en_9001 A en_9001_A 1.00 2.00 <O> {text}"), "x.stm")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("HE IS (%HESITATION) A POLICE (OFF-) OFFICER", "he is a police officer"),
        ("{ DOG / DOGS } { { A B / C } / @ } I'VE", "dog a b i've"),
        ("(UH)", ""),
        ("A { @ / B } C", "a c"),
    ],
)
def test_words_alone(text, words):
    assert plain_words(text) == words


@pytest.mark.parametrize(
    "line",
    [
        "en_9001 A en_9001_A 1.00",
        "en_9001 A en_9001_A x 2.00 A",
        "en_9001 A en_9001_A 3.00 2.00 A",
        "en_9001 C s 1 2 A",
    ],
)
def test_other_lines_are_refused(tmp_path, line):
    with pytest.raises(DataError, match=r"x.stm:2: "):
        stm(tmp_path, ";; head", line)


def test_files_without_segments_are_refused(tmp_path):
    (tmp_path / "x.pem").write_text(";; nothing\n")
    with pytest.raises(DataError, match="no PEM file"):
        read_pem(tmp_path / "x.pem")
    with pytest.raises(DataError, match="no STM file"):
        stm(tmp_path, ";; nothing")
    (tmp_path / "x.pem").write_text(";; one\nen_9001 A unknown_speaker 1.0 1.0\n")
    with pytest.raises(DataError, match=r"x.pem:2: expected 'CONVERSATION A SPEAKER BEGIN END'"):
        read_pem(tmp_path / "x.pem")


def test_old_encodings(tmp_path):
    line = "en_9001 A en_9001_A 1.00 2.00 <O> A RÉSUMÉ\n"
    for name, encoding in (("utf8", "utf-8"), ("old", "iso-8859-1")):
        (tmp_path / name).write_text(line, encoding=encoding)
        assert read_stm(tmp_path / name).segments[0].text == "A RÉSUMÉ"
    (tmp_path / "utf16").write_text(line, encoding="utf-16")
    with pytest.raises(DataError, match="is UTF-16 text"):
        read_stm(tmp_path / "utf16")
    (tmp_path / "odd").write_bytes(b"\xe9\0")
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read_stm(tmp_path / "odd")
    with pytest.raises(MissingInputError, match="none is missing"):
        read_pem(tmp_path / "none")
