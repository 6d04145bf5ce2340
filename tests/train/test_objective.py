"""A training's objective: what it is made from; labels of frames are learnt from batches that begin anywhere."""

from functools import partial

import numpy as np
import pytest
import torch

from asrpar.errors import ConfigError
from asrpar.feats import BatchLoader, eval_batches
from asrpar.feats.config import AugmentConfig, BatchConfig
from asrpar.feats.store import FeatureStore
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies.one_state import Settings as OneState
from asrpar.hmm.topologies.one_state import Topology
from asrpar.hmm.tree import Tree
from asrpar.lang.lang import Lang
from asrpar.nn.frontend import output_frames
from asrpar.nn.losses import LOSSES
from asrpar.nn.models import build_model
from asrpar.nn.models.tdnn import Settings
from asrpar.nn.objective import FrameLabels, Objective
from asrpar.train.config import DataConfig, TrainConfig
from asrpar.train.evaluate import tally
from asrpar.train.fit import find_misfits
from asrpar.train.learner import AcousticLearner
from asrpar.train.objective import make_objective
from asrpar.train.optimizers import adamw


@pytest.fixture(scope="module")
def labels(mini):
    """Of each frame, whether it is louder than the mean of all."""
    stores = [FeatureStore(mini / "feats", split) for split in ("train", "dev")]
    return FrameLabels(
        2, {u.id: (s.load(i).mean(1) > 0).astype(int) for s in stores for i, u in enumerate(s.utterances)}
    )


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_an_objective(mini, labels, name):
    # Of so few utterances a trigram of phones allows nothing but themselves.
    losses = {"lfmmi": {"lm_order": 2}}
    config = TrainConfig(loss=name, losses=losses, data=DataConfig(feats=str(mini / "feats"), lang=str(mini / "lang")))
    one = make_objective(config, Lang.load(mini / "lang"), labels)
    utterances = FeatureStore(mini / "feats", "dev").utterances
    frames = [output_frames(u.num_frames, 3) for u in utterances]
    misfits = find_misfits(utterances, one, 3)
    output = torch.zeros(len(frames), max(frames), one.num_classes).log_softmax(-1).requires_grad_()
    targets, lens = [one.targets(u) for u in utterances], torch.tensor(frames)
    loss, used = one.loss(output, lens, targets)
    loss.backward()
    errors, count = one.errors(output, lens, targets)
    assert isinstance(one, Objective) and used == [u.id not in misfits.short + misfits.unknown for u in utterances]
    assert any(used) and loss > 0 and output.grad.isfinite().all() and errors >= 0 and count > 0


def test_a_tree_is_only_for_losses_over_phones(mini, tmp_path):
    lang = Lang.load(mini / "lang")
    data = DataConfig(feats=str(mini / "feats"), lang=str(mini / "lang"), tree=str(tmp_path / "tree.txt"))
    with pytest.raises(ConfigError, match=r"loss is ctc, which has no use for data\.tree"):
        make_objective(TrainConfig(loss="ctc", data=data), lang)
    tree = Tree.monophone(Phones.of_lang(lang), Topology(OneState()))
    tree.write(data.tree)
    one = make_objective(TrainConfig(loss="lfmmi", data=data), lang)
    assert one.num_classes == len(lang.tokens) and one.tree == tree.digest and one.classes[-1] == "SIL.0"


def test_a_loss_of_labels_needs_labels(mini):
    with pytest.raises(ConfigError, match="loss is frame_ce, which needs labels of frames"):
        make_objective(TrainConfig(loss="frame_ce"), Lang.load(mini / "lang"))


def test_labels_of_frames_are_learnt_where_utterances_begin_anywhere(mini, labels):
    objective = make_objective(TrainConfig(loss="frame_ce"), Lang.load(mini / "lang"), labels)
    loader = BatchLoader(
        mini / "feats",
        "train",
        BatchConfig(size=1500, augment=AugmentConfig(probability=0.0)),
        0,
        objective=objective,
        stride=3,
    )
    torch.manual_seed(0)
    module = build_model("tdnn", Settings(channels=16, dilations=[1], conv_maps=4, dropout=0.0), 20, 2)
    optimizer = partial(adamw.make, adamw.Settings(lr=0.01))
    learner = AcousticLearner(module, objective, optimizer, autocast=False, max_nonfinite=1)
    dev = partial(eval_batches, mini / "feats", "dev", 20000, objective=objective)

    def errors() -> float:
        module.eval()
        loss, frames, wrong, count = tally(learner, dev(), lambda: None).tolist()
        utterances = FeatureStore(mini / "feats", "dev").utterances
        assert loss > 0
        assert frames == count == sum(output_frames(u.num_frames, 3) for u in utterances)
        return wrong / count

    before = errors()
    for epoch in range(6):
        for batch in loader.epoch(epoch):
            assert learner.apply(learner.gradient(batch))
            assert all(len(t) == output_frames(n, 3) for t, n in zip(batch.targets, batch.feature_lens, strict=True))
    assert errors() < 0.15 < 0.25 < before
    assert learner.left_out == 0 and np.isfinite(learner.loss_sum / learner.loss_frames)
