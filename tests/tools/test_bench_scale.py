"""tools/bench/scale.py: that it measures what it says. Seconds and memory themselves are not tested."""

import json
import subprocess
import sys

import pytest


@pytest.mark.mpi
def test_a_start_and_a_resumption_of_few_cuts(repo, tmp_path):
    output = tmp_path / "scale.json"
    command = [sys.executable, repo / "tools/bench/scale.py", "--cuts", "900", "--words", "300", "--loss", "frame_ce"]
    done = subprocess.run([*command, "--folder", tmp_path / "made", "--output", output], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    (start,), (resume,) = found["start"], found["resume"]
    assert start["utterances"] == resume["utterances"] == 900 and start["step"] == 0
    assert resume["step"] == start["steps_of_epoch"] // 2 and start["stopped"] and resume["stopped"]
    assert 0 < start["opened_seconds"] < start["first_step_seconds"] and start["peak_mb"] > 0
