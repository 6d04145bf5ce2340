"""Recipes as a user runs them."""

import subprocess

import pytest


@pytest.fixture(scope="session")
def recipe(repo):
    """``recipe("mini", "--stage", 3, ..., check=True)``: run a recipe's run.sh in a folder that is not its own."""

    def run(corpus, *options, check=True, timeout=1200, cwd="/"):
        command = [str(repo / "egs" / corpus / "s5" / "run.sh"), *map(str, options)]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run
