"""Recordings of one's own: the same words as in a set, by one command."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from decoding import SMALL, run, save_model

from asrpar.cli import cli
from asrpar.config import load_config, save_config
from asrpar.corpus.audio.files import inspect
from asrpar.decode.engines import greedy, kaldi
from asrpar.errors import AsrparError
from asrpar.feats.config import FeatureConfig
from asrpar.train.config import DataConfig
from asrpar.train.identity import Identity


@pytest.fixture
def decoded(exp, data):
    """An experiment with its dev choice, and the recordings of its test set."""
    run("decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", "--lang", data / "lang", *SMALL)
    return exp, sorted((data / "manifests").glob("*-test*.wav"))


def transcribe(exp, *options):
    return CliRunner().invoke(cli, ["transcribe", "--exp", str(exp), "--jobs", "1", *map(str, options)])


def test_recordings_of_ones_own_get_the_words_of_a_test_set(decoded, data, tmp_path):
    exp, audio = decoded
    given = ["--graph", data / "graph", "--lang", data / "lang"]
    result = transcribe(exp, *given, *audio)
    words = [line.split("\t") for line in result.stdout.splitlines()]
    expected = (exp / "decode_test" / "hyp.trn").read_text()
    assert "".join(f"{text} ({name})\n".lstrip() for name, text in words) == expected
    assert len(words) == 5 and any(text for _, text in words)
    assert f"as chosen on dev in {exp / 'decode_dev'}: lm_scale" in result.stderr
    transcribe(exp, *given, "--format", "ctm", "--output", tmp_path / "times", *audio)
    assert (tmp_path / "times").read_text() == (exp / "decode_test" / "times.ctm").read_text()
    # Whatever it is kept in, and wherever the model is: nothing else is needed.
    samples, rate = soundfile.read(audio[0])
    soundfile.write(tmp_path / "x.flac", samples, rate)
    soundfile.write(tmp_path / "x.wav", np.stack([0 * samples, samples], axis=1), rate)
    shutil.copytree(exp, tmp_path / "alone")
    alone = transcribe(tmp_path / "alone", "--graph", data / "graph", tmp_path / "x.flac")
    assert alone.stdout == f"x\t{words[0][1]}\n"
    both = transcribe(exp, "--graph", data / "graph", tmp_path / "x.wav", "--channel", 1, "--set", "lm_scales=[0.5]")
    assert both.stdout.startswith("x\t") and "but for what is set: lm_scale 0.5" in both.stderr
    greedy = transcribe(exp, "--format", "trn", audio[0])
    assert greedy.stdout.endswith(f"({audio[0].stem})\n") and "the units are phones" in greedy.stderr


@pytest.mark.parametrize("kind", ["none", "utterance", "speaker"])
def test_recordings_are_normalised_as_in_training(tmp_path, data, kind):
    identity = Identity.of_data(DataConfig(data / "feats", data / "lang"))
    identity.features["normalize"] = kind
    exp = save_model(tmp_path / "exp", 6, identity)
    feats = shutil.copytree(data / "feats", tmp_path / "feats")
    save_config(
        dataclasses.replace(load_config(FeatureConfig, feats / "feats.yaml"), normalize=kind), feats / "feats.yaml"
    )
    result = transcribe(
        exp, "--graph", data / "graph", "--set", "lm_scales=[0.5]", data / "manifests" / "spk0-test0.wav"
    )
    assert ("each recording is taken for one of a speaker of its own" in result.stderr) == (kind == "speaker")
    if kind != "speaker":  # whose other recordings a set has
        options = ["--test", "test", "--dev", "", "--jobs", 1, "--set", "lm_scales=[0.5]"]
        run("decode", "--exp", exp, "--feats", feats, "--graph", data / "graph", *options)
        expected = (exp / "decode_test" / "hyp.trn").read_text().splitlines()[0]
        assert result.stdout.strip() == f"spk0-test0\t{expected.removesuffix('(spk0-test0)').strip()}"


def test_what_is_set_goes_before_what_was_chosen(decoded, data):
    exp, audio = decoded
    chosen = json.loads((exp / "decode_dev" / "decode.json").read_text())

    def said(*settings):
        result = transcribe(exp, "--graph", data / "graph", *(f"--set={s}" for s in settings), audio[0])
        if result.exception:
            raise result.exception
        return result.stderr

    of_dev = f"as chosen on dev in {exp / 'decode_dev'}"
    lm_scale = f"lm_scale {chosen['lm_scale']:g}"
    assert f"{of_dev} but for what is set: {lm_scale}, beam 12," in said("beams=[12.0]")
    assert f"{of_dev} but for what is set: {lm_scale}, beam 8, word_penalty 0, blank_penalty 2" in said(
        "blank_penalties=[2.0]", "beams=[8.0]"
    )
    assert f"{of_dev}: {lm_scale}, beam 8," in said("lm_scales=[0.5,1.0]", "beams=[8.0,9.0]")
    with pytest.raises(AsrparError, match=r"no choice on dev .* among the values given: run asrpar decode"):
        said("lm_scales=[0.1,0.2]")
    for folder in exp.glob("decode_*"):  # as somebody may have edited them
        facts = json.loads((folder / "decode.json").read_text())
        (folder / "decode.json").write_text(json.dumps(facts | {"lm_scale": "0.5"}))
    with pytest.raises(AsrparError, match="no choice on dev for this model, graph and engine: run"):
        said()


def test_a_choice_of_the_dev_set_itself_and_of_the_same_suffix_counts_first(decoded, data):
    exp, audio = decoded
    places = ["--exp", exp, "--feats", data / "feats", "--graph", data / "graph", "--jobs", 1]
    # A wider search on dev: the test set has the older choice still. And another, beside it.
    run("decode", *places, "--test", "", "--set", "lm_scales=[3.0,4.0]", "--set", "beams=[8.0]")
    run("decode", *places, "--test", "", "--set", "lm_scales=[5.0,6.0]", "--set", "beams=[8.0]", "--suffix", "x")
    new, other = (json.loads((exp / f"decode_dev{x}" / "decode.json").read_text())["lm_scale"] for x in ("", "_x"))
    assert f"decode_dev: lm_scale {new:g}" in transcribe(exp, "--graph", data / "graph", audio[0]).stderr
    every = "lm_scales=[0.5,1.0,3.0,4.0,5.0,6.0]"
    for suffix, expected in (("", new), ("x", other)):
        run("decode", *places, "--dev", "", "--set", every, "--set", "beams=[8.0]", "--suffix", suffix)
        folder = exp / (f"decode_test_{suffix}" if suffix else "decode_test")
        assert json.loads((folder / "decode.json").read_text())["lm_scale"] == expected


def test_a_model_elsewhere_has_choices_of_its_own(decoded, data, tmp_path):
    exp, audio = decoded
    identity = Identity.of_data(DataConfig(data / "feats", data / "lang"))
    models = [shutil.copy(exp / "final.pt", tmp_path / "a.pt"), save_model(tmp_path / "b", 6, identity) / "final.pt"]
    torch.save(torch.load(models[1], weights_only=True) | {"notes": {"seed": 1}}, models[1])
    graph = ["--graph", data / "graph"]
    run("decode", "--exp", exp, "--feats", data / "feats", *graph, *SMALL, "--suffix", "a", "--model", models[0])
    assert transcribe(exp, *graph, audio[0], "--model", models[0]).exit_code == 0
    assert "has no choice on dev" in str(transcribe(exp, *graph, audio[0], "--model", models[1]).exception)


def test_recordings_that_are_not_taken(decoded, data, tmp_path):
    exp, audio = decoded
    samples, rate = soundfile.read(audio[0])
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples, samples], axis=1), rate)
    soundfile.write(tmp_path / "short.wav", samples[:300], rate)
    (tmp_path / "text.wav").write_text("words")
    graph = ["--graph", data / "graph"]
    for options, says in [
        ([tmp_path / "stereo.wav", "--channel", 2], "has no channel 2"),
        ([tmp_path / "short.wav"], "short.wav: too short: 0.03"),
        ([audio[0], "--channel", 1], "has no channel 1: it has one, 0"),
        ([audio[0], audio[1], "--format", "srt"], "subtitles are of one recording: give --output-dir"),
        ([audio[0], "--output-dir", tmp_path / "d"], "give one of them"),
        ([tmp_path / "text.wav"], "text.wav is not readable as audio"),
        ([tmp_path / "nowhere.wav"], "no audio file .*nowhere.wav"),
        ([audio[0], tmp_path], "is not a file"),
    ]:
        output = tmp_path / "words"
        with pytest.raises(AsrparError, match=says):
            raise transcribe(exp, *graph, "--output", output, *options).exception
        assert not output.exists()
    endless = transcribe(exp, *graph, "--max-seconds", "nan", audio[0])
    assert endless.exit_code == 2 and "nan is no finite number" in endless.output
    odd = [shutil.copy(audio[0], tmp_path / name) for name in ("a b.wav", "a(b.wav", "a\nb.wav", "ی\u200cخ.wav")]
    for options, says in [
        (["--format", "trn", odd[0]], "the name of the recording 'a b' has a space in it, .*; --format text can"),
        (["--format", "ctm", odd[1]], "'a\\(b' has a bracket without its partner"),
        ([odd[2]], r"'a\\nb' has a line break, .* which the output cannot hold$"),
        ([odd[0], odd[1], odd[0]], "a b.wav is given 2 times"),
        (["--output", odd[0], odd[1], odd[0]], "--output .*a b.wav is the recording .*a b.wav: give another file"),
    ]:
        with pytest.raises(AsrparError, match=says):
            raise transcribe(exp, *graph, *options).exception
    assert inspect(odd[0]).num_samples == len(samples)
    assert [line.split("\t")[0] for line in transcribe(exp, *graph, odd[0], odd[3]).stdout.splitlines()] == [
        "a b",
        "ی\u200cخ",
    ]
    same = [tmp_path / "a" / "x.wav", tmp_path / "b" / "x.wav"]
    for path in same:
        path.parent.mkdir()
        shutil.copy(audio[0], path)
    lines = transcribe(exp, *graph, *same).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(path) for path in same]


def test_any_engine_that_needs_no_graph_serves_without(decoded, monkeypatch):
    exp, audio = decoded[0], decoded[1][0]
    monkeypatch.setattr(kaldi, "Engine", greedy.Engine)
    assert transcribe(exp, "--engine", "kaldi", audio).stdout == transcribe(exp, audio).stdout != ""


def test_models_that_cannot_take_recordings(decoded, tmp_path, data):
    audio = decoded[1][0]
    with pytest.raises(AsrparError, match="the kaldi engine needs --graph"):
        raise transcribe(decoded[0], "--engine", "kaldi", audio).exception
    with pytest.raises(AsrparError, match="the kaldi engine needs --graph"):
        raise transcribe(decoded[0], "--set", "engine=kaldi", audio).exception
    with pytest.raises(AsrparError, match="engine 'kald' is unknown; did you mean 'kaldi'"):
        raise transcribe(decoded[0], "--engine", "kald", audio).exception
    for folder in decoded[0].glob("decode_*"):
        shutil.rmtree(folder)
    with pytest.raises(AsrparError, match="has no choice on dev for this model, graph and engine: run"):
        raise transcribe(decoded[0], "--graph", data / "graph", audio).exception
    with pytest.raises(AsrparError, match="does not know its features and units"):
        raise transcribe(save_model(tmp_path / "old", 6), audio).exception
    identity = Identity.of_data(DataConfig(data / "feats", data / "lang"))
    identity.features["from_kaldi"] = True
    with pytest.raises(AsrparError, match="features that Kaldi made"):
        raise transcribe(save_model(tmp_path / "kaldi", 6, identity), audio).exception
