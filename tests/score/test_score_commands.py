"""``asrpar score`` and ``asrpar compare`` as a user runs them."""

import json

import pytest
from click.testing import CliRunner

from asrpar.cli import cli
from asrpar.errors import AsrparError, ConfigError, DataError, MissingInputError
from asrpar.score.origin import origin
from asrpar.score.trn import read_transcripts, trn_line


def run(*args, expect=None):
    result = CliRunner().invoke(cli, [str(a) for a in args])
    if expect is not None:
        assert isinstance(result.exception, expect), result.output
        assert issubclass(expect, AsrparError)
        return str(result.exception)
    if result.exception:
        raise result.exception
    return result.output


def test_words_of_an_earlier_model_are_not_scored(tmp_path, experiment):
    exp = experiment("a", 2)
    (exp / "final.pt").write_bytes(b"one")
    path = exp / "decode_test" / "decode.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | origin(exp / "final.pt", exp)))
    run("score", "--exp", exp)
    run("compare", exp)
    (exp / "final.pt").write_bytes(b"two")
    assert "words of an earlier final.pt: decode again" in run("score", "--exp", exp, expect=DataError)
    assert "words of an earlier final.pt: decode again" in run("compare", exp, expect=DataError)
    # Nobody knows of a model that has been removed, or that is another experiment's.
    elsewhere = tmp_path / "b.pt"
    elsewhere.write_bytes(b"two")
    assert list(origin(elsewhere, exp)) == ["model_sha256"]
    (exp / "final.pt").unlink()
    run("compare", exp)


def test_ids_with_parentheses_are_read_back(tmp_path):
    (tmp_path / "x.trn").write_text(trn_line("A (NOISE)", "utt(1)") + trn_line("", "(2)u") + trn_line("B", "utt3"))
    assert read_transcripts(tmp_path / "x.trn") == {"utt(1)": ["A", "(NOISE)"], "(2)u": [], "utt3": ["B"]}


REFS = {f"s{i % 3}-{i:02d}": ["ONE", "TWO", "THREE", "FOUR"] for i in range(12)}


@pytest.fixture
def experiment(tmp_path, write_trn):
    """``experiment(name, wrong, **training)``: a decoded experiment with so many utterances of one error each."""

    def make(name, wrong, **training):
        folder = tmp_path / name / "decode_test"
        hyps = {u: ["ONE", "TOO", "THREE", "FOUR"] if i < wrong else w for i, (u, w) in enumerate(REFS.items())}
        write_trn(folder / "ref.trn", REFS)
        write_trn(folder / "hyp.trn", hyps)
        decode = {"set": "test", "lm_scale": 0.7, "beam": 16.0, "chosen_on": "dev", "engine": "kaldi", "unit": "words"}
        decode |= {"versions": {"torch": "2"}, "command": "asrpar decode", "dev_sweep": [1, 2]}
        (folder / "decode.json").write_text(json.dumps(decode))
        train = {"model": "tdnn", "strategy": "bmuf", "learners": 2, "seed": 0, "train_seconds": 50.0}
        train |= {"frames": 100000, "frames_per_second": 2000.0, "history": [1], "complete": True, **training}
        (tmp_path / name / "train.json").write_text(json.dumps(train))
        return tmp_path / name

    return make


def test_score_of_an_experiment(experiment):
    exp = experiment("a", 3)
    assert run("score", "--exp", exp) == "%WER 6.25 [ 3 / 48, 0 ins, 0 del, 3 sub ]\n"
    value = json.loads((exp / "decode_test" / "wer.json").read_text())
    assert (value["wer"], value["errors"], value["ref_words"]) == (6.25, 3, 48)
    assert (value["ins"], value["del"], value["sub"]) == (0, 0, 3)
    assert (value["sentences"], value["sentence_errors"], value["ser"]) == (12, 3, 25.0)
    assert value["ci95"][0] < 6.25 < value["ci95"][1]
    assert (value["lm_scale"], value["beam"], value["chosen_on"]) == (0.7, 16.0, "dev")
    assert value["versions"]["torch"] == "2" and value["versions"]["kaldialign"]
    assert value["git_hash"] and "score" not in value["decode_command"]
    assert value["training"]["strategy"] == "bmuf" and "history" not in value["training"]
    errs = (exp / "decode_test" / "errs").read_text()
    assert errs.startswith("%WER 6.25 [ 3 / 48, 0 ins, 0 del, 3 sub ]\n%SER 25.00 [ 3 / 12 ]\n%CER ")
    assert "3\tTWO -> TOO" in errs and "s0-00:\tONE (TWO->TOO) THREE FOUR" in errs and "s0-09" not in errs
    recogs = (exp / "decode_test" / "recogs").read_text().splitlines()
    assert recogs[0] == "s0-00:\tref=['ONE', 'TWO', 'THREE', 'FOUR']" and len(recogs) == 24
    again = (exp / "decode_test" / "errs").read_bytes()
    run("score", "--exp", exp)
    assert (exp / "decode_test" / "errs").read_bytes() == again
    assert not list(exp.rglob("*.tmp"))


