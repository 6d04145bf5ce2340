import numpy as np
import pytest
from minidata import asrpar

from asrpar.hmm.alignment_files import Aligned, writing_alignments
from asrpar.hmm.alignments import AlignmentInfo, Alignments


@pytest.fixture(scope="module")
def exported(flat, tmp_path_factory):
    output = tmp_path_factory.mktemp("exported") / "out"
    asrpar("export-alignment", "--ali", flat, "--output", output, "--format", "ctm,textgrid", "--sets", "dev")
    return output


def test_ctm_has_each_word_and_phone(flat, exported):
    utterances = sorted(Alignments.open(flat).utterances("dev"), key=lambda u: u.id)
    for kind in ("words", "phones"):
        lines = [line.split() for line in (exported / f"{kind}_dev.ctm").read_text().splitlines()]
        wanted = [(u.id, symbol, start) for u in utterances for symbol, start, _ in getattr(u, kind)]
        assert [(x[0], x[4], float(x[2])) for x in lines] == [(u, s, pytest.approx(t, abs=6e-4)) for u, s, t in wanted]


def test_text_grids_have_no_gaps(flat, exported):
    found = sorted((exported / "textgrid_dev").iterdir())
    utterances = {f"{u.id}.TextGrid": u for u in Alignments.open(flat).utterances("dev")}
    assert [path.name for path in found] == sorted(utterances)
    for path in found:
        end = utterances[path.name].seconds
        values = [line.split(" = ")[1] for line in path.read_text().splitlines() if "            xm" in line]
        begins, ends = np.array(values[0::2], float), np.array(values[1::2], float)
        tiers = np.flatnonzero(begins == 0)
        assert len(tiers) == 2 and np.array_equal(np.delete(begins, tiers), np.delete(ends, [tiers[1] - 1, -1]))
        assert ends[-1] == ends[tiers[1] - 1] == pytest.approx(end)
    text = found[0].read_text()
    assert [w for w in utterances[found[0].name].text.split() if f'text = "{w}"' not in text] == []


def test_what_is_there_already_stays(flat, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    done = asrpar("export-alignment", "--ali", flat, "--output", tmp_path / "out", check=False)
    assert (
        "holds something else than times of an alignment (mine.txt)" in done.stderr
        and (tmp_path / "out" / "mine.txt").exists()
    )
    done = asrpar("export-alignment", "--ali", flat, "--output", tmp_path / "a", "--format", "textgird", check=False)
    assert "textgrid" in done.stderr and done.returncode == 1


def test_labels_without_phones_have_no_times(flat, tmp_path):
    tree = Alignments.open(flat).tree
    with writing_alignments(tmp_path / "ali", tree, AlignmentInfo("imported")) as out, out.split("train") as train:
        train.add(Aligned("u", np.array([0, 1, 2])))
    done = asrpar("export-alignment", "--ali", tmp_path / "ali", "--output", tmp_path / "out", check=False)
    assert "no phones, as of an imported alignment: there is no ctm of it" in done.stderr
