"""CTC: against all paths enumerated by hand, utterances without a path, and k2's value."""

import itertools

import pytest
import torch

from asrpar.errors import ConfigError
from asrpar.nn import CtcLoss, LossConfig
from asrpar.nn.losses.ctc import frames_needed


def collapse(path):
    return [k for k, _ in itertools.groupby(path) if k != 0]


def by_enumeration(log_probs, target):
    """-log of the summed probability of all frame paths that collapse to ``target``."""
    frames, classes = log_probs.shape
    scores = [
        sum(log_probs[t, c] for t, c in enumerate(path))
        for path in itertools.product(range(classes), repeat=frames)
        if collapse(path) == target
    ]
    return -torch.logsumexp(torch.stack(scores), 0)


@pytest.mark.parametrize(
    "targets",
    [
        [[[1, 2]], [[3]]],
        [[[1, 1]], [[2, 3]]],
        [[[]], [[2]]],
        # Pronunciations: the probabilities of all of them add up, but for those that are too long.
        [[[1, 2], [1, 3], [2]], [[3]]],
        [[[1], [2]], [[3, 1], [1, 1, 1, 1]]],
    ],
)
def test_equals_the_sum_over_all_paths(targets):
    log_probs = torch.randn(2, 4, 4).log_softmax(-1)
    lens = torch.tensor([4, 3])
    loss, used = CtcLoss(LossConfig())(log_probs, lens, targets)
    expected = 0.0
    for n in range(2):
        each = [by_enumeration(log_probs[n, : lens[n]], t) for t in targets[n] if frames_needed(t) <= lens[n]]
        expected -= torch.logsumexp(-torch.stack(each), 0)
    assert used == [True, True]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_frames_needed_counts_blanks_between_equal_tokens():
    assert [frames_needed(t) for t in ([], [5], [1, 2, 3], [1, 1], [1, 1, 1, 2])] == [0, 1, 3, 3, 6]


def test_utterances_without_a_path_are_left_out_and_counted():
    log_probs = torch.randn(3, 4, 4).log_softmax(-1).requires_grad_()
    lens = torch.tensor([4, 2, 4])
    loss, used = CtcLoss(LossConfig())(log_probs, lens, [[[1], [2]], [[1, 1]], []])
    alone, _ = CtcLoss(LossConfig())(log_probs[:1], lens[:1], [[[1], [2]]])
    assert used == [True, False, False]
    assert loss.item() == pytest.approx(alone.item())
    loss.backward()
    assert torch.isfinite(log_probs.grad).all()
    assert log_probs.grad[1:].abs().sum() == 0


def test_a_batch_with_nothing_left_gives_zero():
    log_probs = torch.randn(1, 1, 4).log_softmax(-1).requires_grad_()
    loss, used = CtcLoss(LossConfig())(log_probs, torch.tensor([1]), [[[1, 1]]])
    loss.backward()
    assert (loss.item(), used, log_probs.grad.abs().sum().item()) == (0.0, [False], 0.0)


def test_unknown_implementation():
    with pytest.raises(ConfigError, match="known: torch, k2"):
        CtcLoss(LossConfig("warp"))


@pytest.mark.k2
def test_k2_gives_the_value_and_gradient_of_torch(needs_k2):
    targets, lens = [[[3, 1]], [[1, 2, 2], [2, 1]], [[2]]], torch.tensor([9, 12, 4])
    grads, values = [], []
    for implementation in ("torch", "k2"):
        torch.manual_seed(0)
        x = torch.randn(3, 12, 5, requires_grad=True)
        loss, _ = CtcLoss(LossConfig(implementation))(x.log_softmax(-1), lens, targets)
        loss.backward()
        values.append(loss.item())
        grads.append(x.grad)
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    assert torch.allclose(*grads, atol=1e-5)


def test_without_k2_the_error_says_what_to_do():
    try:
        import k2  # noqa: F401
    except Exception:
        with pytest.raises(ConfigError, match=r"install_k2\.sh"):
            CtcLoss(LossConfig("k2"))
    else:
        pytest.skip("k2 is installed")


def test_gradients_repeat_bit_for_bit_on_several_threads():
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        variants = [
            [[1 + i % 5, 2 + (i * k) % 7, 3] for i in range(n)] for k, n in enumerate((16, 1, 16, 3, 1, 1, 16, 1))
        ]
        x, lens = torch.randn(8, 60, 60), torch.full((8,), 60)
        found = []
        for _ in range(12):
            y = x.clone().requires_grad_()
            CtcLoss(LossConfig())(y.log_softmax(-1), lens, variants)[0].backward()
            found.append(y.grad)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(found[0], g) for g in found[1:])
