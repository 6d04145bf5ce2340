"""Frame cross-entropy on single frames and on windows: strategies train on them, stop within an epoch, and resume."""

import json
from pathlib import Path

import pytest
from minidata import align_by_loudness
from virtual import run_program

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.virtual.presets import load_cluster
from asrpar.simulate.training import simulate
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train
from asrpar.train.signals import StopRequest

PROGRAM = Path(__file__).parent / "programs" / "every_strategy.py"
DNN = ["model=dnn", "models.dnn.width=16", "models.dnn.num_layers=1", "models.dnn.before=2", "models.dnn.after=3"]
FRAMES = [*DNN, "batch.pieces=frames", "batch.size=600", "batch.pool_frames=2000"]
BLSTM = ["model=blstm", "models.blstm.cells=8", "models.blstm.num_layers=1", "models.blstm.subsampling=1"]
WINDOWS = [
    *BLSTM, "models.blstm.conv_maps=0", "batch.pieces=windows", "batch.size=630", "batch.pool_frames=2000",
    "batch.context=[2,1]", "losses.frame_ce.label_delay=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def on_labels(mini, tmp_path_factory):
    """Settings of frame cross-entropy."""
    return ["loss=frame_ce", f"data.ali={align_by_loudness(mini, tmp_path_factory.mktemp('ali') / 'ali')}"]


@pytest.mark.parametrize(
    ("sets", "names"),
    [
        # In blocks, with a server, and with gradients summed in each step.
        (FRAMES, ["bmuf", "asgd", "ssgd"]),
        (WINDOWS, ["ssgd", "adpsgd"]),
    ],
    ids=["frames", "windows"],
)
def test_strategies_resume_on_pieces(mini, on_labels, tmp_path, capfd, monkeypatch, sets, names):
    # Learners in one process would give its signals back in the wrong order.
    monkeypatch.setattr(StopRequest, "listen", lambda _: None)
    options = [f"--set={s}" for s in (*on_labels, *sets, "batch.deal=equal")]
    run_program(2, PROGRAM, mini / "feats", mini / "lang", tmp_path, *options, *names)
    out = capfd.readouterr().out
    assert out.count("passed") == 2 and all(f"ok {name} " in out for name in names)
    assert f"ok {names[0]} bit-exact" in out


@pytest.mark.mpi
def test_pieces_on_real_ranks_and_on_demand(mini, on_labels, mpirun, tmp_path):
    options = [f"--set={s}" for s in (*on_labels, *FRAMES)]
    done = mpirun(2, PROGRAM, mini / "feats", mini / "lang", tmp_path, *options, "ssgd", "adpsgd", timeout=120)
    assert done.stdout.count("passed") == 2 and "ok ssgd bit-exact" in done.stdout and "ok adpsgd" in done.stdout


def settings(mini, exp, *sets):
    places = [f"exp={exp}", f"data.feats={mini / 'feats'}", f"data.lang={mini / 'lang'}", "device=cpu", "epochs=1"]
    return load_config(TrainConfig, None, [*places, *sets])


def test_one_learner_and_simulated_ones_take_the_same_steps(mini, on_labels, tmp_path):
    simulate(settings(mini, tmp_path / "two", *on_labels, *FRAMES, "strategy=ssgd"), load_cluster("laptop"), 2)
    assert train(settings(mini, tmp_path / "one", *on_labels, *FRAMES), LocalComm()) == 0
    one, two = (json.loads((tmp_path / name / "train.json").read_text()) for name in ("one", "two"))
    assert (one["steps"], one["frames"]) == (two["steps"], two["frames"])
    assert one["dev_loss"] == pytest.approx(two["dev_loss"], rel=0.05), "dropout differs"


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["batch.pieces=frames"], "frames, which this model does not take: .* model=dnn"),
        ([*DNN, "models.dnn.subsampling=3", "batch.pieces=frames"], "set the model's subsampling to 1"),
        (["batch.pieces=windows", "loss=ctc", "data.ali="], "the loss has targets for whole utterances"),
    ],
)
def test_what_does_not_go_together(mini, on_labels, tmp_path, sets, says):
    with pytest.raises(ConfigError, match=says):
        train(settings(mini, tmp_path / "exp", *on_labels, *sets), LocalComm())
