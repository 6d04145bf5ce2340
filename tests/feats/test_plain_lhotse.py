"""Features in the hands of Lhotse's users, as docs/features.md shows it."""

import os
import re
import subprocess
import sys


def test_lhotse_loads_the_features_as_the_docs_say(repo, feats, tmp_path):
    page = (repo / "docs" / "features.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    (tmp_path / "FEATS").symlink_to(feats)
    shown = "made = cut.features\nprint(features.shape == (made.num_frames, made.num_features), features.dtype)"
    done = subprocess.run(
        [sys.executable, "-c", code + shown],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repo)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "float32"]