def test_given_files_and_missing_hypotheses(tmp_path):
    (tmp_path / "text").write_text("a-1 ONE TWO\na-2 THREE\n")
    (tmp_path / "hyp.trn").write_text("ONE TWO TWO (a-1)\n")
    (tmp_path / "utt2spk").write_text("a-1 anna\na-2 ben\n")
    files = ["--ref", tmp_path / "text", "--hyp", tmp_path / "hyp.trn", "--utt2spk", tmp_path / "utt2spk"]
    out = run("score", *files, "--output", tmp_path / "out")
    assert "%WER 66.67 [ 2 / 3, 1 ins, 1 del, 0 sub ]" in out and "1 of 2 utterances have no hypothesis" in out
    value = json.loads((tmp_path / "out" / "wer.json").read_text())
    assert value["missing_hypotheses"] == ["a-2"] and value["lm_scale"] is None
    assert "ben\t 100.00" in (tmp_path / "out" / "errs").read_text()
    (tmp_path / "hyp.trn").write_text("")
    assert "100.00" in run("score", *files, "--output", tmp_path / "out")


def test_text_without_blanks_is_scored_by_characters(tmp_path, experiment, write_trn):
    exps = [experiment("a", 1), experiment("b", 2)]
    refs = {f"s-{i}": ["设定二十九度"] for i in range(4)}
    for exp, wrong in zip(exps, (1, 2), strict=True):
        write_trn(exp / "decode_test" / "ref.trn", refs)
        hyps = {u: list("设定二十九度" if i >= wrong else "设定三十度") for i, u in enumerate(refs)}
        write_trn(exp / "decode_test" / "hyp.trn", hyps)
        assert run("score", "--exp", exp).startswith(f"%CER {100 * 2 * wrong / 24:.2f} [ {2 * wrong} / 24, 0 ins, ")
    value = json.loads((exps[0] / "decode_test" / "wer.json").read_text())
    assert value["metric"] == "CER" and value["wer"] == value["cer"] and value["cer_ci95"] == value["ci95"]
    assert (value["cer_errors"], value["cer_ref_characters"]) == (2, 24)
    out = run("compare", *exps)
    assert "CER %" in out and "a better than b: probability" in out
    assert run("score", "--exp", exps[0], "--measure", "wer").startswith("%WER 575.00")
    assert "CER and WER cannot be compared" in run("compare", *exps, expect=DataError)
    assert "CER %" in run("compare", "--cer", *exps)


def test_words_in_brackets(tmp_path, experiment):
    (tmp_path / "ref.trn").write_text("A (UH) B (s-1)\nC (s-2)\n")
    (tmp_path / "hyp.trn").write_text("A B (s-1)\nC (s-2)\n")
    args = ["score", "--ref", tmp_path / "ref.trn", "--hyp", tmp_path / "hyp.trn", "--output", tmp_path / "out"]
    out = run(*args)
    assert "%WER 25.00 [ 1 / 4" in out and "1 words in brackets count as words" in out
    assert run(*args, "--optional-words").startswith("%WER 0.00 [ 0 / 4")
    exps = [experiment("a", 1), experiment("b", 2)]
    run("score", "--exp", exps[0])
    run("score", "--exp", exps[1], "--optional-words")
    assert "scored with --optional-words: score all" in run("compare", *exps, expect=DataError)


def test_phones_are_called_phones(experiment):
    exp = experiment("a", 1)
    path = exp / "decode_test" / "decode.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "unit": "tokens"}))
    assert run("score", "--exp", exp).startswith("%PER 2.08")
    assert json.loads((exp / "decode_test" / "wer.json").read_text())["metric"] == "PER"
    assert "PER %" in run("compare", exp)
    words = experiment("b", 1)
    run("score", "--exp", words)
    assert "no character error rate to compare" in run("compare", "--cer", exp, words, expect=DataError)
    assert "without --measure" in run("score", "--exp", exp, "--measure", "cer", expect=ConfigError)
    assert "PER and WER cannot be compared" in run("compare", exp, words, expect=DataError)


