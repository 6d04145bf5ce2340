"""Training on GPUs, alone, with ranks that share one through pinned host memory, and with NCCL, against the CPU."""

import json

import pytest
import torch
from minidata import asrpar, train_options

from asrpar.train.model_io import load_acoustic_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

# A few plain steps without any randomness, so that only the order of additions differs.
SETTINGS = {
    "epochs": 2,
    "models__tdnn__dropout": 0.0,
    "batch__augment__random_start": "false",
    "batch__augment__probability": 0.0,
    "optimizer": "sgd",
    "optimizers__sgd__lr": 0.05,
}
BUCKETS = {"strategies__ssgd__bucket_mb": 0.01}
SIXTEEN_BITS = {"compression": "bf16"}
STRATEGIES = [
    ("single", 1, {}),
    ("ssgd", 2, {}),
    ("ssgd", 2, BUCKETS),
    ("ssgd", 4, {}),
    ("bmuf", 2, {}),
    ("bmuf", 2, {"strategies__bmuf__sync_steps": 4, "strategies__bmuf__overlap_steps": 2}),
    ("easgd", 2, {}),
    ("dpsgd", 3, {}),
    ("delayed", 2, {}),
]
WITH_NCCL = [
    ("ssgd", 1, {}),
    ("bmuf", 1, {}),
    ("ssgd", 2, {}),
    ("ssgd", 2, BUCKETS),
    ("bmuf", 2, {}),
    ("sgp", 2, {}),
    ("delayed", 2, {}),
    ("hadpsgd", 2, {"strategies__hadpsgd__super_learner_size": 2}),
]


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")


def launch(data, exp, strategy, learners, device, check=True, **settings):
    options = train_options(data, exp, strategy=strategy, device=device, **SETTINGS | settings)
    return asrpar("launch", "--learners", learners, "--", "train", *options, check=check)


def train(data, exp, strategy, learners, device, **settings):
    launch(data, exp, strategy, learners, device, **settings)
    return json.loads((exp / "train.json").read_text())


def need_gpus(learners):
    if learners > torch.cuda.device_count():
        pytest.skip(f"NCCL wants a GPU for each of {learners} learners")


def weights(exp):
    return torch.cat([p.reshape(-1) for p in load_acoustic_model(exp / "final.pt")[0].state_dict().values()])


@pytest.mark.mpi
@pytest.mark.parametrize(("strategy", "learners", "settings"), STRATEGIES)
def test_lockstep_training_is_that_of_the_cpu(mini, tmp_path, strategy, learners, settings):
    here = train(mini, tmp_path / "cpu", strategy, learners, "cpu", **settings)
    there = train(mini, tmp_path / "cuda", strategy, learners, "cuda", **settings)
    assert there["dev_loss"] == pytest.approx(here["dev_loss"], rel=1e-4)
    assert torch.allclose(weights(tmp_path / "cuda"), weights(tmp_path / "cpu"), rtol=0, atol=1e-4)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("strategy", "learners"), [("adpsgd", 2), ("asgd", 2), ("asgd", 3), ("easgd_async", 2), ("hadpsgd", 2)]
)
def test_learners_at_their_own_pace_share_a_gpu(mini, tmp_path, strategy, learners):
    result = train(mini, tmp_path, strategy, learners, "cuda", epochs=4)
    losses = [e["train_loss"] for e in result["history"]]
    assert result["complete"] and losses[-1] < losses[0]


@pytest.mark.mpi
@pytest.mark.parametrize("learners", [1, 2])
def test_a_training_is_resumed_on_the_gpu(mini, tmp_path, learners):
    strategy = "ssgd" if learners > 1 else "single"
    train(mini, tmp_path / "whole", strategy, learners, "cuda")
    for settings in ({"stop_after_epochs": 1}, {}):
        train(mini, tmp_path / "parts", strategy, learners, "cuda", **settings)
    assert "resuming from" in (tmp_path / "parts" / "log" / "train.0.log").read_text()
    # Sums on a GPU are not made in one order.
    assert torch.allclose(weights(tmp_path / "parts"), weights(tmp_path / "whole"), rtol=0, atol=1e-4)


