"""Trainings that are stopped in a real Slurm, queued again, and go on: as if nothing had happened.

Two nodes, and what a recipe's run.sh submits to them, or a script of one's own.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import warm
from minidata import asrpar, prepare, ranks
from slurm import Cluster
from slurm import cluster as running

pytestmark = [pytest.mark.slurm, pytest.mark.mpi(turn=False), pytest.mark.slow]
OTHER = {"one": "two", "two": "one"}
SETTINGS = {"epochs": 40, "models.tdnn.channels": 16, "models.tdnn.dilations": "[1,2]", "models.tdnn.conv_maps": 4}
EXTRA = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    nodes = dict.fromkeys(("one", "two"), "CPUs=4 RealMemory=500")
    with running(tmp_path_factory.mktemp("slurm"), nodes) as slurm:
        yield slurm


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder EXP of the recipe, with a small corpus and its manifests."""
    folder = tmp_path_factory.mktemp("exp")
    prepare(folder / "data", 16, 4, 4)
    for made in ("feats", "lang", "graph"):
        (folder / "data" / made).rename(folder / f"not used {made}")
    return folder


def checkpoints(exp: Path) -> set[str]:
    return {p.name for p in (exp / "checkpoints").glob("*")}


def weights(exp: Path) -> dict[str, torch.Tensor]:
    return torch.load(exp / "final.pt", weights_only=True)["weights"]


def undisturbed(exp: Path) -> Path:
    """The training of ``exp`` once more, on two ranks that nothing stops."""
    other = exp.with_name(exp.name + "_undisturbed")
    ranks(2, "train", "--config", exp / "config.yaml", "--set", f"exp={other}")
    return other


def same(a: Path, b: Path) -> None:
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_a_recipe_waits_through_requeues(cluster, repo, place, mpi_turn):
    slurm = f"{repo}/utils/slurm.sh"
    env = cluster.env | warm.shell_function(launch=False)
    env |= {"ASRPAR_FEATS_CMD": slurm, "ASRPAR_DECODE_CMD": f"{slurm} --max-jobs-run 1"}
    # Signals are for the program asrpar, not for a shell function of this name.
    env["ASRPAR_TRAIN_CMD"] = f"env -u BASH_FUNC_asrpar%% {slurm} --num-tasks 2 --time 1:00:00 --requeue 2"
    parts = ["--feats-parts", 2, "--decode-parts", 2]
    command = [f"{repo}/egs/mini/s5/run.sh", "--exp-dir", place, "--stage", 2, *parts, *EXTRA]
    exp = place / "ssgd_n2_seed0"
    with mpi_turn():
        run = subprocess.Popen([*map(str, command)], env=env, stderr=subprocess.PIPE, text=True)
        cluster.wait_for(lambda: run.poll() is not None or checkpoints(exp), 200)
        assert run.poll() is None, run.stderr.read()
        # What Slurm itself does two minutes before the limit, as a test of tests/launch shows with a smaller job.
        job = (exp / "log/q/launch.sh.id").read_text().strip()
        cluster.say("scancel", "--signal=USR1", "--batch", job)
        _, err = run.communicate(timeout=400)
    log = (exp / "log/launch.log").read_text()
    assert run.returncode == 0, err + log
    assert log.count("# started: ") == 2
    assert log.count("; queued again, 1 of at most 2 times") == 1
    assert "stopped by SIGUSR1 after saving a checkpoint" in log
    for part in (1, 2):
        assert "# ended: exit code 0" in (place / f"data/log/feats.{part}.log").read_text()
    assert (exp / "decode_test/wer.json").exists()
    same(exp, undisturbed(exp))


SCRIPT = """#!/usr/bin/env bash
#SBATCH --ntasks=2 --time=60 --requeue --open-mode=append --output={name}.out
#SBATCH --signal=B:USR1@120
exec {repo}/utils/requeue.sh --times 2 {command}
"""


def submit(cluster, repo, name, command):
    """sbatch a script of one's own that ends with such a command; the job's number."""
    script = Path(f"{name}.sh")
    script.write_text(SCRIPT.format(repo=repo, name=name, command=command))
    return cluster.say("sbatch", "--parsable", str(script))


def test_a_script_of_ones_own_queues_itself_again(cluster, repo, tmp_path):
    code = (
        f"trap 'exit 138' USR1; touch {tmp_path}/here$SLURM_RESTART_COUNT; while ((SECONDS < 300)); do sleep 0.1; done"
    )
    job = submit(cluster, repo, tmp_path / "own", f'bash -c "{code}"'.replace("$", "\\$"))
    for start in ("", 1, 2):
        cluster.wait_for((tmp_path / f"here{start}").exists)
        cluster.say("scancel", "--signal=USR1", "--batch", job)
    cluster.wait_for(lambda: not cluster.say("squeue", "-h", "-j", job))
    lines = (tmp_path / "own.out").read_text().splitlines()
    assert [line.partition(";")[2] for line in lines if line.startswith("# stopped: exit code 138")] == [
        " queued again, 1 of at most 2 times",
        " queued again, 2 of at most 2 times",
    ]
    assert lines[-2] == "# not queued again: that was done 2 times, and at most 2 were asked for"
    assert lines[-1].startswith("# ended: exit code 138,")


def test_a_training_goes_on_when_its_node_is_lost(cluster, repo, place):
    # One learner: Slurm takes half a minute to call a node lost, in which others may have ranks.
    exp, other = place / "own", place / "own_undisturbed"
    train = f"{repo}/.venv/bin/asrpar train --config {place}/ssgd_n2_seed0/config.yaml --set strategy=bmuf --set exp="
    asrpar("train", *f"{train}{other}".split()[2:])
    job = submit(cluster, repo, exp, f"{train}{exp}")
    cluster.wait_for(lambda: bool(checkpoints(exp)), 200)
    node = cluster.say("squeue", "-h", "-j", job, "-o", "%N")
    cluster.lose_node(node)
    cluster.wait_for(lambda: not cluster.say("squeue", "-h", "-j", job), 400)
    log = Path(f"{exp}.out").read_text()
    assert log.count("# started: ") == 2, log
    assert "INFO: resuming from " in log
    assert log.splitlines()[-1].startswith("# ended: exit code 0,")
    assert f"NodeList={OTHER[node]} " in cluster.say("scontrol", "show", "job", "-o", job)
    same(exp, other)
