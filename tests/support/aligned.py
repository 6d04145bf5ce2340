"""Small FEATS and ALI folders of made-up speech, without audio, extraction or alignment."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asrpar.config import save_config
from asrpar.feats.config import FeatureConfig
from asrpar.feats.store import FeatureStore
from asrpar.hmm.alignment_files import Aligned, writing_alignments
from asrpar.hmm.alignments import AlignmentInfo
from asrpar.hmm.segments import Segments, relabel
from asrpar.hmm.tree import Tree
from asrpar.train.identity import summary


@dataclass
class Made:
    """An utterance: its phones, and features of all frames, before labels leave some out."""

    segments: Segments
    features: np.ndarray
    text: str = "A WORD"


def write_feats(folder: Path, split: str, utterances: Mapping[str, Made]) -> None:
    """A FEATS folder (not normalised) with one more split."""
    cuts = []
    for name, made in utterances.items():
        place = folder / "storage" / split / f"{name}.npy"
        place.parent.mkdir(parents=True, exist_ok=True)
        np.save(place, made.features.astype(np.float32))
        frames, width = made.features.shape
        features = {"num_frames": frames, "num_features": width, "storage_type": "numpy_files"}
        features |= {"storage_path": str(place.parent), "storage_key": place.name}
        cuts.append({"id": name, "features": features, "supervisions": [{"text": made.text, "speaker": "s"}]})
    with gzip.open(folder / f"cuts_{split}.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(cut) + "\n" for cut in cuts)
    width = next(iter(utterances.values())).features.shape[1]
    save_config(FeatureConfig(fbank={"num_filters": width}, normalize="none"), folder / "feats.yaml")


def write_ali(
    folder: Path, feats: Path, tree: Tree, sets: Mapping[str, Mapping[str, Made]], subsampling: int = 1
) -> None:
    """An ALI folder of these sets, in which the first phone is silence and all others are one word."""
    info = AlignmentInfo("flat", 0.01, subsampling, settings={"seed": 1})
    with writing_alignments(folder, tree, info) as out:
        for split, utterances in sets.items():
            with out.split(split, summary(FeatureStore(feats, split).utterances)) as writer:
                for name, made in utterances.items():
                    own = made.segments
                    words = np.where(np.arange(len(own.phones)) > 0, 0, -1)
                    rows = np.stack([own.phones, own.lengths, words], axis=1)
                    writer.add(Aligned(name, relabel(own, tree), rows, [made.text], made.text, "s"))
                writer.leave_out("short", "has too few frames")
