"""The oracles again, on the transports that GPUs use: torch.distributed, and MPI through copies in host memory."""

import threading
from pathlib import Path

import pytest
import torch
from copies import CopyAll

from asrpar.parallel.comm import staging
from asrpar.parallel.comm.staging import Staging

PROGRAMS = Path(__file__).parents[1] / "programs"


@pytest.mark.mpi
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("kind", "program", "ranks"),
    [
        ("gloo", "oracles", 1),
        ("gloo", "oracles", 3),
        ("gloo", "sync_oracles", 2),
        ("gloo", "compress_oracles", 3),
        ("gloo", "async_oracles", 2),
        ("staged", "sync_oracles", 3),
        ("staged", "compress_oracles", 2),
        ("staged", "async_oracles", 2),
        ("windows", "async_oracles", 2),
    ],
)
def test_oracles_on_other_transports(mpirun, repo, kind, program, ranks):
    path = f"{repo}:{repo / 'tests/support'}"
    arguments = (kind, PROGRAMS / f"{program}.py")
    done = mpirun(ranks, PROGRAMS / "other_transport.py", *arguments, timeout=360, env={"PYTHONPATH": path})
    assert done.stdout.count("passed") == ranks


@pytest.mark.mpi
def test_nccl_is_refused_where_learners_share_a_gpu(mpirun):
    program = """
from types import SimpleNamespace
import torch
from asrpar.errors import ConfigError
from asrpar.parallel.comm import world
from asrpar.parallel.comm.nccl import joined
torch.cuda.get_device_properties = lambda device: SimpleNamespace(uuid="GPU-1")
try:
    joined(world(), "nccl", torch.device("cuda", 0))
except ConfigError as e:
    print(e)
"""
    assert mpirun(2, program).stdout.count("2 learners have 1 GPU(s), and NCCL wants one for each") == 2


def test_what_is_on_the_host_is_not_copied():
    x = torch.arange(3.0)
    host = Staging()
    assert host.outgoing(x).data_ptr() == x.data_ptr()
    assert host.incoming(x) is x
    host.arrived(x, x)
    assert x.tolist() == [0, 1, 2]


def test_copies_go_out_and_come_back_with_their_shape():
    x, host = torch.arange(6.0).view(2, 3), CopyAll()
    out = host.outgoing(x)
    assert out.tolist() == x.tolist()
    assert out.data_ptr() != x.data_ptr()
    out.mul_(2)
    host.arrived(out, x)
    assert x.tolist() == [[0, 2, 4], [6, 8, 10]]


def test_buffers_are_reused_but_never_by_another_thread_or_for_both_directions():
    x, host = torch.zeros(4), CopyAll()
    mine = host.outgoing(x)
    assert host.outgoing(x).data_ptr() == mine.data_ptr()
    assert host.incoming(x).data_ptr() != mine.data_ptr()
    theirs = []
    thread = threading.Thread(target=lambda: theirs.append(host.outgoing(x)))
    thread.start()
    thread.join()
    assert theirs[0].data_ptr() != mine.data_ptr()


def test_the_number_of_buffers_is_bounded(monkeypatch):
    monkeypatch.setattr(staging, "KEPT", 2)
    made = []

    class Counting(CopyAll):
        def allocate(self, x):
            made.append(x.numel())
            return super().allocate(x)

    host = Counting()
    for n in (1, 2, 2, 3, 3, 2, 1):
        assert host.outgoing(torch.ones(n)).numel() == n
    assert made == [1, 2, 3, 1]


def test_only_whole_tensors_can_be_sent():
    with pytest.raises(ValueError, match="contiguous"):
        Staging().outgoing(torch.zeros(2, 2).T)
