"""asrpar score with NIST's programs, as a user runs it."""

import json
import re
import shutil

import pytest
from calls import make_hub5
from click.testing import CliRunner

from asrpar.cli import cli
from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.score.sctk import programs

SAID = {
    "en_9001-A_000050-000200": "we're um here",
    "en_9001-A_000200-000350": "come in okay",
    "en_9001-B_000100-000250": "um-hum the dogs barked [noise]",
    "sw_9002-A_000020-000190": "i._b._m. is a companion",
    "sw_9002-B_000200-000390": "he's right",
}


def run(*args, expect=None):
    result = CliRunner().invoke(cli, [str(a) for a in args])
    if expect is not None:
        assert isinstance(result.exception, expect), result.output
        return str(result.exception)
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub5")
    corpus = make_hub5(folder / "ldc")
    run("prepare-manifests", "hub5", "--partial", "--corpus-dir", corpus, "--output", folder / "manifests")
    return folder / "manifests"


@pytest.fixture
def decoded(tmp_path):
    """``decoded(name, **other)``: an experiment that has recognised `SAID`, but for ``other`` words."""

    def make(name, other=()):
        folder = tmp_path / name / "decode_eval2000"
        folder.mkdir(parents=True)
        said = SAID | dict(other)
        said = {utt_id: words for utt_id, words in said.items() if words is not None}
        (folder / "hyp.trn").write_text("".join(f"{words} ({utt_id})\n" for utt_id, words in said.items()))
        (folder / "decode.json").write_text(json.dumps({"set": "eval2000", "unit": "words", "engine": "kaldi"}))
        with (folder / "times.ctm").open("w") as times:
            for utt_id, words in said.items():
                for i, word in enumerate(words.split()):
                    times.write(f"{utt_id} 1 {0.1 + 0.2 * i:.3f} 0.200 {word}\n")
        return tmp_path / name

    return make


def test_a_set_with_an_stm_is_scored_by_hubscr(sctk, manifests, decoded):
    exp = decoded("a")
    out = run("score", "--exp", exp, "--set", "eval2000", "--manifests", manifests)
    # Optional words, (%HESITATION) and (TH-), are among them, and so are both words of O. K.
    assert out.splitlines() == [
        "eval2000 %WER 4.55 [ 1 / 22, 0 ins, 0 del, 1 sub ]",
        "eval2000/swbd %WER 11.11 [ 1 / 9, 0 ins, 0 del, 1 sub ]",
        "eval2000/callhm %WER 0.00 [ 0 / 13, 0 ins, 0 del, 0 sub ]",
    ]
    folder = exp / "decode_eval2000"
    value = json.loads((folder / "wer.json").read_text())
    assert (value["metric"], value["errors"], value["ref_words"], value["sentences"]) == ("WER", 1, 22, 5)
    assert value["scored_by"] == "hubscr" and value["versions"]["sclite"].startswith("2.")
    assert value["subsets"]["swbd"]["wer"] == 11.1111 and value["subsets"]["callhm"]["errors"] == 0
    assert value["left_out"] == {"hesitations": 1, "noises": 1} and value["count_faults"] == []
    assert value["speakers"] == 4 and value["engine"] == "kaldi"
    for kind in ("sys", "raw", "pra", "sgml", "lur"):
        assert (folder / "sctk" / f"callhm.{kind}").is_file()
    assert "sw_9002-A_000020-000190:\ti b m is a (company->companion)" in (folder / "errs").read_text()
    assert (folder / "utt2spk").read_text().splitlines()[0] == "en_9001-A_000050-000200 en_9001_a"


def test_missing_hypotheses_are_deletions_and_times_may_be_unknown(sctk, manifests, decoded):
    exp = decoded("a", {"sw_9002-B_000200-000390": None, "sw_9002-A_000020-000190": None})
    (exp / "decode_eval2000" / "times.ctm").unlink()
    out = run("score", "--exp", exp, "--set", "eval2000", "--manifests", manifests)
    assert "eval2000/swbd %WER 100.00 [ 9 / 9, 0 ins, 9 del, 0 sub ]" in out
    assert "eval2000/callhm %WER 0.00" in out and "3 of 3 hypotheses have no times" in out
    assert "2 of 5 utterances have no hypothesis" in out


def test_two_systems_are_compared_as_hubscr_counts(sctk, manifests, decoded):
    exps = [decoded("a"), decoded("b", {"sw_9002-B_000200-000390": "she is wrong"})]
    for exp in exps:
        run("score", "--exp", exp, "--set", "eval2000", "--manifests", manifests)
    out = run("compare", *exps, "--set", "eval2000")
    assert re.search(r"a better than b: probability 0.\d+ \(not significant\); MAPSSWE Z \d", out)
    assert "probabilities are of resampled utterances, 4 speakers" in out
    part = run("compare", *exps, "--set", "eval2000", "--part", "swbd")
    assert part.splitlines()[1].split()[4] == "11.11" and "of resampled utterances, 2 speakers" in part
    message = run("compare", *exps, "--set", "eval2000", "--part", "fsh", expect=DataError)
    assert "no scores of a part fsh: it has callhm, swbd" in message
    assert "no character error rate" in run("compare", *exps, "--set", "eval2000", "--cer", expect=DataError)
    path = exps[1] / "decode_eval2000" / "wer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"reference_sha256": "x"}))
    assert "different references" in run("compare", *exps, "--set", "eval2000", expect=DataError)
    (exps[1] / "decode_eval2000" / "ref.trn").write_text("A (u)\n")
    run("score", "--exp", exps[1], "--set", "eval2000", "--engine", "asrpar", "--manifests", manifests)
    assert "some of these were scored by hubscr.pl" in run("compare", *exps, "--set", "eval2000", expect=DataError)


