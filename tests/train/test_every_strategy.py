"""Each strategy trains real speech on real ranks, stops within an epoch, and resumes."""

from pathlib import Path

import pytest

from asrpar.parallel.strategies import STRATEGIES

PROGRAM = Path(__file__).parent / "programs" / "every_strategy.py"


@pytest.mark.mpi
@pytest.mark.slow
def test_every_strategy_resumes(mpirun, mini, tmp_path):
    ranks = 2
    names = [name for name in STRATEGIES if name != "single"]
    names.append("bmuf:sync_steps=4:overlap_steps=4")
    done = mpirun(ranks, PROGRAM, mini / "feats", mini / "lang", tmp_path, *names, timeout=500)
    assert done.stdout.count("passed") == ranks
    for name in names:
        assert f"ok {name} " in done.stdout
