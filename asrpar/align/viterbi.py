"""Best paths of many utterances, and what they say."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from asrpar.align.contract import Scorer
from asrpar.align.data import Item, batches
from asrpar.feats.store import FeatureStore
from asrpar.graph.utterance import UtteranceHmm
from asrpar.hmm.search import NetBatch, viterbi
from asrpar.hmm.tree import Tree

# Scores in memory at a time: of trees with thousands of classes batches have fewer frames.
SCORES = 2**28

# The node of each frame, by utterance.
Paths = dict[str, np.ndarray]


def best_paths(
    store: FeatureStore, items: Sequence[Item], scorer: Scorer, num_pdfs: int, max_frames: int
) -> Iterator[tuple[Item, np.ndarray | None]]:
    """The node of each frame, (T',), of each item; None where no path is better than impossible ones."""
    frames = max(1, min(max_frames, SCORES // num_pdfs * scorer.subsampling))
    for batch in batches(items, frames):
        with torch.inference_mode():
            scores = scorer.scores(batch, [store.load(item.index) for item in batch])
            lens = torch.tensor([item.frames for item in batch])
            nets = NetBatch([item.hmm.net for item in batch], scores.device)
            found = viterbi(nets, scores[:, : int(lens.max())], lens)
        yield from zip(batch, found.nodes, strict=True)


def phone_rows(hmm: UtteranceHmm, path: np.ndarray) -> np.ndarray:
    """(n, 3) the phones of a path: id, frames, and number of the word or -1."""
    occurrence = hmm.occurrence[path]
    begins = np.flatnonzero(np.diff(occurrence, prepend=-1))
    lengths = np.diff(begins, append=len(path))
    at = occurrence[begins]
    return np.stack([hmm.phones[at], lengths, hmm.words[at]], axis=1).astype(np.int32)


def changed(items: Sequence[Item], before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> float:
    """The share of frames whose class is another one."""
    pdfs = ((x.hmm.net.pdfs[before[x.utterance.id]], x.hmm.net.pdfs[after[x.utterance.id]]) for x in items)
    differ, frames = np.sum([(np.count_nonzero(a != b), len(a)) for a, b in pdfs], axis=0)
    return float(differ / frames)


def silence_share(items: Sequence[Item], paths: Mapping[str, np.ndarray], tree: Tree) -> float:
    """The share of frames in phones that stand for no speech."""
    silences = np.array(tree.phones.silences)
    silent = frames = 0
    for item in items:
        rows = phone_rows(item.hmm, paths[item.utterance.id])
        silent += int(rows[np.isin(rows[:, 0], silences), 1].sum())
        frames += int(rows[:, 1].sum())
    return silent / max(1, frames)
