"""Memory that a computation's tensors take at most."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """A context that follows what torch's operations allocate on a CPU, backward included.

    What an operation needs for itself alone is not seen. GPUs count by themselves (`torch.cuda.max_memory_allocated`).

    Attributes:
        now: bytes of the tensors that were made within and still live.
        peak: the most that these have been.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage(), given)
        return made

    def _see(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        # A storage's Python object lives as long as what it stands for.
        if storage._cdata in self._known or storage._cdata in given:
            return
        self._known.add(storage._cdata)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
