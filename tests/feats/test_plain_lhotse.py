"""Features in the hands of Lhotse's users: as docs/features.md shows it, and as icefall trains."""

import os
import re
import subprocess
import sys

ICEFALL = """
import asrpar.feats
import numpy as np
import torch
from lhotse import CutSet
from lhotse.dataset import CutConcatenate, DynamicBucketingSampler, K2SpeechRecognitionDataset, SpecAugment
from lhotse.dataset.input_strategies import PrecomputedFeatures

cuts = CutSet.from_file("FEATS/cuts_train.jsonl.gz")
first = cuts[0]
whole, part = first.load_features(), first.truncate(offset=0.2, duration=0.3).load_features()
assert np.array_equal(part, whole[20:50]), part.shape

dataset = K2SpeechRecognitionDataset(
    input_strategy=PrecomputedFeatures(),
    cut_transforms=[CutConcatenate(gap=0.1)],
    input_transforms=[SpecAugment()],
    return_cuts=True,
)
sampler = DynamicBucketingSampler(cuts, max_duration=8.0, shuffle=True, num_buckets=2, drop_last=False)
seen = 0
for batch in torch.utils.data.DataLoader(dataset, sampler=sampler, batch_size=None, num_workers=1):
    frames = batch["supervisions"]["num_frames"]
    assert batch["inputs"].dtype == torch.float32 and batch["inputs"].shape[2] == whole.shape[1]
    assert batch["inputs"].isfinite().all() and batch["inputs"].shape[1] >= int(frames.max()) > 0
    seen += len(batch["supervisions"]["text"])
print(seen == len(cuts) > 0)
"""


def run(repo, folder, code):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(repo)},
        capture_output=True,
        text=True,
    )


def test_lhotse_loads_the_features_as_the_docs_say(repo, feats, tmp_path):
    page = (repo / "docs" / "features.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    assert re.findall(r"asrpar\S*", code) == ["asrpar.feats"]
    (tmp_path / "FEATS").symlink_to(feats)
    shown = "made = cut.features\nprint(features.shape == (made.num_frames, made.num_features), features.dtype)"
    done = run(repo, tmp_path, code + shown)
    assert done.stdout.split() == ["True", "float32"], done.stderr


def test_icefall_would_train_on_them(repo, feats, tmp_path):
    (tmp_path / "FEATS").symlink_to(feats)
    done = run(repo, tmp_path, ICEFALL)
    assert done.stdout.split() == ["True"], done.stderr
