"""Cross-entropy of many frames over many classes, without a copy of all scores in float32."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

# Scores that are taken at a time: 16 MiB in float32.
CHUNK = 2**22


def cross_entropy(scores: Tensor, labels: Tensor, ignore: int, smoothing: float = 0.0) -> Tensor:
    """Σ over frames of −log softmax(scores)[label]; 0, which has a gradient too, where no frame has a label.

    As `torch.nn.functional.cross_entropy`, which it calls where scores are few and in full precision. Of 1,024 windows
    of 21 frames and 32,000 classes torch keeps 2.75 GB of log-probabilities and makes as much again twice; here there
    are a gradient in the scores' own type, made at once, and one chunk in float32. Sums are in float32.

    Args:
        scores: (F, C) in any type of floating point.
        labels: (F,) int64, each a class or ``ignore``.
        ignore: the label of frames that do not count.
        smoothing: share of a frame's target that is spread over all classes (Szegedy et al. 2016).

    Returns:
        () float32, or the type of scores if that is wider.
    """
    if scores.dtype in (torch.float32, torch.float64) and scores.numel() <= CHUNK:
        return F.cross_entropy(scores, labels, ignore_index=ignore, reduction="sum", label_smoothing=smoothing)
    return _Chunked.apply(scores, labels, ignore, smoothing)


class _Chunked(torch.autograd.Function):
    """The sum over chunks of frames; the gradient is made with it, as the same exponentials are in both."""

    @staticmethod
    def forward(ctx: FunctionCtx, scores: Tensor, labels: Tensor, ignore: int, smoothing: float) -> Tensor:
        frames, classes = scores.shape
        wide = torch.promote_types(scores.dtype, torch.float32)
        gradient = torch.empty_like(scores) if ctx.needs_input_grad[0] else None
        total = scores.new_zeros((), dtype=wide)
        size = max(1, CHUNK // classes)
        for begin in range(0, frames, size):
            rows = slice(begin, begin + size)
            log_probs, target = scores[rows].to(wide).log_softmax(1), labels[rows]
            counts = target != ignore
            index = torch.where(counts, target, 0)[:, None]
            nll = -log_probs.gather(1, index)[:, 0]
            if smoothing:
                nll = (1.0 - smoothing) * nll - smoothing * log_probs.mean(1)
            # Not a product: what is no number in a frame that does not count must not reach the sum.
            total += torch.where(counts, nll, 0.0).sum()
            if gradient is not None:
                slope = log_probs.exp_()
                if smoothing:
                    slope -= smoothing / classes
                slope.scatter_add_(1, index, slope.new_full((), smoothing - 1.0).expand_as(index))
                slope.masked_fill_(~counts[:, None], 0.0)
                gradient[rows] = slope
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        # Nothing else holds this gradient; torch refuses a second backward of a retained graph, as it has changed.
        return gradient.mul_(upstream.to(gradient.dtype)), None, None, None
