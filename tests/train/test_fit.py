"""Utterances of which there is no loss: too short for their transcripts, or of unknown words."""

import gzip
import json
import math
import shutil
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from minidata import SETTINGS
from torch import nn

from asrpar.config import load_config
from asrpar.errors import DataError
from asrpar.feats import Batch
from asrpar.feats.store import Utterance
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang
from asrpar.lang.lexicon import Lexicon, Pronunciation
from asrpar.nn.losses.ctc import Loss, Settings
from asrpar.nn.objective import Sources
from asrpar.parallel.comm import LocalComm
from asrpar.train import evaluate as evaluation
from asrpar.train.config import DataConfig, TrainConfig
from asrpar.train.experiment import train
from asrpar.train.fit import check_set, find_misfits
from asrpar.train.learner import AcousticLearner
from asrpar.train.objective import make_objective
from asrpar.train.optimizers import adamw
from asrpar.train.position import Position
from asrpar.train.progress import Progress
from asrpar.train.report import Reports
from asrpar.train.timing import fractions


@pytest.fixture
def lang():
    words = {"A": [("a",), ("a", "b", "a")], "BB": [("b", "b")]}
    entries = [Pronunciation(word, 1.0, tokens) for word, several in words.items() for tokens in several]
    return Lang(["<blk>", "a", "b"], ["<eps>", "A", "BB", "#0", "<s>", "</s>"], Lexicon(entries), LangConfig())


def utterance(name, frames, text):
    return Utterance(name, text, "s", frames, 20, "asrpar_shard", "", "")


def test_the_shortest_way_to_say_it_counts_with_its_blanks(lang):
    # B B needs a blank between, and so do two A: three and five output frames.
    cases = {("BB", 7): True, ("BB", 6): False, ("A BB", 10): True, ("A BB", 9): False, ("A A", 7): True, ("", 1): True}
    utterances = [utterance(f"u{i}", frames, text) for i, (text, frames) in enumerate(cases)]
    found = find_misfits(utterances, make_objective(TrainConfig(), lang), 3)
    assert found.short == [f"u{i}" for i, fits in enumerate(cases.values()) if not fits]
    assert found.worst == (2, 3) and found.unknown == []


def check(lang, utterances, split="dev", **settings):
    config = TrainConfig(data=DataConfig("FEATS", "LANG"), **settings)
    check_set(utterances, split, make_objective(config, lang), lang, config, True)


def test_more_misfits_than_allowed_are_refused_and_fewer_named(lang, caplog):
    fine = [utterance(f"fine-{i}", 30, "A BB") for i in range(9)]
    check(lang, [*fine, utterance("long-1", 9, "A BB A")])
    assert "the set 'dev' in FEATS: 1 of 10 utterances are too short" in caplog.text and "(long-1: " in caplog.text
    with pytest.raises(DataError, match=r"1 of 9 .*\(long-1: the first has 3 frames .* needs 5\).*max_misfit_fraction"):
        check(lang, [*fine[1:], utterance("long-1", 9, "A BB A")])
    check(lang, [*fine[1:], utterance("long-1", 9, "A BB A")], max_misfit_fraction=0.2)
    with pytest.raises(DataError, match="no utterance is left"):
        check(lang, [utterance("long-1", 9, "A BB A"), utterance("odd-1", 90, "CAT")], max_misfit_fraction=1.0)


def test_words_without_pronunciation(lang, caplog):
    some = [utterance("fine", 30, "A"), utterance("odd-1", 30, "A CAT")]
    check(lang, some)
    assert "1 of 2 utterances have words without pronunciation (odd-1: such as 'CAT')" in caplog.text
    with pytest.raises(DataError, match=r"1 words of the set 'train' in FEATS have no pronunciation in LANG"):
        check(lang, some, "train", max_misfit_fraction=1.0)
    lang.config.oov.policy = "skip"
    check(lang, some, "train")
    with pytest.raises(DataError, match="no utterance is left"):
        check(lang, some[1:], "train")


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_set_without_words_is_refused(lang, split):
    check(lang, [utterance("a", 30, ""), utterance("b", 30, "A")], split)
    with pytest.raises(DataError, match=f"the set '{split}' in FEATS: all transcripts are empty"):
        check(lang, [utterance("a", 30, ""), utterance("b", 30, " ")], split)


