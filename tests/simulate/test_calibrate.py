"""A machine's description by measurement: of its shape; what it measures differs from time to time."""

import itertools

import pytest
from minidata import train_options

from asrpar.config import load_config
from asrpar.errors import DataError
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.virtual.cluster import ComputeTime
from asrpar.parallel.virtual.presets import load_cluster
from asrpar.simulate.calibrate import calibrate, fit_line, measure_machine
from asrpar.train.config import TrainConfig


def config(mini, tmp_path) -> TrainConfig:
    options = [o.removeprefix("--set=") for o in train_options(mini, tmp_path / "exp")]
    return load_config(TrainConfig, None, options)


def test_alone(mini, tmp_path):
    found = calibrate(config(mini, tmp_path), LocalComm(), tmp_path / "out" / "here.yaml")
    assert load_cluster(tmp_path / "out" / "here.yaml") == found
    assert found.nodes == 1 and not (tmp_path / "exp").exists()
    table = found.compute.table
    assert len(table) >= 2
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in itertools.pairwise(table))
    assert 0 < ComputeTime(found.compute, 0, 0).seconds(table[0][0]) < 60
    assert found.mixing_bandwidth > 1e7


def test_too_little_data(mini, tmp_path):
    with pytest.raises(DataError, match="no batch of about 10000000 frames"):
        measure_machine(config(mini, tmp_path), LocalComm(), batch_frames=(10**7,))


def test_line_through_times():
    points = [(n, 2e-5 + n / 3e9) for n in (1e3, 1e5, 1e7)]
    latency, per_byte = fit_line(points)
    assert latency == pytest.approx(2e-5) and 1 / per_byte == pytest.approx(3e9)
    # A disturbed large message must not make the latency negative.
    latency, per_byte = fit_line([*points[:2], (1e7, 0.02)])
    assert latency >= 0 and per_byte > 0


PROGRAM = """
import sys
from asrpar.config import load_config
from asrpar.parallel.comm import world
from asrpar.simulate.calibrate import measure_machine
from asrpar.train.config import TrainConfig
comm = world()
found = measure_machine(load_config(TrainConfig, None, sys.argv[1:]), comm, batch_frames=(200, 400), repeats=1)
assert found.devices_per_node == 2 and found.nodes == 1, found
assert 0 <= found.links.inside.latency < 1 and 1e5 < found.links.inside.bandwidth < 1e12, found.links
assert "sums over 2 ranks" in found.source and found.collective_efficiency > 0, found
assert all(c == found for c in comm.allgather_object(found))
"""


def test_two_ranks(mini, tmp_path, mpirun):
    mpirun(2, PROGRAM, *[o.removeprefix("--set=") for o in train_options(mini, tmp_path / "exp")], timeout=300)
