"""Simulated trainings: the same bits as under MPI, the same each time, and recordings that happen again."""

import json
import signal
from pathlib import Path

import pytest
from minidata import asrpar, train_options
from torch.nn.utils import parameters_to_vector

from asrpar.config import load_config, save_config
from asrpar.parallel.strategies import STRATEGIES
from asrpar.parallel.virtual.cluster import Cluster, Compute, Jitter
from asrpar.simulate.parts import NoCheckpoints, VirtualParts
from asrpar.simulate.training import replay
from asrpar.simulate.training import simulate as run_simulation
from asrpar.train.config import TrainConfig
from asrpar.train.digests import checksum
from asrpar.train.model_io import load_acoustic_model
from asrpar.train.signals import StopRequest

LOCKSTEP = sorted(name for name in STRATEGIES if STRATEGIES.load(name).lockstep and name != "single")
# Sums of blocks that hide behind computing, with few steps a block, so that there are blocks.
HIDDEN = {"strategies__model_averaging__sync_steps": 3, "strategies__model_averaging__overlap_steps": 2}
TRAINER = Path(__file__).parent / "programs" / "trainer.py"
AT_ITS_PACE = sorted(name for name in STRATEGIES if not STRATEGIES.load(name).lockstep)


def summary(exp):
    return json.loads((exp / "train.json").read_text())


def saved(path):
    """The checksum of a saved model's weights."""
    return checksum(parameters_to_vector(load_acoustic_model(path)[0].parameters()))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "cluster.yaml"
    save_config(Cluster("two cores", nodes=1, devices_per_node=16, compute=Compute(frames_per_second=2e4)), path)
    return path


def simulate(mini, exp, cluster, learners, *options, check=True, **settings):
    return asrpar(
        *("simulate", "--cluster", cluster, "--learners", learners, *options),
        *train_options(mini, exp, **settings),
        check=check,
    )


def options_of(mini, exp, **settings):
    """Settings of a training as ``key=value``."""
    return [option.removeprefix("--set=") for option in train_options(mini, exp, **settings)]


@pytest.mark.mpi
def test_lockstep_strategies_end_with_the_weights_that_mpi_gives(mini, tmp_path, mpirun):
    settings = {"epochs": 1, "threads": 1, **HIDDEN}
    options = options_of(mini, "EXP", **settings)
    mpirun(2, TRAINER, tmp_path, *LOCKSTEP, "--", *options, timeout=300)
    cluster = Cluster("two cores", devices_per_node=2, compute=Compute(frames_per_second=2e4))
    for name in LOCKSTEP:
        config = load_config(
            TrainConfig, None, options_of(mini, tmp_path / f"virtual_{name}", strategy=name, **settings)
        )
        run_simulation(config, cluster, 2)
        real, virtual = summary(tmp_path / name), summary(tmp_path / f"virtual_{name}")
        assert virtual["checksum"] == real["checksum"], name
        assert all(virtual[key] == real[key] for key in ("frames", "steps", "autocast"))
        # Two learners of 20,000 frames a second, of unequal shares.
        assert virtual["train_seconds"] == pytest.approx(real["frames"] / 4e4, rel=0.3)


@pytest.mark.mpi
def test_recorded_runs_happen_again_bit_for_bit(mini, tmp_path, mpirun):
    options = options_of(mini, "EXP", threads=1, record=True, faults__jitter=0.5)
    mpirun(3, TRAINER, tmp_path, *AT_ITS_PACE, "--", *options, timeout=300)
    for name in AT_ITS_PACE:
        # Raises unless the weights are the same.
        replay(tmp_path / name, tmp_path / f"again_{name}")
        assert summary(tmp_path / f"again_{name}")["checksum"] == summary(tmp_path / name)["checksum"]
        # Learners on one machine exchange in memory that they share, also when they do so again.
        recording = (tmp_path / name / "record" / "rank-0.tsv").read_text()
        assert ("learner\tpool\t" in recording) == (name == "adpsgd")


def test_three_simulations_are_one(mini, tmp_path, cluster):
    found = set()
    for number in range(3):
        exp = tmp_path / f"run{number}"
        changes = ("--set-cluster", "compute.jitter={kind: lognormal, share: 0.3}")
        simulate(mini, exp, cluster, 16, *changes, strategy="adpsgd", epochs=2)
        found.add((summary(exp)["checksum"], summary(exp)["trace_checksum"], summary(exp)["virtual_seconds"]))
        assert saved(exp / "final.pt") == summary(exp)["checksum"]
    assert len(found) == 1


def test_with_and_without_the_average_over_time(mini, tmp_path, cluster):
    settings = {"strategy": "adpsgd", "epochs": 2, "batch__size": 600, "dev_max_frames": 1}
    simulate(mini, tmp_path / "both", cluster, 4, ema__both="true", **settings)
    simulate(mini, tmp_path / "without", cluster, 4, ema__enabled="false", **settings)
    both, without = summary(tmp_path / "both"), summary(tmp_path / "without")
    assert saved(tmp_path / "both" / "final.pt") == both["checksum"] != without["checksum"]
    assert saved(tmp_path / "both" / "unaveraged.pt") == without["checksum"]
    for a, b in zip(both["history"], without["history"], strict=True):
        assert a["dev_loss_unaveraged"] == b["dev_loss"] != a["dev_loss"]
        assert a["dev_error_rate_unaveraged"] == b["dev_error_rate"] and a["train_loss"] == b["train_loss"]


