"""SCTK's own tests on its own data: the numbers that it ships as right ones (src/sclite/testdata/base)."""

import re

import pytest

from asrpar.corpus.nist.stm import mended, read_stm
from asrpar.score.sctk.hubscr import run_hubscr
from asrpar.score.sctk.sgml import check_total, read_sgml, to_score
from asrpar.score.trn import read_transcripts
from asrpar.score.wer import score

pytestmark = pytest.mark.corpora


def totals(scored):
    """(segments, words, correct, substituted, deleted, inserted, errors, segments with errors)."""
    c = scored.total
    return len(scored.utterances), c.ref, c.ref - c.sub - c.dele, c.sub, c.dele, c.ins, c.errors, scored.sentence_errors


def aligned(path):
    segments = [(str(i), s.speaker, s.pairs) for i, s in enumerate(read_sgml(path))]
    return to_score(segments, set())


@pytest.mark.parametrize(
    ("name", "ref", "hyp", "expected"),
    [
        ("test1", "csrnab.ref", "csrnab.hyp", (51, 1406, 1263, 131, 12, 26, 169, 38)),
        ("test3", "lvc_ref.stm", "lvc_hyp.ctm", (61, 1779, 1013, 540, 226, 171, 937, 60)),
        ("test3a", "lvc_refe.stm", "lvc_hyp.ctm", (58, 1672, 957, 503, 212, 165, 880, 57)),
    ],
)
def test_sclite(sctk, corpora, tmp_path, name, ref, hyp, expected):
    folder = corpora / "hub5_formats"
    kinds = (ref[-3:], hyp[-3:]) if ref.endswith("stm") else ("trn", "trn")
    files = ("-r", str(folder / ref), kinds[0], "-h", str(folder / hyp), kinds[1])
    sctk.run("sclite", *files, "-i", "wsj", "-f", "0", "-O", ".", "-n", name, "-o", "sgml", "rsum", cwd=tmp_path)
    scored = aligned(tmp_path / f"{name}.sgml")
    assert totals(scored) == expected
    check_total(scored, tmp_path / f"{name}.raw")


def test_the_same_without_sclite(corpora, tmp_path):
    sides = []
    for side in ("ref", "hyp"):
        # sclite takes no notice of case, unless told to.
        text = (corpora / "hub5_formats" / f"csrnab.{side}").read_text().lower()
        (tmp_path / f"{side}.trn").write_text(text)
        sides.append(read_transcripts(tmp_path / f"{side}.trn"))
    assert totals(score(*sides)) == (51, 1406, 1263, 131, 12, 26, 169, 38)


def test_hubscr(sctk, corpora, tmp_path):
    """The data of its test1; its word map is not among them, and RT03's makes other words."""
    folder = corpora / "hub5_formats"
    counts = set()
    for n, stm in enumerate(
        ((folder / "lvc_refe.stm").read_text(), mended(read_stm(folder / "lvc_refe.stm"), "").text())
    ):
        place = tmp_path / str(n)
        place.mkdir()
        run_hubscr(sctk, place, stm, (folder / "lvc_hyp.ctm").read_text(), folder / "en20030506.glm")
        scored = aligned(place / "hyp.ctm.filt.sgml")
        check_total(scored, place / "hyp.ctm.filt.raw")
        counts.add(totals(scored))
        assert re.search(r"Percent Total Error\s+=\s+54.6%", (place / "hyp.ctm.filt.dtl").read_text())
    # What we read and write of a reference is the reference.
    assert counts == {(58, 1677, 957, 514, 206, 196, 916, 57)}
