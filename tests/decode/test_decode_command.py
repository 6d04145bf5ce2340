"""``asrpar decode`` as a user runs it: real features, language, graph and an untrained model."""

import dataclasses
import json
import shutil

import pytest
import torch
from decoding import RATE, SMALL, run, save_model
from lhotse import CutSet

from asrpar.config import load_config, save_config
from asrpar.decode.references import count_errors
from asrpar.decode.telling import Tally
from asrpar.decode.words import Hypothesis
from asrpar.errors import AsrparError
from asrpar.feats.config import FeatureConfig
from asrpar.feats.extract import extract_features
from asrpar.graph.config import GraphConfig
from asrpar.graph.make import make_graph


def test_dev_and_test_are_decoded_and_scored(exp, data):
    arguments = ["decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", "--lang", data / "lang"]
    run(*arguments, *SMALL)
    for name, count in (("dev", 4), ("test", 5)):
        folder = exp / f"decode_{name}"
        assert sorted(p.name for p in folder.iterdir()) == ["decode.json", "hyp.trn", "ref.trn", "times.ctm"]
        value = json.loads((folder / "decode.json").read_text())
        assert (value["set"], value["engine"], value["chosen_on"], value["utterances"]) == (name, "kaldi", "dev", count)
        assert value["real_time_factor"] > 0 and value["audio_seconds"] == pytest.approx(
            sum(5000 + 700 * i for i in range(count)) / RATE, abs=0.02 * count
        )
        assert value["versions"]["torch"] and value["git_hash"] and value["model"].endswith("final.pt")
        table = value["dev_sweep"]
        assert [row["lm_scale"] for row in table] == [0.5, 1.0]
        chosen = next(row for row in table if row["lm_scale"] == value["lm_scale"])
        assert chosen["errors"] == min(row["errors"] for row in table)
        refs = (folder / "ref.trn").read_text().splitlines()
        assert len(refs) == count and refs[0] == f"YES NO (spk0-{name}0)"
    before = (exp / "decode_test" / "hyp.trn").read_text()
    run("score", "--exp", exp, "--set", "dev,test")
    dev = json.loads((exp / "decode_dev" / "wer.json").read_text())
    assert dev["errors"] == chosen["errors"] and dev["lm_scale"] == value["lm_scale"]
    run(*arguments, *SMALL)
    assert (exp / "decode_test" / "hyp.trn").read_text() == before
    assert not (exp / "decode_test" / "wer.json").exists()
    assert "decode" in (exp / "log" / "decode.log").read_text()


def decoded(exp, name="test"):
    return json.loads((exp / f"decode_{name}" / "decode.json").read_text())


def test_without_dev_the_choice_is_that_of_before(exp, data, tmp_path, caplog):
    arguments = ["decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph"]
    alone = [*arguments, *SMALL, "--dev", ""]
    with pytest.raises(AsrparError, match=r"span 2 settings, and .*/exp has no choice among them .*: give --dev"):
        run(*alone)
    run(*alone, "--set", "lm_scales=[0.7]")
    assert (decoded(exp)["lm_scale"], decoded(exp)["chosen_on"]) == (0.7, None)
    assert not (exp / "decode_dev").exists()
    run(*arguments, *SMALL)
    chosen = decoded(exp)
    shutil.rmtree(exp / "decode_test")
    caplog.clear()
    run(*alone)
    found = decoded(exp)
    assert [found[k] for k in ("lm_scale", "beam", "chosen_on")] == [chosen["lm_scale"], 8.0, "dev"]
    assert found["choice_from"] == "decode_dev" and "as was chosen on dev" in (exp / "log/decode.log").read_text()
    with pytest.raises(AsrparError, match="span 2 settings"):  # neither of which is the chosen one
        run(*alone, "--set", "lm_scales=[0.1,0.2]")
    # Another model, or graph, is another choice.
    torch.save(torch.load(exp / "final.pt", weights_only=True) | {"notes": {"seed": 1}}, exp / "final.pt")
    with pytest.raises(AsrparError, match="no choice among them for this model"):
        run(*alone)


