"""`autocast: auto`: where computing in bfloat16 gains time, alike on all learners."""

import platform
from pathlib import Path

import torch

from asrpar.config import load_config
from asrpar.cpu import lacks_fast_bf16
from asrpar.errors import ConfigError
from asrpar.log import get_logger
from asrpar.nn.models import MODELS
from asrpar.parallel.comm import Comm
from asrpar.train.build import pick_device
from asrpar.train.config import TrainConfig

log = get_logger(__name__)


def decide_autocast(config: TrainConfig, comm: Comm) -> None:
    """Put ``none`` or ``bf16`` in the place of ``autocast: auto``. Collective.

    bf16 if it gains on every learner, by what their processors and GPUs are (a measurement would not choose the same
    each time). A training that has begun goes on as it began.
    """
    reasons = comm.allgather_object(lacks_gain(config, comm.rank))
    slow = next((f"{reason} (rank {rank})" for rank, reason in enumerate(reasons) if reason), "")
    # Rank 0 looks for all, as on a network file system the others might see something else.
    before = comm.broadcast_object(recorded(Path(config.exp)) if comm.rank == 0 else "")
    asked, config.autocast = config.autocast, before if config.autocast == "auto" else config.autocast
    if config.autocast:
        if config.autocast == "bf16" and slow:
            kept = "the training began with it" if asked == "auto" else "as set; autocast: auto would choose none"
            log.warning("autocast bf16 may be slower than none here, as %s: %s", slow, kept)
        elif asked == "auto":
            log.info("autocast: auto is %s, with which the training began", before)
        return
    config.autocast = "none" if slow else "bf16"
    log.info("autocast: auto is %s%s", config.autocast, f": {slow}" if slow else "")


def lacks_gain(config: TrainConfig, rank: int) -> str:
    """Why bfloat16 gains nothing on this learner; empty if it does."""
    device = pick_device(config.device, rank)
    where = f" on {platform.node()}"
    if device.type == "cuda":
        # Emulated, it is slow.
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return ""
        return f"{torch.cuda.get_device_name(device)} has no bfloat16{where}"
    if reason := MODELS.load(config.model).no_bf16_on_cpus:
        return reason
    reason = lacks_fast_bf16()
    return reason and reason + where


def recorded(exp: Path) -> str:
    """The autocast with which the training in ``exp`` began; empty if there is none that can be read."""
    try:
        found = load_config(TrainConfig, exp / "config.yaml").autocast
    except (ConfigError, OSError):
        return ""
    return found if found != "auto" else ""
