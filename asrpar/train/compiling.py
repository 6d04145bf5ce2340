"""`compile: true`: the model through torch.compile, where there is what that needs."""

import importlib.util
import os
import shutil

import torch

from asrpar.errors import ConfigError


def check_compiler(device: torch.device) -> None:
    """Refuse a machine on which torch.compile would fail in the first step, with a page of its own words.

    Raises:
        ConfigError: a compiler is missing.
    """
    # As torch chooses it.
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"compile is true, but there is no C++ compiler {compiler}, which torch.compile calls: install one, name "
            "another one in CXX, or use compile=false"
        )
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ConfigError("compile is true, but triton is missing, which makes code for GPUs: use compile=false")
