"""Where a model trained with CTC sees the units of a transcript: one spike for each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asrpar.align.contract import Scorer
from asrpar.align.data import Item, along, batches, pdfs_of
from asrpar.align.trained import ModelScorer
from asrpar.feats.store import FeatureStore
from asrpar.graph.ctc_net import NO_OCCURRENCE, ctc_net
from asrpar.graph.utterance import PhoneGraph, UtteranceHmms, phone_graph
from asrpar.hmm.search import NetBatch, viterbi
from asrpar.hmm.tree import Tree


@dataclass(frozen=True)
class Spikes:
    """The units of an utterance as a CTC model sees them.

    Attributes:
        phones: (n,) its units on the best path, in order.
        words: (n,) the number of the word of each.
        frames: (n,) the feature frame in the middle of the likeliest output frame of each, rising.
    """

    phones: np.ndarray
    words: np.ndarray
    frames: np.ndarray


def find_spikes(
    store: FeatureStore, items: Sequence[Item], hmms: UtteranceHmms, scorer: ModelScorer, max_frames: int
) -> dict[str, Spikes]:
    """Spikes by utterance, without those in which CTC has no path, as too many units stand in too few frames.

    Args:
        store: features, normalised as the model wants them.
        items: whose ``frames`` are those of the features.
        hmms: pronunciations.
        scorer: the CTC model.
        max_frames: of a batch.
    """
    found: dict[str, Spikes] = {}
    stride = scorer.subsampling
    for batch in batches(items, max_frames):
        graphs = [_graph(hmms, item.utterance.text) for item in batch]
        nets = [ctc_net(graph) for graph in graphs]
        with torch.inference_mode():
            scores, lens = scorer.outputs([store.load(item.index) for item in batch])
            paths = viterbi(NetBatch([net for net, _ in nets], scores.device), scores, lens)
        for n, (item, path) in enumerate(zip(batch, paths.nodes, strict=True)):
            if path is not None:
                occurrence = np.array(nets[n][1])[path]
                found[item.utterance.id] = _spikes(graphs[n], occurrence, scores[n].cpu().numpy(), stride)
    return found


def _graph(hmms: UtteranceHmms, text: str) -> PhoneGraph:
    words = [hmms.pronunciations(word) for word in hmms.lang.split(text)]
    return phone_graph(words, None)


def _spikes(graph: PhoneGraph, occurrence: np.ndarray, scores: np.ndarray, stride: int) -> Spikes:
    begins = np.flatnonzero(np.diff(occurrence, prepend=NO_OCCURRENCE - 1))
    ends = np.append(begins[1:], len(occurrence))
    phones, words, frames = [], [], []
    for begin, end in zip(begins, ends, strict=True):
        at = int(occurrence[begin])
        if at != NO_OCCURRENCE:
            best = begin + int(scores[begin:end, graph.phones[at]].argmax())
            phones.append(graph.phones[at])
            words.append(graph.words[at])
            frames.append(best * stride + stride // 2)
    return Spikes(np.array(phones, np.int64), np.array(words, np.int64), np.array(frames, np.int64))


def spike_labels(item: Item, spikes: Spikes, hmms: UtteranceHmms, reach: int) -> np.ndarray:
    """(T,) states around the spikes: a unit lasts to halfway to its neighbours, silence is what is far from all.

    Args:
        item: the utterance.
        spikes: of it.
        hmms: states and classes, without contexts.
        reach: frames from a spike to where silence begins.
    """
    frames = np.minimum(spikes.frames, item.frames - 1)
    middles = (frames[:-1] + frames[1:] + 1) // 2
    starts = np.maximum(np.append(0, middles), frames - reach)
    ends = np.minimum(np.append(middles, item.frames), frames + reach + 1)
    labels = np.full(item.frames, -1, np.int64)
    for phone, start, end in zip(spikes.phones.tolist(), starts, ends, strict=True):
        labels[start:end] = _states(hmms, phone, end - start)
    silent = np.flatnonzero(np.diff(np.concatenate([[0], labels < 0, [0]]).astype(np.int8)))
    for start, end in silent.reshape(-1, 2):
        labels[start:end] = _states(hmms, hmms.tree.phones.silence, end - start)
    return labels


def _states(hmms: UtteranceHmms, phone: int, frames: int) -> np.ndarray:
    """Classes of a phone's states, of equal length; with fewer frames than states some have none."""
    pdfs = pdfs_of(hmms, [phone])
    return along(np.arange(frames) * len(pdfs) // max(1, frames), pdfs)


class AtSpikes(Scorer):
    """Another scorer, for which a unit has to be where its spike is.

    Args:
        scorer: the other one.
        spikes: by utterance.
        tree: its classes.
        penalty: of every other phone at a spike's frame.
    """

    def __init__(self, scorer: Scorer, spikes: dict[str, Spikes], tree: Tree, penalty: float) -> None:
        self.scorer, self.spikes, self.penalty = scorer, spikes, penalty
        self.subsampling = scorer.subsampling
        owners = torch.tensor([tree.phone_of(pdf)[0] for pdf in range(tree.num_pdfs)])
        self._is_of = owners[None] == torch.arange(len(tree.phones) + 1)[:, None]

    def scores(self, items: Sequence[Item], features: Sequence[np.ndarray]) -> Tensor:
        found = self.scorer.scores(items, features)
        for row, item in zip(found, items, strict=True):
            spikes = self.spikes.get(item.utterance.id)
            if spikes is not None:
                frames = torch.from_numpy(np.minimum(spikes.frames // self.subsampling, item.frames - 1))
                other = ~self._is_of[torch.from_numpy(spikes.phones)]
                row[frames.to(found.device)] -= self.penalty * other.to(found)
        return found
