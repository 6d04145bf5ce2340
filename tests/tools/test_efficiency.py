"""The table of docs/choosing.md is made by one command."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "studies" / "efficiency.py"


def test_who_waits_for_a_straggler():
    command = [sys.executable, str(TOOL), "--clusters", "h200", "--learners", "8", "--steps", "16"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    assert rows[0] == ["strategy", "h200", "with a straggler", "MB a learner and step"]
    found = {name: tuple(map(float, values)) for name, *values in rows[2:]}
    # Seven learners and a third of one are 0.92 of eight.
    assert found["ssgd"][1] < 0.34 and found["bmuf, τ = 16"][1] < 0.34
    assert 0.85 < found["adpsgd"][1] < 0.92 < found["adpsgd"][0]
    assert found["bmuf, τ = 16"][2] < found["ssgd"][2] / 10
