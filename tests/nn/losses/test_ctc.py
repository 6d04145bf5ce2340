"""CTC: against all paths enumerated by hand, utterances without a path, and k2's value."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from asrpar.errors import ConfigError
from asrpar.nn.losses import LOSSES
from asrpar.nn.losses.ctc import Loss, Settings, frames_needed
from asrpar.nn.objective import Misfit, Sources


class Words:
    """Transcripts whose words are tokens, "1.2" one of two; "1|2" may be spoken as either, and "x" as nothing."""

    num_tokens = 6

    def encode_variants(self, text):
        if self.unknown(text):
            return []
        ways = [[[int(t) for t in way.split(".")] for way in word.split("|")] for word in text.split()]
        return [[t for way in chosen for t in way] for chosen in itertools.product(*ways)]

    def unknown(self, text):
        return {word for word in text.split() if word == "x"}

    def num_units(self, text):
        return len(self.encode_variants(text)[0])


def ctc(implementation="torch"):
    return Loss(Settings(implementation), Sources(Words()))


def loss_of(*args):
    return ctc().loss(*args)


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
    loss, used = loss_of(log_probs, lens, targets)
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
    loss, used = loss_of(log_probs, lens, [[[1], [2]], [[1, 1]], []])
    alone, _ = loss_of(log_probs[:1], lens[:1], [[[1], [2]]])
    assert used == [True, False, False]
    assert loss.item() == pytest.approx(alone.item())
    loss.backward()
    assert torch.isfinite(log_probs.grad).all()
    assert log_probs.grad[1:].abs().sum() == 0


def test_a_batch_with_nothing_left_gives_zero():
    log_probs = torch.randn(1, 1, 4).log_softmax(-1).requires_grad_()
    loss, used = loss_of(log_probs, torch.tensor([1]), [[[1, 1]]])
    loss.backward()
    assert (loss.item(), used, log_probs.grad.abs().sum().item()) == (0.0, [False], 0.0)


def test_unknown_implementation():
    with pytest.raises(ConfigError, match=r"losses\.ctc\.implementation 'warp' is unknown; known: torch, k2"):
        LOSSES.settings("ctc", {"ctc": {"implementation": "warp"}})


@pytest.mark.k2
def test_k2_gives_the_value_and_gradient_of_torch(needs_k2):
    targets, lens = [[[3, 1]], [[1, 2, 2], [2, 1]], [[2]]], torch.tensor([9, 12, 4])
    grads, values = [], []
    for implementation in ("torch", "k2"):
        torch.manual_seed(0)
        x = torch.randn(3, 12, 5, requires_grad=True)
        loss, _ = ctc(implementation).loss(x.log_softmax(-1), lens, targets)
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
            LOSSES.settings("ctc", {"ctc": {"implementation": "k2"}})
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
            loss_of(y.log_softmax(-1), lens, variants)[0].backward()
            found.append(y.grad)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(found[0], g) for g in found[1:])


def spoken(text):
    return SimpleNamespace(id="u", text=text, num_frames=30)


def test_targets_are_all_ways_to_say_a_transcript():
    one = ctc()
    assert one.targets(spoken("1 2|3")) == [[1, 2], [1, 3]] == one.targets(spoken("1 2|3"), np.arange(2, 30))
    assert one.targets(spoken("1 x")) == [] and one.num_classes == 6 and one.blank == 0


def test_errors_are_those_of_the_best_path_against_the_nearest_variant():
    best = torch.tensor([[0, 1, 1, 0, 1, 3, 0], [2, 2, 0, 0, 0, 0, 0], [4, 4, 4, 4, 4, 4, 4]])
    output = torch.nn.functional.one_hot(best, 6).float()
    # 1 1 3 against 1 1 2 or 1 3: one error of three tokens; 2 against 2 2 within its three frames; nothing.
    assert ctc().errors(output, torch.tensor([7, 3, 7]), [[[1, 1, 2], [1, 3]], [[2, 2]], []]) == (2, 5)


def test_an_utterance_is_in_the_loss_if_a_variant_fits():
    one = ctc()
    assert one.misfit(spoken("1.1 2"), 3) == Misfit(frames=4) and one.misfit(spoken("1.1 2"), 4) is None
    assert one.misfit(spoken("1.2.3|4"), 1) is None
    assert one.misfit(spoken("1 x"), 9) == Misfit(missing=("x",))