def with_texts(mini, folder, split, text, count):
    """The features of ``mini``, with another text of the first utterances."""
    shutil.copytree(mini / "feats", folder)
    path = folder / f"cuts_{split}.jsonl.gz"
    cuts = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for cut in cuts[:count]:
        cut["supervisions"][0]["text"] = text
    path.write_bytes(gzip.compress("".join(json.dumps(cut) + "\n" for cut in cuts).encode()))
    return folder


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_training_without_a_loss_is_refused_before_its_first_step(mini, tmp_path, split):
    feats = with_texts(mini, tmp_path / "feats", split, "SEVEN " * 100, 99)
    settings = SETTINGS | {"exp": tmp_path / "exp", "data.feats": feats, "data.lang": mini / "lang"}
    config = load_config(TrainConfig, None, [f"{k}={v}" for k, v in settings.items()])
    with pytest.raises(DataError, match=f"the set '{split}' .*no utterance is left"):
        train(config, LocalComm())
    assert not (tmp_path / "exp" / "config.yaml").exists()


class Frames(nn.Module):
    """Features (N, T, 3) as they are."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, features, lens):
        return (features + self.bias).log_softmax(2), lens


def learner():
    objective = Loss(Settings(), Sources(SimpleNamespace(num_tokens=3, encode_variants=dict)))
    return AcousticLearner(Frames(), objective, partial(adamw.make, adamw.Settings()), autocast=False, max_nonfinite=1)


@pytest.mark.parametrize(("variants", "loss", "ter"), [([], math.nan, math.nan), ([[1, 2] * 9], math.nan, 100.0)])
def test_a_mean_over_nothing_is_no_number(monkeypatch, tmp_path, variants, loss, ter):
    batch = Batch(torch.zeros(1, 4, 3), torch.tensor([4]), [variants], ["u"], 4, 4, 0, 0)
    monkeypatch.setattr(evaluation, "eval_batches", lambda *_, **__: iter([batch]))
    one = learner()
    config = TrainConfig(data=DataConfig(str(tmp_path)))
    found = evaluation.DevSet(config, one, lambda: None).evaluate(one.weights, LocalComm())
    assert (found.loss, found.error_rate) == pytest.approx((loss, ter), nan_ok=True)


def test_an_epoch_without_a_loss_or_without_time_says_so(monkeypatch, caplog):
    one = learner()
    one.gradient(Batch(torch.zeros(1, 4, 3), torch.tensor([4]), [[]], ["u"], 4, 4, 0, 0))
    said = {}
    reports = Reports(
        one,
        SimpleNamespace(end_epoch=dict),
        SimpleNamespace(scalars=lambda values, frames: said.update(values)),
        SimpleNamespace(evaluate=lambda weights, comm: evaluation.Evaluation(math.nan, math.nan)),
        both=False,
    )
    caplog.set_level("INFO")
    models = SimpleNamespace(plain=one.weights, final=one.weights)
    reports.tell(models, Position(epoch=1, frames=4), LocalComm())
    assert math.isnan(said["epoch/train_loss"]) and math.isnan(said["epoch/frames_per_second"])
    assert "train loss nan, dev loss nan" in caplog.text
    assert math.isnan(fractions({"main/compute": [1, 0.0, 0]}, 0.0, 100.0)["frames_per_second"])


def test_tensorboard_gets_numbers_only():
    progress, written = Progress(1, None, 1), []
    progress.writer = type("Writer", (), {"add_scalar": lambda self, *values: written.append(values)})()
    progress.scalars({"dev/loss": math.nan, "dev/error_rate": 3.0}, 7)
    assert written == [("dev/error_rate", 3.0, 7)]
