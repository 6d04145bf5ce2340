"""The store through which processes that torchrun has started find each other."""

import os
from datetime import timedelta

from torch.distributed import TCPStore

from asrpar.errors import LaunchError


def torchruns_store() -> TCPStore:
    """The store that torchrun keeps on the host of its rank 0.

    Raises:
        LaunchError: it cannot be reached.
    """
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        return TCPStore(address, port, is_master=False, timeout=timedelta(minutes=10))
    except (KeyError, ValueError, RuntimeError) as e:
        raise LaunchError(f"torchrun's store at MASTER_ADDR and MASTER_PORT cannot be reached: {e}") from e
