from pathlib import Path

import pytest

from asrpar.corpus.conversations import fisher, switchboard
from asrpar.corpus.conversations.calls import Speaker, Turn, usable
from asrpar.corpus.conversations.files import check_found, find_files
from asrpar.corpus.conversations.swbd import find_corpus
from asrpar.corpus.conversations.tally import Tally
from asrpar.errors import DataError

TRANS = """\
sw2001A-ms98-a-0001 0.000000 0.977625 [silence]
sw2001A-ms98-a-0002 0.977625 11.561375 so [laughter-anyway] th[at]- i know
sw2001A-ms98-a-0003 11.561375 12.000000
"""


def put(folder: Path, name: str, text: str = "x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# ---- files


def test_files_are_found_by_name_wherever_they_are(tmp_path: Path):
    for name in (
        *("LDC97S62/swb1_d1/data/sw02001.sph", "B/SW04940.SPH", "B/sw2005.sph", "B/sw_4390.sph", "B/sw02001.sph.txt"),
        *("ms98/20/2001/sw2001A-ms98-a-trans.text", "ms98/20/2001/sw2001B-ms98-a-word.text", "sw-ms98-dict.text"),
        *("p1/audio/000/fe_03_00001.sph", "p1/data/trans/000/FE_03_00001.TXT", "docs/conv_tab.csv", "conv.tab"),
        *("p1/data/bbn_orig/reject/fe_03_00002.txt", "p1/doc/fe_03_p1_calldata.tbl", "p2/docs/filetable2.txt"),
    ):
        put(tmp_path / "corpus", name)
    (tmp_path / "corpus/link").symlink_to(tmp_path / "corpus")
    found = find_files(tmp_path / "corpus")
    assert sorted(found.switchboard) == ["2001", "2005", "4940"]
    assert list(found.trans) == [("2001", "A")] and list(found.words) == [("2001", "B")]
    assert list(found.fisher) == list(found.fisher_text) == ["00001"]
    assert {kind: len(paths) for kind, paths in found.tables.items()} == {
        "conv": 2, "calldata": 1, "filelist": 1, "dict": 1,
    }  # fmt: skip
    assert found.twice == []


def test_links_to_other_discs_are_followed(tmp_path: Path):
    put(tmp_path / "disc", "data/sw02001.sph")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/swb1_d1").symlink_to(tmp_path / "disc")
    assert list(find_files(tmp_path / "corpus").switchboard) == ["2001"]


def test_two_copies_of_a_file_are_told_and_two_versions_refused(tmp_path: Path):
    put(tmp_path, "a/sw02001.sph")
    put(tmp_path, "b/sw02001.sph")
    found = find_files(tmp_path)
    assert found.switchboard["2001"] == tmp_path / "a/sw02001.sph" and found.twice == [tmp_path / "b/sw02001.sph"]
    put(tmp_path, "b/sw02001.sph", "longer")
    with pytest.raises(DataError, match=r"sw02001\.sph is there twice and not the same"):
        find_files(tmp_path)


def test_what_is_missing_is_told_at_once(tmp_path: Path):
    put(tmp_path, "a/sw02001.sph")
    with pytest.raises(DataError, match=r"swb300: no transcripts such as .*OpenSLR 5.*; no dictionary sw-ms98-dict"):
        check_found(find_files(tmp_path), "swb300")
    with pytest.raises(DataError, match=r"swb2000: .*LDC2004S13.*; no transcripts such as fe_03_00001\.txt"):
        check_found(find_files(tmp_path), "swb2000")


# ---- Switchboard


def test_transcripts_and_words_of_a_side(tmp_path: Path):
    turns = switchboard.read_trans(put(tmp_path, "sw2001A-ms98-a-trans.text", TRANS), Tally())
    assert turns[1:] == [
        Turn(0.977625, 11.561375, "so [laughter-anyway] th[at]- i know"),
        Turn(11.561375, 12.0, ""),
    ]
    words = put(tmp_path, "sw2001A-ms98-a-word.text", "sw2001A-ms98-a-0002 0.98 1.25 so\n")
    assert switchboard.read_words(words) == [("sw2001A-ms98-a-0002", 0.98, 1.25, "so")]


def test_an_id_that_comes_twice_is_told(tmp_path: Path):
    lines = "".join(f"sw2001A-ms98-a-000{i} {t:.1f} {t + 1:.1f} yes\n" for t, i in enumerate((1, 2, 2)))
    tally = Tally()
    assert len(switchboard.read_trans(put(tmp_path, "sw2001A-ms98-a-trans.text", lines), tally)) == 3
    assert "with the id of another of their file, both kept: 1 (sw2001A-ms98-a-0002)" in tally.lines()[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sw2001A-ms98-a-0001 0.0 x yes", "2: expected 'sw2001A-ms98-a-0001 START END WORDS'"),
        ("sw2001A-ms98-a-0001", "2: expected"),
        ("sw2001A-ms98-a-0001 nan 1.0 yes", "2: expected"),
        ("sw2001A-ms98-a-0001 0.0 inf yes", "2: expected"),
        ("sw2001B-ms98-a-0001 0.0 1.0 yes", "2: sw2001B-ms98-a-0001 is of another side than"),
        ("sw2001A-ms98-a-0001 0.0 1.0 ye\0s", "has a zero byte"),
    ],
)
def test_lines_of_another_form_are_refused(tmp_path: Path, line: str, message: str):
    path = put(tmp_path, "sw2001A-ms98-a-trans.text", f"sw2001A-ms98-a-0001 0.0 0.5 yes\n{line}\n")
    with pytest.raises(DataError, match=message):
        switchboard.read_trans(path, Tally())