def make_other_features(feats):
    path = feats / "cuts_test.jsonl.gz"
    cuts = list(CutSet.from_file(path))
    CutSet.from_cuts(cuts[1:]).to_file(path)


def test_another_graph_engine_model_or_data_does_not_overwrite(exp, data, tmp_path):
    def decode(*more, graph=data / "graph", feats=data / "feats"):
        places = ["--feats", feats, "--graph", graph]
        run("decode", "--exp", exp, *places, "--dev", "", "--jobs", "1", "--set", "lm_scales=[0.7]", *more)

    decode()
    before = (exp / "decode_test" / "hyp.trn").read_bytes()
    copied, other = tmp_path / "copied", tmp_path / "other"
    shutil.copytree(data / "graph", copied)
    lang = shutil.copytree(data / "lang", tmp_path / "lang")
    arpa = (lang / "lm.arpa").read_text().replace("-0.", "-1.", 1)
    (lang / "lm.arpa").write_text(arpa)
    make_graph(GraphConfig(), lang, other)
    decode(graph=copied)  # the same graph
    refused = r"decode_test holds another decoding \(.*{}.*\): give --suffix NAME"
    with pytest.raises(AsrparError, match=refused.format("graph .*copied, now .*other")):
        decode(graph=other)
    with pytest.raises(AsrparError, match=refused.format("engine kaldi, now greedy")):
        decode("--engine", "greedy", "--lang", data / "lang")
    shutil.copy(exp / "final.pt", exp / "second.pt")
    with pytest.raises(AsrparError, match=refused.format("model final.pt, now second.pt")):
        decode("--model", "second.pt", graph=copied)
    shutil.copytree(data / "feats", tmp_path / "feats")
    decode(graph=copied, feats=tmp_path / "feats")  # the same features
    make_other_features(tmp_path / "feats")
    decode(graph=copied)
    with pytest.raises(AsrparError, match=refused.format("features in .*/data.*/feats, now .*/feats")):
        decode(graph=copied, feats=tmp_path / "feats")
    with pytest.raises(AsrparError, match="--suffix 'a/b'"):
        decode("--suffix", "a/b")
    assert (exp / "decode_test" / "hyp.trn").read_bytes() == before

    decode("--suffix", "big", graph=other)
    assert decoded(exp, "test_big")["graph"] == str(other) and decoded(exp)["graph"] == str(copied)
    assert decoded(exp, "test_big")["graph_sha256"] != decoded(exp)["graph_sha256"]
    (exp / "decode_test_file").write_text("mine")
    with pytest.raises(AsrparError, match="decode_test_file is no folder: remove it, or give --suffix"):
        decode("--suffix", "file", graph=copied)
    assert (exp / "decode_test_file").read_text() == "mine"
    run("score", "--exp", exp)
    run("score", "--exp", exp, "--suffix", "big")
    lines = run("compare", exp, "--suffix", "", "--suffix", "big").splitlines()
    assert [line.split("  ")[0] for line in lines[1:3]] == ["exp", "exp (big)"]
    with pytest.raises(AsrparError, match=r"run asrpar score .*--suffix small"):
        run("compare", exp, "--suffix", "small")
    # A graph made anew in its place is decoded with, and said to be another.
    shutil.rmtree(copied)
    shutil.copytree(other, copied)
    decode(graph=copied)
    assert "was made anew since" in (exp / "log" / "decode.log").read_text()


def test_a_model_that_says_nothing_is_warned_of(exp, data):
    saved = torch.load(exp / "final.pt", weights_only=True)
    bias = [name for name, value in saved["weights"].items() if value.shape == (6,)]
    saved["weights"][bias[-1]][0] += 100.0  # blank
    torch.save(saved, exp / "final.pt")
    run("decode", "--exp", exp, "--feats", data / "feats", "--engine", "greedy", "--lang", data / "lang")
    found = decoded(exp)
    assert found["empty"] == 5 and "all 5 utterances with words are recognised as nothing" in found["warnings"][0]
    assert "WARNING" in (exp / "log" / "decode.log").read_text()