def test_mistakes(experiment, tmp_path):
    exp = experiment("a", 1)
    assert "decode_dev is missing: run asrpar decode" in run(
        "score", "--exp", exp, "--set", "dev", expect=MissingInputError
    )
    assert "give --exp, or all of" in run("score", "--ref", "x", expect=ConfigError)
    assert "one --set at a time" in run("score", "--exp", exp, "--set", "a,b", "--ref", "x", expect=ConfigError)
    assert "--set is empty" in run("score", "--exp", exp, "--set", ",", expect=ConfigError)
    (exp / "decode_test" / "decode.json").write_text("{")
    assert "decode.json is no JSON" in run("score", "--exp", exp, expect=DataError)
    assert "run asrpar score" in run("compare", exp, expect=MissingInputError)
    assert "--suffix '../x'" in run("compare", exp, "--suffix", "../x", expect=ConfigError)
    for odd in ('{"wer": 3}', "[]", '{"wer": "3", "ci95": [1, 2]}', '{"wer": NaN, "ci95": [1, 2]}',
                '{"wer": 3, "ci95": [1, 2], "training": 3}'):  # fmt: skip
        (exp / "decode_test" / "wer.json").write_text(odd)
        assert "no result of asrpar score" in run("compare", exp, expect=DataError)


@pytest.mark.parametrize("summary", ["[1]", '{"time": 3}', "{}", "3"])
def test_what_train_json_does_not_tell_is_left_blank(experiment, summary):
    exp = experiment("a", 1)
    run("score", "--exp", exp)
    (exp / "train.json").write_text(summary)
    assert run("compare", exp).splitlines()[1].startswith("a ")


def test_experiments_without_any_hypothesis_are_compared(experiment):
    exps = [experiment("a", 1), experiment("b", 2)]
    (exps[1] / "decode_test" / "hyp.trn").write_text("")
    for exp in exps:
        run("score", "--exp", exp)
    assert "a better than b: probability 1.000" in run("compare", *exps)


def test_compare(experiment, tmp_path):
    sent = {"ranks": [{"bytes_sent": 2e9}, {"bytes_sent": 1.5e9}]}
    exps = [experiment(f"bmuf_{s}", 2 + s, seed=s, time=sent) for s in (1, 2, 3)]
    exps.append(experiment("ssgd_1", 12, strategy="ssgd", seed=1, time={"staleness": {"mean": 1.251, "max": 7}}))
    for exp in exps:
        run("score", "--exp", exp)
    out = run("compare", *exps, "--markdown", tmp_path / "table.md")
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["experiment", "strategy", "learners", "seed"]
    assert lines[1].split()[:5] == ["bmuf_1", "bmuf", "2", "1", "6.25"]
    assert lines[1].split()[-5:] == ["50", "s", "2000", "3.5", "-"]
    assert lines[4].split()[-3:] == ["-", "1.25,", "7"]
    assert "bmuf, 2 learners, model tdnn, 3 runs, seeds 1, 2, 3: WER 8.33 ± 2.08 %" in out
    assert "ssgd, 2" not in out
    assert "bmuf_1 better than ssgd_1: probability 1.000 (significant at 5 %)" in out
    assert "bmuf_1 better than bmuf_2: probability 0.8" in out
    markdown = (tmp_path / "table.md").read_text()
    assert markdown.startswith("| experiment | strategy | learners | seed | WER % |")
    assert "- bmuf_1 better than bmuf_2" in markdown


def test_the_table_names_the_processors_of_its_times(experiment, tmp_path):
    amx, plain = ({"versions": {"CPU": f"Xeon ({units})"}} for units in ("amx_bf16, avx2", "avx2"))
    exps = [experiment("a", 1, **amx), experiment("b", 2, **amx), experiment("c", 3, **plain), experiment("d", 4)]
    exps.append(experiment("e", 5, virtual=True, **plain))
    for exp in exps:
        run("score", "--exp", exp)
    same = run("compare", *exps[:2], "--markdown", tmp_path / "table.md")
    assert "\n\ntrained on Xeon (amx_bf16, avx2)\n" in same
    assert "\n\n- trained on Xeon (amx_bf16, avx2)\n" in (tmp_path / "table.md").read_text()
    assert "\n\ntrained on Xeon (amx_bf16, avx2): a, b\ntrained on Xeon (avx2): c\n" in run("compare", *exps)


def test_what_is_no_experiment_is_left_out(experiment, tmp_path):
    exps = [experiment("a", 1), experiment("b", 2)]
    run("score", "--exp", exps[0])
    (tmp_path / "data").mkdir()
    (tmp_path / "table.md").touch()
    others = [tmp_path / "data", tmp_path / "table.md", exps[1]]
    result = CliRunner().invoke(cli, ["compare", *map(str, [*others, exps[0]])])
    assert result.exit_code == 0
    assert f"note: {tmp_path / 'data'} is no experiment" in result.stderr and "table.md is no exp" in result.stderr
    assert f"{exps[1]}/decode_test is not there or not scored" in result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["experiment", "a"]
    nothing = run("compare", *others, expect=MissingInputError)
    assert nothing.startswith("there is nothing to compare: ") and "asrpar score" in nothing
    assert "data is no experiment" in run("compare", tmp_path / "data", expect=MissingInputError)
    assert "there is no experiment nowhere" in run("compare", exps[0], "nowhere", expect=MissingInputError)


