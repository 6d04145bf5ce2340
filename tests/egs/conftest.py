"""Recipes as a user runs them."""

import os
import subprocess
from contextlib import nullcontext

import pytest
import warm


@pytest.fixture(scope="session")
def recipe(repo, mpi_turn):
    """``recipe("mini", "--stage", 3, ..., check=True)``: run a recipe's run.sh in a folder that is not its own.

    With ``ranks`` no other test has MPI ranks meanwhile; with ``forked=False`` these are started as anywhere else.
    """

    def run(corpus, *options, check=True, timeout=1200, cwd="/", ranks=False, forked=True):
        command = [str(repo / "egs" / corpus / "s5" / "run.sh"), *map(str, options)]
        environment = {**os.environ, **warm.shell_function(launch=forked)}
        with mpi_turn() if ranks else nullcontext():
            done = subprocess.run(
                command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False
            )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run
