"""Workers that run tests side by side must find the same ones: no name may hold a time, a random number or an order."""

import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def test_names_of_tests_are_the_same_in_another_process_and_second(request):
    mine = {item.nodeid for item in request.session.items}
    # One file alone is soon collected, and says nothing of the others; what was asked for is what can be compared.
    files = sorted({name.partition("::")[0] for name in mine})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider", *files]
    answer = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
    theirs = {line for line in answer.stdout.splitlines() if "::" in line}
    assert not sorted(mine - theirs)
