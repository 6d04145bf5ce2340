"""Run under mpirun: ``other_transport.py gloo|staged PROGRAM``, another program with another transport than its own."""

import runpy
import sys

import torch
from copies import CopyAll

from asrpar.parallel import comm as transports
from asrpar.parallel.comm import mpi
from asrpar.parallel.comm.nccl import TorchComm, joined

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