def test_half_of_the_utterances_empty_is_worth_a_warning():
    spoken = [Hypothesis(f"u{i}", ["A"] if i < 2 else []) for i in range(4)]
    found = Tally.of(spoken, dict.fromkeys(["u0", "u1", "u2", "u3"], "A")).warnings()
    assert found[0].startswith("2 of 4 utterances with words")
    assert not Tally.of(spoken, {"u0": "A", "u1": "A", "u2": "A", "u3": ""}).warnings()  # nothing was said there
    assert not Tally.of([], {}).warnings()


def test_greedy_phones_are_scored_as_phones(exp, data):
    arguments = ["decode", "--exp", exp, "--feats", data / "feats", "--engine", "greedy"]
    with pytest.raises(AsrparError, match="gives phones, not words"):
        run(*arguments, "--graph", data / "graph")
    run(*arguments, "--lang", data / "lang")
    folder = exp / "decode_test"
    assert (folder / "ref.trn").read_text().startswith("Y EH S N OW (spk0-test0)\n")
    value = json.loads((folder / "decode.json").read_text())
    assert (value["unit"], value["chosen_on"]) == ("tokens", None) and "lm_scale" not in value
    assert run("score", "--exp", exp).startswith("%PER ")


def test_a_model_without_a_blank(tmp_path, data):
    exp = save_model(tmp_path / "exp", 6, loss="frame_ce", blank=None)
    places = ["decode", "--exp", exp, "--feats", data / "feats", "--lang", data / "lang"]
    with pytest.raises(AsrparError, match=r"the model has no blank class, but .* topology ctc, which has class 0"):
        run(*places, "--graph", data / "graph")
    with pytest.raises(AsrparError, match=r"blank_penalties: \[1.0\] are for models with a blank class"):
        run(*places, "--engine", "greedy", "--set", "blank_penalties=[1]")
    run(*places, "--engine", "greedy")
    assert "blank_penalty" not in decoded(exp)
    # Each frame belongs to a unit.
    assert decoded(exp)["empty"] == 0 and (exp / "decode_test" / "times.ctm").read_text().startswith(
        "spk0-test0 1 0.000"
    )


def test_greedy_characters_are_scored_as_words(tmp_path, data):
    classes = len((data / "chars" / "tokens.txt").read_text().split("#0")[0].split()) // 2
    exp = save_model(tmp_path / "chars", classes)
    run("decode", "--exp", exp, "--feats", data / "feats", "--engine", "greedy", "--lang", data / "chars")
    assert (exp / "decode_test" / "ref.trn").read_text().startswith("YES NO (spk0-test0)\n")
    assert run("score", "--exp", exp).startswith("%WER ")


def test_model_that_diverged(exp, data):
    saved = torch.load(exp / "final.pt", weights_only=True)
    for tensor in saved["weights"].values():
        if tensor.is_floating_point():
            tensor.fill_(float("nan"))
    torch.save(saved, exp / "final.pt")
    with pytest.raises(AsrparError, match="NaN for every utterance"):
        run("decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", *SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--exp", "nowhere"], "no experiment nowhere: run asrpar train"),
        (["--feats", "nowhere"], "no features in nowhere: run asrpar extract-features"),
        (["--graph", "nowhere"], "nowhere.tokens.txt is missing: run asrpar make-graph"),
        (["--lang", "nowhere"], "nowhere.*is missing"),
        (["--model", "epoch-3.pt"], "epoch-3.pt is missing: run asrpar train"),
        (["--test", "test,eval"], "no set 'eval'; it has dev, test, train"),
        (["--test", "", "--dev", ""], "no set to decode"),
        (["--engine", "kalid"], "engine 'kalid' is unknown; did you mean 'kaldi'"),
        (["--set", "lm_scale=1"], "did you mean 'lm_scales'"),
        (["--set", "device=gpu"], "device 'gpu' is unknown; did you mean 'cpu'"),
        (["--config", "nowhere.yaml"], "no configuration file nowhere.yaml"),
    ],
)
def test_mistakes(exp, data, change, message):
    arguments = ["decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", *SMALL, *change]
    with pytest.raises(AsrparError, match=message):
        run(*arguments)