def test_callers_by_the_tables(tmp_path: Path):
    for side in "AB":
        put(tmp_path, f"sw2001{side}-ms98-a-trans.text")
        put(tmp_path, f"sw2005{side}-ms98-a-trans.text")
    tally = Tally()
    assert switchboard.read_speakers(find_files(tmp_path), tally) == {} and not tally.counts
    put(tmp_path, "conv_tab.csv", "2001, Y, 1011, 1402, 303, 0, 910304, 1218, 1222, , \n")
    put(tmp_path, "caller_tab.csv", '1011, 40, 44, "FEMALE", 1960\n1402, 1, 2, "MALE", 1950\n')
    people = switchboard.read_speakers(find_files(tmp_path), tally)
    assert people == {("2001", "A"): Speaker("sw1011", "f"), ("2001", "B"): Speaker("sw1402", "m")}
    assert tally.lines() == [
        "sides of Switchboard whose caller is in no table: the side is the speaker: 2 (sw02005-A, sw02005-B)"
    ]
    put(tmp_path, "conv_tab.csv", "CALL,A,B\n")
    with pytest.raises(DataError, match=r"conv_tab\.csv:1: expected 'CALL, Y, PIN of A, PIN of B"):
        switchboard.read_speakers(find_files(tmp_path), tally)


def test_the_dictionary_and_its_acronyms(tmp_path: Path):
    path = put(
        tmp_path, "d", "Lexicon, a title\n# comment\nIBM ay b iy eh m\nNASA n ae s ax\nPCs p iy s iy z\nyes y eh s\n"
    )
    entries = switchboard.read_dictionary(path)
    assert [entry.token for entry in entries] == ["IBM", "NASA", "PCs", "yes"]
    assert switchboard.spelled_words(entries) == {"ibm", "pc"}
    patched = put(tmp_path, "e", "yes y eh s\nyep y eh s\n")  # by somebody who took the title away
    assert [entry.token for entry in switchboard.read_dictionary(patched)] == ["yes", "yep"]
    with pytest.raises(DataError, match=r"3: 'no' has no pronunciation"):
        switchboard.read_dictionary(put(tmp_path, "f", "title\nyes y eh s\nno\n"))


# ---- Fisher


def test_transcripts_of_both_sides(tmp_path: Path):
    text = "# fe_03_00009.sph\n# Transcribed at the LDC\n\n7.38 8.78 A: an- so the topic is \n\n8.5 9 B: (( yes ))\n"
    tally = Tally()
    turns = fisher.read_transcript(put(tmp_path, "t", text), "00009", tally)
    assert turns == {"A": [Turn(7.38, 8.78, "an- so the topic is")], "B": [Turn(8.5, 9.0, "(( yes ))")]}
    upper = fisher.read_transcript(put(tmp_path, "t", "1.0 2.0 A: I SEE\n"), "00009", tally)
    assert upper["A"] == [Turn(1.0, 2.0, "i see")]
    with pytest.raises(DataError, match=r"t:1: expected 'START END A: WORDS', not '1\.0 2\.0 yes'"):
        fisher.read_transcript(put(tmp_path, "t", "1.0 2.0 yes\n"), "00009", tally)
    latin = tmp_path / "t"
    latin.write_bytes("1.0 2.0 A: caf\u00e9\n".encode("latin-1"))
    assert fisher.read_transcript(latin, "00009", tally)["A"][0].text == "caf\u00e9"


