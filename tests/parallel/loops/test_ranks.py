"""Loops on two real ranks."""

from pathlib import Path

import pytest

from asrpar.parallel.strategies import STRATEGIES

pytestmark = pytest.mark.mpi
PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def on_two(mpirun, repo):
    def run(program, *args, **more):
        env = {"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"}
        return mpirun(2, PROGRAMS / program, *args, env=env, timeout=300, **more)

    return run


def test_every_strategy_trains_one_model_with_uneven_shares(on_two):
    done = on_two("every_strategy.py")
    assert done.stdout.count("ok ") == len(STRATEGIES) - 1


def test_ssgd_has_the_losses_and_weights_of_ddp(on_two):
    assert on_two("ddp.py").stdout.count("ok ") == 6


def test_strategies_in_lockstep_resume_to_the_bit(on_two, tmp_path):
    assert on_two("checkpoints.py", tmp_path).stdout.count(" resumed ") == 6


def test_wrong_use_ends_the_job_with_one_line_of_each_rank(on_two):
    done = on_two("wrong.py", check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("asrpar: error: ")]
    assert done.returncode and lines
    assert all("parallel.share(batches)" in line and line.endswith("(wrong.py, line 13)") for line in lines)
    assert "Traceback" not in done.stderr
