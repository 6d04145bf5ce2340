"""Run under mpirun: ``other_transport.py gloo|staged|windows PROGRAM``, another program on that transport."""

import runpy
import sys

import torch
from copies import CopyAll
from windows import CommOnHost

from asrpar.parallel import comm as transports
from asrpar.parallel.comm import mpi
from asrpar.parallel.comm.nccl import TorchComm, joined
from asrpar.parallel.comm.windows import WindowComm, WindowDrafts

kind, program = sys.argv[1:]
if kind == "staged":
    mpi.Staging = CopyAll
comm = transports.world()
if kind == "gloo":
    comm = joined(comm, "gloo", torch.device("cpu"))
    assert isinstance(comm, TorchComm)
if kind == "windows":
    comm = CommOnHost()
transports.world = lambda: comm
runpy.run_path(program, run_name="__main__")
if kind == "gloo":
    comm.close()
if kind == "windows":
    assert CommOnHost.lent, "nothing went through a window"
    host = WindowComm(comm.mpi, comm.trace).drafts(torch.zeros(4), 1)
    assert not isinstance(host, WindowDrafts), "a window of host memory"