@pytest.mark.parametrize("digest", ["config_digest", "data_digest"])
def test_runs_of_other_settings_or_data_are_no_repetitions(experiment, digest):
    exps = [experiment(f"{d}_{s}", 2 + s, seed=s, **{digest: d}) for d in ("fast", "slow") for s in (1, 2)]
    for exp in exps:
        run("score", "--exp", exp)
    lines = [line for line in run("compare", *exps).splitlines() if "runs, seeds" in line]
    assert len(lines) == 2 and all("2 runs, seeds 1, 2" in line for line in lines)
    assert not [line for line in run("compare", exps[0], exps[3]).splitlines() if "runs, seeds" in line]


def test_intervals_and_comparisons_are_of_speakers(experiment, tmp_path):
    exps = [experiment("a", 1), experiment("b", 12)]
    (tmp_path / "utt2spk").write_text("".join(f"{u} spk{i // 2}\n" for i, u in enumerate(REFS)))
    for exp in exps:
        run("score", "--exp", exp)
        value = json.loads((exp / "decode_test" / "wer.json").read_text())
        assert (value["speakers"], value["ci95_of"]) == (3, "utterances")
        run("score", "--exp", exp, "--utt2spk", tmp_path / "utt2spk")
        value = json.loads((exp / "decode_test" / "wer.json").read_text())
        assert (value["speakers"], value["ci95_of"]) == (6, "speakers")
        assert "(bootstrap over speakers)" in (exp / "decode_test" / "errs").read_text()
        written = (exp / "decode_test" / "utt2spk").read_text().splitlines()
        assert written == sorted((tmp_path / "utt2spk").read_text().splitlines())
    out = run("compare", *exps)
    assert "a better than b: probability 1.000 (significant at 5 %); MAPSSWE Z 11.00, p 0.000 (significant)" in out
    assert out.endswith("probabilities are of resampled speakers, 6 speakers\n")
    (exps[0] / "decode_test" / "utt2spk").write_text("s0-00 a\n")
    assert "utt2spk lacks 11 utterances, such as" in run("compare", *exps, expect=DataError)


def test_compare_refuses_other_references(experiment, write_trn):
    exps = [experiment("a", 1), experiment("b", 2)]
    write_trn(exps[1] / "decode_test" / "ref.trn", {**REFS, "s0-00": ["ELEVEN"]})
    for exp in exps:
        run("score", "--exp", exp)
    assert "different references" in run("compare", *exps, expect=DataError)


def test_one_experiment_needs_no_partner(experiment):
    exp = experiment("a", 1)
    run("score", "--exp", exp)
    assert len(run("compare", exp, exp).splitlines()) == 2


def test_references_of_stage_1_count_dropped_utterances_as_deleted(experiment, tmp_path):
    from lhotse import Recording, SupervisionSegment

    from asrpar.corpus.manifests import Split, write_manifests

    words = dict.fromkeys([*REFS, "s9-99"], "ONE TWO THREE FOUR")
    recordings = [Recording(u, [], 16000, 16000, 1.0) for u in words]
    supervisions = [SupervisionSegment(u, u, 0, 1.0, text=t, speaker=f"spk{u[:2]}") for u, t in words.items()]
    write_manifests(tmp_path / "manifests", {"test": Split(recordings, supervisions)})
    exp = experiment("a", 3)
    before = (exp / "decode_test" / "ref.trn").read_bytes()
    run("score", "--exp", exp, "--manifests", tmp_path / "manifests", "--output", tmp_path / "elsewhere")
    assert (exp / "decode_test" / "ref.trn").read_bytes() == before
    assert "(s9-99)" in (tmp_path / "elsewhere" / "ref.trn").read_text()
    assert not (exp / "decode_test" / "wer.json").exists()
    message = run("score", "--exp", exp, "--manifests", tmp_path, "--utt2spk", tmp_path / "x", expect=ConfigError)
    assert "give --utt2spk or --manifests, not both" in message
    printed = run("score", "--exp", exp, "--manifests", tmp_path / "manifests")
    assert "%WER 13.46 [ 7 / 52, 0 ins, 4 del, 3 sub ]" in printed
    assert "1 of 13 utterances have no hypothesis" in printed
    assert "spks9" in (exp / "decode_test" / "errs").read_text()
