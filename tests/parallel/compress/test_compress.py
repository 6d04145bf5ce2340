"""Compression of what learners send: what it keeps, what it refuses, what it costs."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy import ToyLearner, data, sgd, wire_of
from virtual import on_virtual

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.compress import COMPRESSIONS, need_weights_wire
from asrpar.parallel.compress.onebit import Signs
from asrpar.parallel.compress.topk import Compression, Settings, largest
from asrpar.parallel.compress.wire import WarmUp, Wire, need_plain_wire
from asrpar.parallel.strategies import make_strategy, settings_class
from asrpar.train.config import TrainConfig

PROGRAMS = Path(__file__).parents[1] / "programs"
SHAPES = [torch.Size([6, 4]), torch.Size([6])]
HALF = ("bf16", "fp16")
FEEDBACK = ("onebit", "threshold", "topk", "powersgd")


def wire(method: str, dtype: torch.dtype = torch.float64, **settings) -> Wire:
    return wire_of(method, SHAPES, torch.empty(30, dtype=dtype), **settings)


class Echo(LocalComm):
    """Two learners of which this one hears nothing but zeros from the other."""

    size = 2

    def alltoall(self, outgoing, incoming):
        incoming.zero_()
        incoming[0] = outgoing[0]

    def allgather(self, outgoing, incoming):
        incoming.zero_()
        incoming[0] = outgoing


def test_a_compression_is_called_after_its_file():
    assert {name: wire(name).method for name in COMPRESSIONS} == {name: name for name in COMPRESSIONS}
    assert Wire().method == "none"
    # Also one that says nothing of it: it must not pass for none where only plain vectors can travel.
    own = type("Compression", (type(wire("bf16")),), {"__module__": "asrpar.parallel.compress.plain"})
    with pytest.raises(ConfigError, match="compression is 'plain'"):
        need_plain_wire(own(WarmUp(), SHAPES, torch.empty(30)), "delayed")


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_oracles_under_mpi(mpirun, repo, ranks):
    environment = {"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"}
    done = mpirun(ranks, PROGRAMS / "compress_oracles.py", env=environment, timeout=180)
    assert done.stdout.count("passed") == ranks


@pytest.mark.parametrize("method", HALF + FEEDBACK)
def test_a_learner_that_is_alone_loses_nothing(method):
    batches = data(steps=16, rows=6)
    reference = ToyLearner()
    sgd(reference, batches)
    learner = ToyLearner()
    compressed = wire_of(method, learner.shapes, learner.weights)
    strategy = make_strategy("ssgd", settings_class("ssgd")(), learner, LocalComm(), compressed)
    for batch in batches:
        strategy.step(batch)
    assert torch.allclose(learner.weights, reference.weights, rtol=0, atol=1e-13)


def test_momentum_correction_of_a_learner_that_is_alone_is_momentum():
    batches = data(steps=16, rows=6)
    reference = ToyLearner(momentum=0.9)
    sgd(reference, batches)
    learner = ToyLearner()
    compressed = wire_of("topk", learner.shapes, learner.weights, momentum=0.9)
    strategy = make_strategy("ssgd", settings_class("ssgd")(), learner, LocalComm(), compressed)
    for batch in batches:
        strategy.step(batch)
    assert torch.allclose(learner.weights, reference.weights, rtol=0, atol=1e-12)


def test_topk_with_momentum_by_hand():
    top = Compression(Settings(density=1 / 3, momentum=0.5), [], torch.empty(3, dtype=torch.float64))
    x = torch.tensor([4.0, 3.0, 1.0], dtype=torch.float64)
    top.allreduce(Echo(), x)
    assert x.tolist() == [4, 0, 0]
    x = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    top.allreduce(Echo(), x)
    # u = 0 (cleared) + 1, 1.5 + 1, 0.5 + 1;  v = 1, 3 + 2.5, 1 + 1.5
    assert x.tolist() == [0, 5.5, 0]
    assert top.residual.tolist() == [1, 0, 2.5]
    assert top.velocity.tolist() == [1, 0, 1.5]


FULL, SHORT = 10000.0, 100.0
ONE_SHORT = [*[FULL] * 30, SHORT, *[FULL] * 9]
DRIFT = torch.randn(30, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


class Steady(ToyLearner):
    """A learner whose mean gradient is always the same; a batch is a number of frames."""

    def gradient(self, batch: float | None) -> float:
        torch.mul(DRIFT, batch or 0.0, out=self.grad)
        return batch or 0.0

    def reset_optimizer(self) -> None:
        """There is no momentum."""


def way(strategy: str, method: str, learners: int = 2, **settings) -> tuple[list[float], Tensor]:
    """How far the model goes in each step of `ONE_SHORT`, and the whole way."""
    options = {"sync_steps": 1, "block_momentum": 0.0} if strategy == "bmuf" else {}
    steps = []

    def train(comm):
        one = Steady(dim=29, lr=0.1)
        compressed = wire_of(method, SHAPES, one.weights, **settings)
        algorithm = make_strategy(strategy, settings_class(strategy)(**options), one, comm, compressed)
        algorithm.start()
        begin = one.weights.clone()
        for frames in ONE_SHORT:
            before = one.weights.clone()
            algorithm.step(frames / learners)
            if comm.rank == 0:
                steps.append((one.weights - before).norm().item())
        ends.append(one.weights - begin)

    ends = []
    on_virtual(learners, train)
    return steps, ends[0]


CARRIED = [
    ("onebit", {"block": 8}),
    # Of the size of a step's elements, so that some wait; those of weights are smaller by the learning rate.
    ("threshold", {"threshold": 1e4}),
    ("topk", {"density": 0.1}),
    ("topk", {"density": 0.1, "momentum": 0.5}),
    ("powersgd", {"rank": 1}),
]


@pytest.mark.parametrize("strategy", ["ssgd", "bmuf"])
@pytest.mark.parametrize(("method", "settings"), CARRIED)
def test_a_step_of_few_frames_is_no_longer_than_others(strategy, method, settings):
    if strategy == "bmuf" and method == "threshold":
        settings = {"threshold": 1e3}
    steps, end = way(strategy, method, **settings)
    others = steps[25:30] + steps[31:36]
    assert 0.6 * min(others) < steps[30] < 1.4 * max(others)
    # Of the whole way nothing is missing but what is still held back, some steps of what moves most slowly.
    whole = -0.1 * len(steps) * DRIFT / (1 - settings.get("momentum", 0.0))
    assert (end - whole).norm() < 0.3 * whole.norm()


@pytest.mark.parametrize("learners", [1, 2])
def test_momentum_correction_counts_frames_in_its_warm_up_too(learners):
    steps, _ = way("ssgd", "topk", learners, momentum=0.5, warmup_frames=1e9)
    assert steps[30] == pytest.approx(steps[29], rel=1e-6)
    assert steps[-1] == pytest.approx(steps[29], rel=1e-6)


def test_what_an_earlier_version_held_back_is_dropped(caplog):
    w, fresh = wire("topk", momentum=0.5), wire("topk", momentum=0.5)
    old = w.state_dict() | {"residual": torch.full((30,), 1e6), "velocity": torch.full((30,), 1e6)}
    del old["unit"]
    w.load_state_dict(old | {"place": [0, 2]})
    assert "earlier version" in caplog.text
    x, y = DRIFT.clone(), DRIFT.clone()
    w.allreduce(Echo(), x)
    fresh.allreduce(Echo(), y)
    assert torch.equal(x, y)


def test_threshold_by_hand():
    w = wire_of("threshold", [torch.Size([4])], torch.empty(4), threshold=2.0)
    x = torch.tensor([-5.0, 1.0, 2.5, -1.5])
    w.allreduce(Echo(), x)
    assert x.tolist() == [-2, 0, 2, 0]
    x = torch.tensor([0.0, 1.5, 0.0, 0.0])
    w.allreduce(Echo(), x)
    assert x.tolist() == [-2, 2, 0, 0]
    assert w.residual.tolist() == [-1, 0.5, 0.5, -1.5]


@pytest.mark.parametrize("numel", [8, 16, 13, 1, 40])
def test_one_bit_is_read_as_the_means_of_its_block(numel):
    signs = Signs(8)
    x = torch.randn(numel, dtype=torch.float64)
    expected = torch.empty_like(x)
    for block, out in zip(x.split(8), expected.split(8), strict=True):
        for side in (block >= 0, block < 0):
            if side.any():
                out[side] = block[side].mean()
    blocks = -(-numel // 8)
    rest = x.clone()
    message = signs.encode(rest, torch.empty(signs.most_bytes(x), dtype=torch.uint8))
    assert message.numel() <= blocks * 17 + 7  # two numbers of 8 bytes and one byte of bits a block
    read = torch.zeros_like(x)
    signs.decode(message, read)
    assert torch.allclose(read, expected, rtol=0, atol=1e-12)
    assert torch.equal(rest + read, x) or torch.allclose(rest, x - expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 100, 5000, 40000, 50000])
@pytest.mark.parametrize("kind", ["normal", "few", "equal"])
def test_largest_finds_the_same_as_sorting(k, kind):
    v = torch.randn(50000)
    if kind == "few":
        v[torch.rand(50000) < 0.99] = 0
    if kind == "equal":
        v.fill_(-2.0)
    found = largest(v, k, torch.empty_like(v))
    assert len(set(found.tolist())) == k
    assert torch.equal(v[found].abs().sort().values, v.abs().sort().values[-k:])


@pytest.mark.parametrize(("method", "bound"), [("bf16", 2**-8), ("fp16", 2**-11)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_travel_in_16_bits(method, bound, dtype):
    w = wire(method, dtype)
    x = torch.randn(30, dtype=dtype)
    buffer = w.buffer(x)
    buffer.copy_(w.pack(x))
    assert buffer.element_size() == 2
    mine, theirs = w.unpack(w.pack(x)), w.unpack(buffer)
    assert theirs.dtype == dtype
    assert torch.all((theirs - x).abs() <= bound * x.abs())
    assert not torch.equal(theirs, x)
    # What this learner reads of its own vector is what others read, and reading the one leaves the other alone.
    assert mine.data_ptr() != theirs.data_ptr()
    assert torch.equal(mine, theirs)


def test_buffers_are_used_again():
    w, x = wire("bf16"), torch.randn(30, dtype=torch.float64)
    buffer = w.buffer(x)
    assert w.pack(x).data_ptr() == w.pack(x).data_ptr()
    assert w.unpack(buffer).data_ptr() == w.unpack(buffer).data_ptr()


def test_what_is_too_large_for_fp16_is_cut_and_counted():
    w, x = wire("fp16"), torch.ones(30, dtype=torch.float64)
    x[3], x[4] = 1e6, -1e6
    assert w.unpack(w.pack(x))[2:6].tolist() == [1.0, 65504.0, -65504.0, 1.0]
    assert w.saturated == 1
    x[5] = torch.inf
    assert w.unpack(w.pack(x))[5].item() == torch.inf
    assert w.unpack(wire("bf16").pack(x))[5].item() == torch.inf


@pytest.mark.parametrize("method", FEEDBACK)
def test_methods_with_residuals_refuse_weights(method):
    w = wire(method)
    with pytest.raises(ConfigError, match=f"adpsgd.*{method}.*bf16"):
        need_weights_wire(w, "adpsgd")
    with pytest.raises(ConfigError, match=method):
        w.pack(torch.zeros(30))


@pytest.mark.parametrize("method", ["none", *HALF])
def test_others_carry_weights(method):
    need_weights_wire(wire(method), "adpsgd")


@pytest.mark.parametrize("method", FEEDBACK)
def test_a_vector_of_another_length_is_refused(method):
    with pytest.raises(ValueError, match="29 elements"):
        wire(method).allreduce(LocalComm(), torch.zeros(30, dtype=torch.float64), exact=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "topkk"}, "'topkk' is unknown; did you mean 'topk'"),
        ({"method": "bf16", "warmup_frames": -1.0}, r"compressions\.bf16\.warmup_frames is -1"),
        ({"method": "topk", "density": 0.0}, "density"),
        ({"method": "topk", "density": 1.5}, "density"),
        ({"method": "topk", "momentum": 1.0}, "momentum"),
        ({"method": "onebit", "block": 12}, "multiple of 8"),
        ({"method": "threshold", "threshold": 0.0}, "threshold"),
        ({"method": "powersgd", "rank": 0}, "rank"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    name = settings.pop("method")
    with pytest.raises(ConfigError, match=message):
        wire_of(name, SHAPES, torch.empty(30), **settings)


def test_settings_of_a_training():
    topk = ["compression=topk", "compressions.topk.density=0.05"]
    assert COMPRESSIONS.of(load_config(TrainConfig, None, topk)).density == 0.05
    topk.append("compressions.topk.momentum=0.9")
    with pytest.raises(ConfigError, match=r"optimizers\.sgd\.momentum=0"):
        load_config(TrainConfig, None, topk)
    load_config(TrainConfig, None, [*topk, "optimizer=sgd", "optimizers.sgd.momentum=0"])
    with pytest.raises(ConfigError, match=r"compressions\.powersgd\.rank is 0"):
        load_config(TrainConfig, None, ["compression=powersgd", "compressions.powersgd.rank=0"])
    with pytest.raises(ConfigError, match=r"'compression\.momentum' is now 'compressions\.topk\.momentum'"):
        load_config(TrainConfig, None, ["compression.momentum=0.9"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["optimizer.nesterov=true"], r"'optimizer\.nesterov' is now 'optimizers\.sgd\.nesterov'"),
        (["optimizer=sgd", "optimizers.sgd.nesterov=true", "optimizers.sgd.momentum=0"], r"set it, such as to 0\.9"),
        (["strategy=asgd", "strategies.asgd.delay_compensation=0.1"], r"asgd\.delay_compensation .* plain SGD"),
    ],
)
def test_settings_that_would_be_ignored_or_wrong_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        load_config(TrainConfig, None, changes)


@pytest.mark.parametrize("method", [m for m in FEEDBACK if m != "powersgd"])
def test_state_is_restored_in_place_and_can_be_saved(method, tmp_path):
    settings = {"momentum": 0.5} if method == "topk" else {"block": 8} if method == "onebit" else {}
    first, second = (wire(method, **settings) for _ in range(2))
    x = torch.randn(30, dtype=torch.float64)
    first.allreduce(Echo(), x.clone())
    first.advance(7.0)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    place = second.residual.data_ptr()
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert second.residual.data_ptr() == place
    assert second.frames == 7.0
    assert second.residual.abs().sum() > 0
    a, b = x.clone(), x.clone()
    first.allreduce(Echo(), a)
    second.allreduce(Echo(), b)
    assert torch.equal(a, b)
    second.forget()
    assert second.residual.abs().sum() == 0


@pytest.mark.parametrize(
    ("name", "method", "message"),
    [
        ("delayed", "bf16", "'delayed' has no compression.*or take dpsgd with topology complete"),
        ("easgd_async", "powersgd", "'powersgd' is for sums over all learners"),
    ],
)
def test_strategies_refuse_the_compression_that_they_do_not_have(name, method, message):
    with pytest.raises(ConfigError, match=message):
        make_strategy(name, settings_class(name)(), ToyLearner(), LocalComm(), wire(method))


def test_easgd_has_no_gradients_to_give_momentum():
    with pytest.raises(ConfigError, match="easgd has none: set it to 0"):
        make_strategy("easgd", settings_class("easgd")(), ToyLearner(), LocalComm(), wire("topk", momentum=0.5))


def test_hidden_sums_of_blocks_are_not_compressed():
    with pytest.raises(ConfigError, match=r"bmuf with overlap_steps.*compression is 'bf16'"):
        make_strategy("bmuf", settings_class("bmuf")(overlap_steps=1), ToyLearner(), LocalComm(), wire("bf16"))
