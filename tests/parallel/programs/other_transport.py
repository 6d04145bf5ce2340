"""Run under mpirun: ``other_transport.py gloo|staged PROGRAM``, another program with another transport than its own."""

import runpy
import sys

import torch

from asrpar.parallel import comm as transports
from asrpar.parallel.comm import mpi
from asrpar.parallel.comm.nccl import TorchComm, joined
from asrpar.parallel.comm.staging import Staging


class CopyAll(Staging):
    """Lets host tensors travel as if they were a GPU's."""

    def stays(self, x):
        return False

    def moment(self, x):
        return None

    def allocate(self, x):
        return torch.empty(x.numel(), dtype=x.dtype)

    def move(self, source, target, device, since=None):
        target.copy_(source)


kind, program = sys.argv[1:]
if kind == "staged":
    mpi.Staging = CopyAll
comm = transports.world()
if kind == "gloo":
    comm = joined(comm, "gloo", torch.device("cpu"))
    assert isinstance(comm, TorchComm)
transports.world = lambda: comm
runpy.run_path(program, run_name="__main__")
if kind == "gloo":
    comm.close()
