"""Hub5'00 and RT03: manifests from PEM and STM, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from calls import REFERENCE, SEGMENTS, SPHERE, call, line, make_hub5
from click.testing import CliRunner
from lhotse import CutSet, RecordingSet, SupervisionSet

from asrpar.cli import cli
from asrpar.corpus.corpora import hub5, rt03
from asrpar.corpus.nist.callset import utterance_id
from asrpar.corpus.nist.stm import StmSegment
from asrpar.errors import DataError

STM, GLM = f"{REFERENCE}/{hub5.STM}", f"{REFERENCE}/{hub5.GLM}"


def prepare(corpus, folder, name="hub5", partial=True):
    args = ["prepare-manifests", name, "--corpus-dir", folder, "--output", corpus / "manifests"]
    result = CliRunner().invoke(cli, [str(a) for a in args] + ["--partial"] * partial)
    if result.exception:
        raise result.exception
    return result.output


def test_manifests(tmp_path):
    prepare(tmp_path, make_hub5(tmp_path / "ldc"))
    folder = tmp_path / "manifests"
    supervisions = {s.id: s for s in SupervisionSet.from_file(folder / "supervisions_eval2000.jsonl.gz")}
    assert list(supervisions) == [
        "en_9001-A_000050-000200",
        "en_9001-A_000200-000350",
        "en_9001-B_000100-000250",  # the ignored segment is not among them
        "sw_9002-A_000020-000190",
        "sw_9002-B_000200-000390",
    ]
    b = supervisions["en_9001-B_000100-000250"]
    assert (b.text, b.speaker, b.channel, b.recording_id) == ("uh-huh the dog barked", "en_9001-B", 1, "en_9001")
    recordings = list(RecordingSet.from_file(folder / "recordings_eval2000.jsonl.gz"))
    assert [(r.id, r.num_channels, r.sampling_rate) for r in recordings] == [("en_9001", 2, 8000), ("sw_9002", 2, 8000)]
    # The cut of side B is of side B.
    cut = next(c for c in CutSet.from_file(folder / "cuts_eval2000.jsonl.gz") if c.id == b.id)
    audio = cut.load_audio()[0]
    assert np.abs(np.fft.rfft(audio)).argmax() * 8000 / len(audio) == pytest.approx(700, abs=2)
    stm = (folder / "stm_eval2000.stm").read_text()
    assert "((" not in stm and "ASIDE" not in stm and stm.count("IGNORE_TIME_SEGMENT") == 1
    assert stm.startswith(';; CATEGORY "0"') and (folder / "glm_eval2000.glm").read_text().startswith(";; The first")
    told = json.loads((folder / "hubscr_eval2000.json").read_text())
    assert told["acronyms"] == "letters" and told["subsets"] == {"swbd": "sw_", "callhm": "en_"} and not told["counts"]


def test_identifiers_are_cut_off_as_they_always_were():
    # 0.29 * 100 is a little less than 29.
    assert utterance_id(StmSegment("en_9001", "A", "", 0.29, 302.488, "", "")) == "en_9001-A_000028-030248"


def test_counts_of_the_whole_set(tmp_path):
    with pytest.raises(DataError, match=r"3 of 3 counts are not those of Hub5'00: .*\(swbd\): 2 instead of 1,831"):
        prepare(tmp_path, make_hub5(tmp_path / "ldc"), partial=False)
    assert not (tmp_path / "manifests" / "stm_eval2000.stm").exists()


def broken(kind, folder):
    stm, pem = folder / STM, folder / SPHERE / hub5.PEM
    if kind in ("pem", "glm", "sph"):
        {"pem": pem, "glm": folder / GLM, "sph": folder / SPHERE / "sw_9002.sph"}[kind].unlink()
    elif kind == "another stm":
        (folder / "copy").mkdir()
        (folder / "copy" / hub5.STM).write_text(stm.read_text() + line("sw_9002", "A", 3, 4, "<O,sw>", "SO"))
    elif kind == "segment":
        stm.write_text(stm.read_text() + line("sw_9002", "A", 3, 4, "<O,sw>", "SO"))
    elif kind == "short":
        call(folder / SPHERE / "en_9001.sph", 2.0)
    elif kind == "twice":
        stm.write_text(stm.read_text() + line(*SEGMENTS[0]))
    elif kind == "endless":
        stm.write_text(stm.read_text().replace("2.00 3.90", "2.00 inf"))
    elif kind == "bracket":
        stm.write_text(stm.read_text().replace("HE IS RIGHT", "(HE IS RIGHT"))
    elif kind == "mono":
        import soundfile

        soundfile.write(folder / SPHERE / "sw_9002.sph", np.zeros(32000), 8000, format="NIST", subtype="ULAW")
    elif kind == "rate":
        call(folder / SPHERE / "sw_9002.sph", rate=16000)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("pem", "does not hold Hub5'00: there is no hub5e_00.pem below it"),
        ("glm", "does not hold Hub5'00: there is no en20000405_hub5.glm below it"),
        ("sph", "1 of 2 conversations have no audio; the first: sw_9002.sph"),
        ("another stm", "holds several hub5e00.english.000405.stm that differ"),
        ("segment", "has 6 segments and .* 7, of which 1 are in one of them alone, such as sw_9002-A_000300-000400"),
        ("short", "1 of 2 recordings end before their segments, such as en_9001, which has 2 s of 3.5 s"),
        ("twice", "1 segments are there more than once, such as en_9001-A_000050-000200"),
        ("endless", r"000405\.stm:10: expected 'CONVERSATION A SPEAKER BEGIN END"),
        ("bracket", "sw_9002 B at 2 s: brackets do not match"),
        ("mono", "sw_9002.sph has 1 channels: a call has two sides"),
        ("rate", "1 of 2 recordings are not 8000 Hz with 2 channels"),
    ],
)
def test_bad_trees(tmp_path, kind, message):
    broken(kind, make_hub5(tmp_path / "ldc"))
    with pytest.raises(DataError, match=message) as error:
        prepare(tmp_path, tmp_path / "ldc")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "manifests" / "cuts_eval2000.jsonl.gz").exists()


def test_segments_behind_the_end_are_cut_or_left_out(tmp_path, caplog):
    late = [*SEGMENTS, ("sw_9002", "A", 3.5, 4.5, "<O,sw>", "SO"), ("sw_9002", "A", 4.5, 5.0, "<O,sw>", "WELL")]
    splits = hub5.prepare(make_hub5(tmp_path / "ldc", late), tmp_path / "work", partial=True)
    ends = [s.end for s in splits["eval2000"].supervisions if s.id.startswith("sw_9002-A")]
    assert ends == [1.9, 4.0] and "2 of 7 segments end behind their recording's end" in caplog.text
    assert "WELL" in splits["eval2000"].files["stm.stm"]


def test_names_in_capitals_and_links_to_discs(tmp_path):
    disc = make_hub5(tmp_path / "disc")
    (disc / SPHERE / "en_9001.sph").rename(disc / SPHERE / "EN_9001.SPH")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "LDC2002S09").symlink_to(disc / "data")
    (tmp_path / "all" / "LDC2002T43").symlink_to(disc / "transcripts")
    (disc / "data" / "loop").symlink_to(tmp_path / "all")
    assert len(hub5.prepare(tmp_path / "all", tmp_path / "work", partial=True)["eval2000"].supervisions) == 5


def test_rt03(tmp_path):
    root = tmp_path / "ldc/data"
    text = root / "references/eval03/english/cts"
    text.mkdir(parents=True)
    for name in ("fsh_9003", "sw_9004"):
        call(root / f"audio/eval03/english/cts/{name}.sph")
        lines = [
            f"{name} 1 {name}_1 0.100 1.500 <O,F> I. B. M. (UH) YES\n",
            f"{name} 1 inter_segment_gap 1.500 2.000 <O,F>\n",
            f"{name} 2 {name}_2 1.000 2.255 <O,M>\n",
        ]
        (text / f"{name}.stm").write_text(';; LABEL "O" "Overall" "Overall"\n' + "".join(lines))
    (root / "trans_rules").mkdir()
    (root / "trans_rules/en20030506.glm").write_text(";; map\n")
    # What the same folder holds of Hub5'00 is no concern of RT03.
    make_hub5(tmp_path / "ldc/hub5")
    prepare(tmp_path, tmp_path / "ldc", "rt03")
    folder = tmp_path / "manifests"
    supervisions = list(SupervisionSet.from_file(folder / "supervisions_rt03.jsonl.gz"))
    assert [(s.id, s.channel, s.text) for s in supervisions][:2] == [
        ("fsh_9003-A_000010-000150", 0, "i. b. m. yes"),
        ("fsh_9003-B_000100-000225", 1, ""),
    ]
    stm = (folder / "stm_rt03.stm").read_text()
    assert stm.count(";;") == 1 and "gap" not in stm and "fsh_9003 B fsh_9003_2 1 2.255 <O,M>\n" in stm
    assert json.loads((folder / "hubscr_rt03.json").read_text())["acronyms"] == "dots"
    shutil.copytree(text, tmp_path / "ldc/copy/references/eval03/english/cts")
    assert len(rt03.prepare(tmp_path / "ldc", tmp_path / "work", partial=True)["rt03"].supervisions) == 4
    again = tmp_path / "ldc/copy/references/eval03/english/cts/sw_9004.stm"
    again.write_text(again.read_text().replace("YES", "NO"))
    with pytest.raises(DataError, match=r"holds several sw_9004\.stm that differ"):
        rt03.check(tmp_path / "ldc")
    shutil.rmtree(text)
    shutil.rmtree(tmp_path / "ldc/copy")
    with pytest.raises(DataError, match="does not hold RT03: there is no references/eval03/english/cts"):
        rt03.check(tmp_path / "ldc")