def test_its_acronyms_are_those_of_switchboard_too(tmp_path: Path):
    text = "1.0 2.0 A: the i._b._q. and p._c.s and c._e._o.'s of b. x._yz\n"
    put(tmp_path, "fe_03_00009.txt", text)
    put(tmp_path, "sw2001A-ms98-a-trans.text", TRANS)
    put(tmp_path, "sw-ms98-dict.text", "title\nIBM ay b iy eh m\n")
    found, normaliser = find_corpus(tmp_path, "text")
    assert fisher.spelled_words(found) == {"ibq", "pc", "ceo"}
    assert normaliser.words("I B M and I B Q's by J O H N") == [
        *("i._b._m.", "and", "i._b._q.'s", "by", "j.", "o.", "h.", "n."),
    ]


def test_the_known_wrong_time_is_mended_in_its_call_alone(tmp_path: Path):
    path = put(tmp_path, "t", "31.09 234.06 A: yes\n")
    tally = Tally()
    assert fisher.read_transcript(path, "11487", tally)["A"] == [Turn(231.09, 234.06, "yes")]
    assert tally.counts.total() == 1
    assert fisher.read_transcript(path, "11488", tally)["A"] == [Turn(31.09, 234.06, "yes")]


def test_a_pin_of_a_man_and_a_woman_is_two_speakers(tmp_path: Path):
    head = "CALL_ID,DATE_TIME,TOPICID,SIG_GRADE,CNV_GRADE,"
    head += "APIN,ASX.DL,APHNUM,APHSET,APHTYP,BPIN,BSX.DL,BPHNUM,BPHSET,BPHTYP\n"
    rows = "00001,20030101,ENG01,4,3,12345,m.a,1,1,1,06972,f.a,2,1,1\n00002,20030101,ENG01,4,3,12345,f.a,1,1,1,,,,,\n"
    put(tmp_path, "fe_03_p1_calldata.tbl", head + rows)
    put(tmp_path, "fe_03_pindata.tbl", "PIN,S_SEX,S_AGE\n07000,M,40,00003_B/m.a;00001_A/m.a\n")
    put(tmp_path, "fe_03_p1_filelist.tbl", "fe_03_p1_sph1\t00002\tfm\n")
    put(tmp_path, "fe_03_00002.txt", "")
    found, tally = find_files(tmp_path), Tally()
    people = fisher.read_speakers(found, tally)
    assert {who: speaker.name for who, speaker in people.items()} == {
        ("00001", "A"): "fe_03_12345m",
        ("00001", "B"): "fe_03_06972f",
        ("00002", "A"): "fe_03_12345f",
        ("00003", "B"): "fe_03_07000m",
    }
    assert "fe_03_00002-B" in tally.lines()[0]
    call = next(fisher.read_calls(found, Tally()))
    assert call.speakers == {"A": Speaker("fe_03_12345f", "f"), "B": Speaker("fe_03_00002-B", "m")}


def test_calls_with_damaged_audio_are_left_out(tmp_path: Path):
    for number in ("00445", "00446", "01243", "06716"):
        put(tmp_path, f"fe_03_{number}.txt", "1.0 2.0 A: yes\n")
    tally = Tally()
    assert [call.id for call in fisher.read_calls(find_files(tmp_path), tally)] == ["fe_03_00445"]
    assert tally.counts.total() == 3


# ---- times


def test_turns_whose_times_cannot_be_are_dropped_or_cut_and_counted():
    tally = Tally()
    turns = [
        *(Turn(0.0, 2.0, "a"), Turn(2.0, 2.0, "none"), Turn(3.0, 2.0, "back"), Turn(-1.0, 2.0, "before")),
        *(Turn(9.0, 10.4, "cut"), Turn(9.99, 10.5, "nothing left"), Turn(9.0, 12.0, "much too long")),
        *(Turn(2.5, 8.0, "covers"), Turn(3.0, 4.0, "b"), Turn(3.5, 5.0, "c")),
    ]
    left = usable(turns, "sw02001-A", 10.0, 6.0, tally)
    assert [(t.text, t.end) for t in left] == [("a", 2.0), ("b", 4.0), ("c", 5.0), ("cut", 10.0)]
    assert dict(tally.counts) == {
        "utterances dropped, whose times cannot be": 3,
        "utterances dropped, which end behind their recording": 2,
        "utterances cut at the end of their recording": 1,
        "utterances dropped, over others of their side": 1,
    }
    assert usable([Turn(0.0, 6.5, "long")], "sw02001-A", 10.0, 6.0, tally) == []
    assert tally.counts["utterances dropped, longer than 6 s (max_seconds)"] == 1