def test_counts_that_are_not_those_of_the_official_reference(sctk, manifests, decoded, tmp_path):
    copy = shutil.copytree(manifests, tmp_path / "copy")
    told = json.loads((copy / "hubscr_eval2000.json").read_text())
    told["counts"] = {"all": [5, 42989], "swbd": [2, 9]}
    (copy / "hubscr_eval2000.json").write_text(json.dumps(told))
    exp = decoded("a")
    message = run("score", "--exp", exp, "--set", "eval2000", "--manifests", copy, expect=DataError)
    assert "all: 22 words, -42967 against 42989" in message and "swbd" not in message
    assert json.loads((exp / "decode_eval2000" / "wer.json").read_text())["count_faults"]
    (copy / "hubscr_eval2000.json").write_text('{"name": "x"}')
    message = run("score", "--exp", exp, "--set", "eval2000", "--manifests", copy, expect=DataError)
    assert "is not what asrpar prepare-manifests writes" in message
    (copy / "glm_eval2000.glm").write_text("* no rules\nA B\n")
    (copy / "hubscr_eval2000.json").unlink()
    message = run("score", "--exp", exp, "--set", "eval2000", "--manifests", copy, expect=DataError)
    assert "hubscr.pl stopped (exit code 1): *ERR:r_process_data_line: no arrow, line='A B'" in message
    (copy / "glm_eval2000.glm").unlink()
    message = run("score", "--exp", exp, "--set", "eval2000", "--manifests", copy, expect=MissingInputError)
    assert "glm_eval2000.glm is missing: run stage 1" in message


def test_what_hubscr_does_not_count(sctk, manifests, decoded):
    args = ["score", "--exp", decoded("a"), "--set", "eval2000", "--manifests", manifests]
    assert "leave --measure and --optional-words out" in run(*args, "--measure", "cer", expect=ConfigError)
    assert "leave --measure and --optional-words out" in run(*args, "--optional-words", expect=ConfigError)


def test_one_line_where_sctk_is_not_installed(manifests, decoded, monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    args = ["score", "--exp", decoded("a"), "--set", "eval2000", "--manifests", manifests]
    message = run(*args, expect=MissingInputError)
    assert "SCTK is not installed" in message and "apt-get install sctk" in message and "\n" not in message
    (tmp_path / "sclite").touch(0o755)
    assert "has sclite, but not sc_stats, hubscr.pl" in run(*args, expect=MissingInputError)
    assert "%WER" in run(*args, "--engine", "asrpar")


def test_transcripts_are_counted_by_sclite(sctk, tmp_path):
    lines = {
        "a-1": ('A { B / C } (UH) "Q" X;Y 1,2', 'A C "Q" X;Z 1,2'),
        "a-(2)": ("Ä %2C <s>", "ä %2C <s>"),
        "b-3": ("", "X"),
        "b-4": ("A", None),
    }
    for name, column in (("ref.trn", 0), ("hyp.trn", 1)):
        rows = ((utt_id, texts[column]) for utt_id, texts in lines.items())
        (tmp_path / name).write_text("".join(f"{words} ({utt_id})\n" for utt_id, words in rows if words is not None))
    args = ["score", "--ref", tmp_path / "ref.trn", "--hyp", tmp_path / "hyp.trn", "--output", tmp_path / "out"]
    for options in ([], ["--optional-words"]):
        scored = {}
        for engine in ("asrpar", "sctk"):
            out = run(*args, *options, "--engine", engine)
            value = json.loads((tmp_path / "out" / "wer.json").read_text())
            assert ("scored_by" in value) == (engine == "sctk")
            kept = ("errors", "ref_words", "ins", "del", "sub", "cer_errors", "ci95", "speakers", "missing_hypotheses")
            files = [(tmp_path / "out" / name).read_text() for name in ("errs", "recogs", "utt2spk")]
            scored[engine] = out.splitlines()[-1], {key: value[key] for key in kept}, files
        assert scored["sctk"] == scored["asrpar"]
    assert scored["sctk"][1]["sub"] == 2 and (tmp_path / "out" / "sctk" / "all.pra").is_file()
    assert "sclite counts words here" in run(*args, "--engine", "sctk", "--measure", "cer", expect=ConfigError)
    (tmp_path / "hyp.trn").write_text("A (c-1)\n")
    assert "1 hypotheses have no reference" in run(*args, "--engine", "sctk", expect=DataError)
