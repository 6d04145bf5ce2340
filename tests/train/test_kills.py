"""Trainings that are killed at and around what happens between steps, and go on."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "programs" / "kill_steps.py"
STRATEGIES = ("ssgd", "bmuf:sync_steps=3", "model_averaging:sync_steps=4", "easgd:sync_steps=3", "dpsgd")


def test_killed_anywhere_around_an_epochs_end_a_dev_set_or_a_checkpoint_it_ends_the_same(repo, mini, tmp_path):
    # All kills with each of them: without --few.
    command = [sys.executable, PROGRAM, mini / "feats", mini / "lang", tmp_path, "--few", *STRATEGIES]
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == len(STRATEGIES)