def test_a_straggler_holds_up_those_in_lockstep_alone(mini, tmp_path, cluster):
    waiting = {}
    for strategy in ("ssgd", "adpsgd"):
        slow = ("--set-cluster", "compute.stragglers=[{rank: 1, factor: 5.0}]")
        simulate(mini, tmp_path / strategy, cluster, 4, *slow, strategy=strategy, epochs=1, batch__size=600)
        waiting[strategy] = summary(tmp_path / strategy)["time"]["ranks"][0]["waiting"]
    # Share of its time that a quick learner spends in a step waiting; an epoch's end is for all.
    assert waiting["ssgd"] > 0.6
    assert waiting["adpsgd"] < 0.1


class Heard(StopRequest):
    """Learner 2 alone hears a signal, before its fourth step."""

    looks = 0

    def seen(self):
        self.looks += 1
        self.number = signal.SIGTERM if self.comm.rank == 2 and self.looks > 3 else 0
        return self.number


class Noted(NoCheckpoints):
    """Who would have saved at which step; what it would have saved is there."""

    def __init__(self, comm, steps):
        self.comm, self.steps = comm, steps

    def save(self, epoch, steps, state):
        assert state()["position"]["steps"] == steps
        self.steps[self.comm.rank] = steps


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("dpsgd", {}),
        ("bmuf", {"strategies__bmuf__sync_steps": 4, "strategies__bmuf__overlap_steps": 3}),
        ("hadpsgd", {"strategies__hadpsgd__super_learner_size": 2}),
    ],
)
def test_a_signal_to_one_learner_stops_those_who_step_together_after_one_step(
    mini, tmp_path, monkeypatch, strategy, settings
):
    steps = {}
    monkeypatch.setattr(VirtualParts, "stop", lambda parts, comm: Heard(comm, 0.0, signals=()))
    monkeypatch.setattr(VirtualParts, "checkpoints", lambda parts, comm: Noted(comm, steps))
    options = options_of(mini, tmp_path, strategy=strategy, epochs=2, batch__size=1, dev_max_frames=1, **settings)
    cluster = Cluster(
        "x", nodes=2, devices_per_node=2, compute=Compute(frames_per_second=2e4, jitter=Jitter("lognormal", 0.5))
    )
    run_simulation(load_config(TrainConfig, None, options), cluster, 4)
    assert not summary(tmp_path)["complete"]
    together = [steps[r] for r in range(4) if strategy != "hadpsgd" or r > 1]
    assert len(steps) == 4 and len(set(together)) == 1 and 8 <= together[0] <= 20
    assert strategy != "hadpsgd" or steps[0] == steps[1] < 24


def test_a_finished_simulation_is_left_alone_and_another_one_refused(mini, tmp_path, cluster):
    exp = tmp_path / "exp"
    simulate(mini, exp, cluster, 2, strategy="ssgd", epochs=1)
    before = (exp / "train.json").stat().st_mtime_ns
    assert "is trained already" in simulate(mini, exp, cluster, 2, strategy="ssgd", epochs=1).stderr
    other = simulate(mini, exp, cluster, 3, strategy="ssgd", epochs=1, check=False)
    assert other.returncode == 1
    assert "another cluster or number of learners" in other.stderr
    assert (exp / "train.json").stat().st_mtime_ns == before


def test_what_cannot_be_simulated_is_refused(mini, tmp_path, cluster):
    done = simulate(
        mini, tmp_path / "exp", cluster, 2, strategy="ssgd", faults__die_rank="[1]", faults__die_step="[2]", check=False
    )
    assert done.returncode == 1
    assert "faults.die_rank" in done.stderr
    few = simulate(mini, tmp_path / "exp", cluster, 17, strategy="ssgd", check=False)
    assert "has 1 nodes of 16 devices, too few for 17 learners" in few.stderr
    missing = asrpar("simulate", "--replay", tmp_path / "none", "--set", f"exp={tmp_path / 'e'}", check=False)
    assert "is missing: run asrpar train --set record=true first" in missing.stderr


def test_a_recording_of_another_program_is_told(mini, tmp_path):
    options = train_options(mini, tmp_path / "one", strategy="asgd", epochs=1, threads=1, record=True)
    asrpar("train", *options)
    path = tmp_path / "one" / "record" / "rank-0.tsv"
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("server\treceive"))
    path.write_text("\n".join([*lines[:at], lines[at].replace("receive", "lock"), *lines[at + 1 :]]) + "\n")
    again = asrpar("simulate", "--replay", tmp_path / "one", "--set", f"exp={tmp_path / 'again'}", check=False)
    assert again.returncode == 1
    assert "'receive' of server where the recording has 'lock'" in again.stderr
    path.write_text("\n".join(lines)[: -(len(lines[-1]) // 2)])
    cut = asrpar("simulate", "--replay", tmp_path / "one", "--set", f"exp={tmp_path / 'cut'}", check=False)
    assert "not an event" in cut.stderr or "recorded events" in cut.stderr or "recording has" in cut.stderr
