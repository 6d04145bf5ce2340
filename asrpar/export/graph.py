"""Modules as ONNX graphs, and whether these give the same numbers."""

import importlib
import io
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from asrpar.errors import AsrparError, ConfigError

# What runtimes of the last years all know.
OPSET = 17
# Of log-probabilities; layers are summed up in another order.
TOLERANCE = 1e-3


class ExportError(AsrparError):
    """A model that cannot be exported, or another one after it was."""


def need(name: str) -> ModuleType:
    """An optional package of the ``export`` extra. Raises `ConfigError` without it."""
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise ConfigError(
            f"this needs the package {name.replace('_', '-')} ({e}): "
            "pip install -c constraints.txt -e '.[export]' in asrpar's folder"
        ) from e


def to_onnx(module: nn.Module, num_features: int, metadata: dict[str, Any]) -> bytes:
    """A module ``(features (N, T, C), lens (N,)) -> (log_probs (N, T', classes), lens' (N,))`` as an ONNX file's bytes.

    N and T are free. The inputs are called ``x`` and ``x_lens`` (int64), the outputs ``log_probs`` and
    ``log_probs_lens``.

    Args:
        module: in evaluation mode.
        num_features: C.
        metadata: properties to keep in the file, as text.

    Raises:
        ExportError: an operation that ONNX does not have.
    """
    onnx = need("onnx")
    example = torch.randn(2, 64, num_features), torch.tensor([64, 50])
    packed = io.BytesIO()
    axes = {"x": {0: "N", 1: "T"}, "x_lens": {0: "N"}, "log_probs": {0: "N", 1: "T_out"}, "log_probs_lens": {0: "N"}}
    # The exporter by tracing: it keeps an LSTM one operation, which the newer one takes apart for one length.
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                module,
                example,
                packed,
                input_names=["x", "x_lens"],
                output_names=["log_probs", "log_probs_lens"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
        except Exception as e:  # torch has many kinds
            text = str(e).strip().splitlines()
            raise ExportError(f"this model cannot be written as ONNX: {text[0] if text else type(e).__name__}") from e
    model = onnx.load_from_string(packed.getvalue())
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, str(value)
    return model.SerializeToString()


def check_equal(module: nn.Module, graph: bytes, num_features: int) -> float:
    """The greatest difference between a module and its graph under onnxruntime, over several shapes.

    Raises:
        ExportError: it is more than rounding explains.
    """
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    random, worst = np.random.default_rng(0), 0.0
    for lens in ([61], [1], [200, 97], [30, 7, 29]):
        x = random.standard_normal((len(lens), max(lens), num_features), dtype=np.float32)
        with torch.no_grad():
            wanted, wanted_lens = (t.numpy() for t in module(torch.from_numpy(x), torch.tensor(lens)))
        found, found_lens = session.run(None, {"x": x, "x_lens": np.array(lens, dtype=np.int64)})
        if found.shape != wanted.shape or (found_lens != wanted_lens).any():
            raise ExportError(f"the ONNX graph gives {found_lens} frames where the model gives {wanted_lens}")
        for row, right, length in zip(found, wanted, wanted_lens, strict=True):
            worst = max(worst, float(np.abs(row[:length] - right[:length]).max()))
    if not worst < TOLERANCE:
        raise ExportError(f"the ONNX graph's log-probabilities differ from the model's by {worst:.3g}")
    return worst
