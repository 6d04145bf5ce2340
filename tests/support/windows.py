"""NCCL's one-sided windows, without a GPU: what is put arrives when the receiver waits for its signal."""

import torch
from mpi4py import MPI

from asrpar.parallel.comm.mpi import MpiComm
from asrpar.parallel.comm.windows import WindowComm, WindowDrafts


class OnHost:
    """As `asrpar.parallel.comm.windows.Nccl`."""

    def __init__(self, mpi, device):
        self.mpi, self.under_way, self.windows = mpi.Dup(), [], []

    def window(self, numel, like):
        self.windows.append(torch.full((numel,), torch.nan, dtype=like.dtype))
        return self.windows[-1], len(self.windows) - 1

    def put(self, x, peer, handle, offset):
        copy = x.clone()
        request = self.mpi.Isend(copy.numpy(), peer, tag=offset)
        self.under_way = [(r, c) for r, c in self.under_way if not r.Test()] + [(request, copy)]

    def wait(self, peer):
        status = MPI.Status()
        while not self.mpi.Iprobe(peer, MPI.ANY_TAG, status):
            pass
        numel = status.Get_count(MPI.BYTE) // self.windows[1].itemsize
        self.mpi.Recv(self.windows[1][status.Get_tag() :][:numel].numpy(), peer, status.Get_tag())


class CommOnHost(MpiComm):
    """Channels have windows."""

    lent = 0

    def channel(self):
        return WindowComm(self.mpi, self.trace, OnHost)


_lend = WindowDrafts.lend


def _counted(self, payload, dest):
    place = _lend(self, payload, dest)
    CommOnHost.lent += place is not None
    return place


WindowDrafts.lend = _counted
