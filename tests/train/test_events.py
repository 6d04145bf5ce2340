"""What a run writes beside its results: a full disk is told with the file's name."""

import json
import resource
import subprocess
import sys

PROGRAM = """
import sys
from pathlib import Path
from asrpar.parallel.record import Recording
from asrpar.train.progress import Progress

folder = Path(sys.argv[1])
progress = Progress(0, folder / "tensorboard", 100)
progress.open(0)
recording = Recording(folder / "record.tsv", {})
found = []
for write in (lambda: [progress.scalars({"loss": 1.0}, n) for n in range(2000)], progress.close):
    try:
        write()
    except OSError as e:
        found.append([e.strerror, e.filename])
try:
    for _ in range(300):
        recording.turn("learner", "gradient")
    recording.close()
except OSError as e:
    found.append([e.strerror, e.filename])
import json
print(json.dumps(found))
"""


def test_a_full_disk_is_told_with_the_file_and_without_a_traceback(tmp_path):
    limit = (2000, 2000)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {tuple(error) for error in found} == {
        ("File too large", f"{tmp_path}/tensorboard"),
        ("File too large", f"{tmp_path}/record.tsv"),
    }
    assert "Traceback" not in done.stderr
