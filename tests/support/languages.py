"""Manifests with nothing but transcripts, for tests of languages and graphs."""

import gzip
import json


def write_manifests(folder, splits):
    """MANIFESTS of one split per item: a list of transcripts."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, texts in splits.items():
        with gzip.open(folder / f"supervisions_{split}.jsonl.gz", "wt", encoding="utf-8") as f:
            for i, text in enumerate(texts):
                times = {"start": 0.0, "duration": 1.0, "channel": 0}
                f.write(json.dumps({"id": f"{split}-{i}", "recording_id": f"r{i}", **times, "text": text}) + "\n")
    return folder
