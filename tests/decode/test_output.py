import json

from asrpar.decode.output import write_decoded
from asrpar.decode.words import Hypothesis
from asrpar.score.trn import read_transcripts


def test_files_and_replacement(tmp_path):
    folder = tmp_path / "decode_test"
    hypotheses = [
        Hypothesis("b-2", ["TWO", "THREE"], [0.3, 0.6], [0.45, 0.9], -1.0),
        Hypothesis("a-1"),
    ]
    write_decoded(folder, hypotheses, {"b-2": "TWO THREE", "a-1": "ÉTÉ"}, {"lm_scale": 1.0})
    assert (folder / "hyp.trn").read_text(encoding="utf-8") == "(a-1)\nTWO THREE (b-2)\n"
    assert read_transcripts(folder / "ref.trn") == {"a-1": ["ÉTÉ"], "b-2": ["TWO", "THREE"]}
    assert (folder / "times.ctm").read_text() == "b-2 1 0.300 0.150 TWO\nb-2 1 0.600 0.300 THREE\n"
    assert json.loads((folder / "decode.json").read_text()) == {"lm_scale": 1.0}
    (folder / "wer.json").write_text("a score of the old hypotheses")
    write_decoded(folder, hypotheses[:1], {"b-2": "TWO"}, {})
    assert sorted(p.name for p in folder.iterdir()) == ["decode.json", "hyp.trn", "ref.trn", "times.ctm"]
    assert [p.name for p in tmp_path.iterdir()] == ["decode_test"]
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link"
    link.symlink_to(folder.rename(tmp_path / "disk" / "far"))
    write_decoded(link, hypotheses[:1], {"b-2": "ONE"}, {})
    assert link.is_symlink() and (tmp_path / "disk" / "far" / "ref.trn").read_text() == "ONE (b-2)\n"
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["far"]
