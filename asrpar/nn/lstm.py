"""How one LSTM of torch is run, where its precision needs care."""

import functools

import torch
from torch import Tensor, nn


def run_lstm(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """(N, T, inputs) -> (N, T, outputs) of an LSTM of one layer and direction, which is ``batch_first``.

    Under autocast in bfloat16 torch would compute it in *float16* on GPUs (``aten/src/ATen/cudnn/AutocastRNN.cpp``
    casts to half whatever autocast says), whose largest number is 65,504, and nobody scales gradients for that here. So
    it is given bfloat16 where cuDNN has that for LSTMs (since 9.13), else float32. On processors without AVX-512 oneDNN
    has no LSTM in bfloat16 and ends in an error: there, too, it is float32.
    """
    if x.is_cuda and torch.is_autocast_enabled("cuda"):
        with torch.autocast("cuda", enabled=False):
            return in_bfloat16(lstm, x) if cudnn_has_bfloat16() else lstm(x.float())[0]
    if not x.is_cuda and torch.is_autocast_enabled("cpu") and not (lstm.proj_size or onednn_has_bfloat16()):
        with torch.autocast("cpu", enabled=False):
            return lstm(x.float())[0]
    return lstm(x)[0]


def in_bfloat16(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """The output in bfloat16; gradients of the weights arrive in their own type."""
    weights = [w.to(torch.bfloat16) for w in lstm._flat_weights]
    x = x.to(torch.bfloat16)
    state = tuple(x.new_zeros(1, x.shape[0], size) for size in (lstm.proj_size or lstm.hidden_size, lstm.hidden_size))
    return torch.lstm(x, state, weights, True, 1, 0.0, lstm.training, False, True)[0]


@functools.cache
def cudnn_has_bfloat16() -> bool:
    """Whether a GPU's LSTM takes bfloat16 here: tried once, as versions of torch and of cuDNN both count."""
    lstm = nn.LSTM(8, 8, batch_first=True, device="cuda")
    try:
        in_bfloat16(lstm, torch.zeros(1, 1, 8, device="cuda")).sum().backward()
    except RuntimeError:
        return False
    return True


@functools.cache
def onednn_has_bfloat16() -> bool:
    """Whether this processor's LSTM takes bfloat16 under autocast: tried once."""
    lstm = nn.LSTM(8, 8, batch_first=True)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            lstm(torch.zeros(1, 1, 8))[0].float().sum().backward()
    except RuntimeError:
        return False
    return True