def test_graph_of_another_language(tmp_path, data):
    exp = save_model(tmp_path / "other", 9)
    with pytest.raises(AsrparError, match=r"the model has 9 classes, but .*tokens\.txt has 6 tokens"):
        run("decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", *SMALL)
    with pytest.raises(AsrparError, match=r"not made from .*chars"):
        run("decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", "--lang", data / "chars")


def test_a_model_of_an_earlier_version_is_decoded_with_a_warning(tmp_path, data):
    exp = save_model(tmp_path / "exp", 6)
    run("decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", *SMALL)
    assert (exp / "log" / "decode.log").read_text().count("does not say which features and units") == 1


def test_units_under_other_names_are_refused(exp, data, tmp_path):
    graph = shutil.copytree(data / "graph", tmp_path / "graph")
    (graph / "files.sha256").unlink(missing_ok=True)  # as if it was made so
    tokens = (graph / "tokens.txt").read_text()
    (graph / "tokens.txt").write_text(tokens.replace("OW ", "AX "))
    with pytest.raises(AsrparError, match=r"tokens\.txt has other units than .*final\.pt .*\(unit \d: OW -> AX\)"):
        run("decode", "--exp", exp, "--feats", data / "feats", "--graph", graph, *SMALL)
    assert not (exp / "decode_dev").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"normalize": "speaker"}, "normalize: global -> speaker"),
        ({"normalize": "none"}, "normalize: global -> none"),
        (
            {"fbank": {"num_filters": 16, "sampling_rate": 8000, "frame_shift": 0.02}},
            r"fbank.frame_shift: 0\.01 -> 0\.02",
        ),
        ({"fbank": {"num_filters": 16, "sampling_rate": 4000}, "resample": True}, "fbank.sampling_rate: 8000 -> 4000"),
        (
            {"fbank": {"num_filters": 16, "sampling_rate": 8000, "preemph_coeff": 0.5}},
            r"fbank.preemph_coeff: 0\.97 -> 0\.5",
        ),
    ],
)
def test_features_of_other_settings_are_refused(exp, data, tmp_path, settings, says):
    feats = shutil.copytree(data / "feats", tmp_path / "feats")
    given = load_config(FeatureConfig, feats / "feats.yaml")
    save_config(dataclasses.replace(given, **settings), feats / "feats.yaml")
    with pytest.raises(AsrparError, match=rf"feats has other features than .*final\.pt was trained with \({says}\)"):
        run("decode", "--exp", exp, "--feats", feats, "--graph", data / "graph", *SMALL)


def test_a_test_set_by_itself_is_normalised_as_the_model_learnt_it(exp, data, tmp_path):
    arguments = [
        "decode",
        "--exp",
        exp,
        "--graph",
        data / "graph",
        "--test",
        "test",
        *SMALL,
        "--set",
        "lm_scales=[0.5]",
    ]
    run(*arguments, "--feats", data / "feats", "--dev", "")
    first = (exp / "decode_test" / "times.ctm").read_text()
    config = FeatureConfig(fbank={"num_filters": 16}, speeds=[1.0])
    extract_features(config, data / "manifests", tmp_path / "feats", ["test"])
    run(*arguments, "--feats", tmp_path / "feats", "--dev", "", "--suffix", "alone")
    assert (exp / "decode_test_alone" / "times.ctm").read_text() == first


def test_processes_from_the_command_line(exp, data, asrpar_cli):
    """The processes must start under ``python -m asrpar`` too, and give one line for the user's mistake."""
    arguments = ["decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", "--jobs", "2"]
    arguments += ["--set", "lm_scales=[1.0]"]
    asrpar_cli(*arguments)
    assert (exp / "decode_test" / "hyp.trn").exists()
    done = asrpar_cli(*arguments, "--graph", data / "lang", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "make-graph" in done.stderr.splitlines()[-1]


def test_characters_decide_on_dev_where_text_has_no_blanks():
    words = {"a": list("设定三十度"), "b": ["打", "开"]}
    found = count_errors(words, {"a": "设定二十度", "b": "打开灯"})
    assert (found["errors"], found["ref_words"], found["wer"]) == (2, 8, 25.0)
    found = count_errors({"a": ["YES", "NOW"]}, {"a": "YES NO"})
    assert (found["errors"], found["ref_words"]) == (1, 2)