@pytest.mark.mpi
@pytest.mark.parametrize(("strategy", "learners", "settings"), WITH_NCCL)
def test_nccl_is_that_of_the_cpu(mini, tmp_path, strategy, learners, settings):
    need_gpus(learners)
    here = train(mini, tmp_path / "cpu", strategy, learners, "cpu", **settings)
    there = train(mini, tmp_path / "cuda", strategy, learners, "cuda", transport="nccl", **settings)
    assert there["dev_loss"] == pytest.approx(here["dev_loss"], rel=1e-4)
    assert torch.allclose(weights(tmp_path / "cuda"), weights(tmp_path / "cpu"), rtol=0, atol=1e-4)


@pytest.mark.mpi
@pytest.mark.parametrize(("learners", "strategy"), [(2, "ssgd"), (3, "ssgd"), (2, "hadpsgd")])
def test_learners_with_nccl_get_better(mini, tmp_path, learners, strategy):
    need_gpus(learners)
    settings = SIXTEEN_BITS if strategy == "ssgd" else {"strategies__hadpsgd__super_learner_size": 1}
    result = train(mini, tmp_path, strategy, learners, "cuda", transport="nccl", epochs=4, **settings)
    losses = [e["train_loss"] for e in result["history"]]
    assert result["complete"] and losses[-1] < losses[0]


@pytest.mark.mpi
@pytest.mark.parametrize(("learners", "strategy"), [(2, "adpsgd"), (4, "hadpsgd")])
def test_gossip_through_windows(mini, tmp_path, learners, strategy):
    need_gpus(learners)
    pytest.importorskip("nccl.core", reason="nccl4py is not installed")
    settings = {"epochs": 4} | ({"strategies__hadpsgd__super_learner_size": 2} if strategy == "hadpsgd" else {})
    found = {
        kind: train(mini, tmp_path / kind, strategy, learners, "cuda", transport=kind, **settings)
        for kind in ("mpi", "windows")
    }
    assert "no window of NCCL" not in (tmp_path / "windows" / "log" / "train.0.log").read_text()
    assert found["windows"]["dev_loss"] == pytest.approx(found["mpi"]["dev_loss"], rel=0.2)


@pytest.mark.mpi
def test_a_training_is_resumed_with_nccl(mini, tmp_path):
    train(mini, tmp_path / "whole", "ssgd", 1, "cuda", transport="nccl")
    for settings in ({"stop_after_epochs": 1}, {}):
        train(mini, tmp_path / "parts", "ssgd", 1, "cuda", transport="nccl", **settings)
    assert "resuming from" in (tmp_path / "parts" / "log" / "train.0.log").read_text()
    assert torch.allclose(weights(tmp_path / "parts"), weights(tmp_path / "whole"), rtol=0, atol=1e-4)


@pytest.mark.mpi
def test_nccl_refuses_learners_that_share_a_gpu(mini, tmp_path):
    learners = torch.cuda.device_count() + 1
    done = launch(mini, tmp_path, "ssgd", learners, "cuda", check=False, transport="nccl")
    assert done.returncode != 0
    assert "NCCL wants one for each" in done.stderr.strip().splitlines()[-1]


@pytest.mark.mpi
def test_batches_fill_a_gpu(mini, tmp_path):
    run = train(mini, tmp_path, "single", 1, "cuda", batch__size="auto", batch__memory_mb=100, epochs=1)
    assert run["complete"]


@pytest.mark.mpi
def test_a_compiled_model_learns_the_same(mini, tmp_path):
    train(mini, tmp_path / "compiled", "single", 1, "cuda", compile="true", epochs=1)
    train(mini, tmp_path / "plain", "single", 1, "cuda", epochs=1)
    compiled, plain = (load_acoustic_model(tmp_path / name / "final.pt")[0] for name in ("compiled", "plain"))
    for a, b in zip(compiled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
