"""Alignment of monophone states from nothing but transcripts: what the methods that do so share."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from asrpar.align.contract import Given, Scorer
from asrpar.align.data import AlignSet, Item, along, equal_alignment, pdfs_of
from asrpar.align.gaussians import Gaussians
from asrpar.align.network import Committee, Frames, Network, NetworkSettings, train_epoch
from asrpar.align.viterbi import Paths, best_paths, changed, silence_share
from asrpar.errors import ConfigError, DataError
from asrpar.feats.cepstra import cepstra
from asrpar.graph.utterance import UtteranceHmms
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.topologies.contract import StateTopology
from asrpar.hmm.tree import Tree
from asrpar.log import get_logger

LOG = get_logger(__name__)

# Labels (T,) by utterance.
Labels = Mapping[str, np.ndarray]


def monophone_tree(given: Given) -> Tree:
    """The tree without contexts of the chosen topology.

    Raises:
        ConfigError: a topology without states, such as that of CTC.
    """
    topology = TOPOLOGIES.make(given.config)
    if not isinstance(topology, StateTopology):
        raise ConfigError(f"topology is {given.config.topology}, whose frames are no states: use three_state")
    return Tree.monophone(Phones.of_lang(given.lang), topology)


def chosen(train: AlignSet, frames: int, copies: bool, seed: int) -> list[Item]:
    """Utterances to estimate on: at most so many frames, drawn at random where there are more.

    Args:
        train: the set.
        frames: at most, or one utterance.
        copies: copies at other speeds, too.
        seed: of the choice.
    """
    items = train.items if copies else train.originals() or train.items
    if sum(x.frames for x in items) <= frames:
        return items
    found, total = [], 0
    for at in np.random.default_rng(seed).permutation(len(items)):
        if found and total + items[at].frames > frames:
            break
        found.append(items[at])
        total += items[at].frames
    return sorted(found, key=lambda x: x.index)


def equal_labels(items: Sequence[Item], hmms: UtteranceHmms) -> dict[str, np.ndarray]:
    """States of equal length, of the first pronunciations with silence around them; without where that is too long."""
    found = {}
    for item in items:
        for silence in (True, False):
            phones = hmms.canonical(item.utterance.text, silence)
            pdfs = pdfs_of(hmms, phones)
            if len(pdfs) <= item.frames:
                states = equal_alignment(len(pdfs), item.frames, item.utterance.id)
                found[item.utterance.id] = along(states, pdfs)
                break
    return found


class Rounds:
    """Alignments of some utterances of a set, one better than the other.

    Args:
        given: settings.
        train: whose utterances.
        items: which.
        tree: their classes.
    """

    def __init__(self, given: Given, train: AlignSet, items: Sequence[Item], tree: Tree) -> None:
        self.given, self.train, self.items, self.tree = given, train, items, tree
        self.paths: Paths | None = None

    def align(self, scorer: Scorer, what: str) -> float:
        """Align all utterances; the share of frames that changed, 1 in the first round.

        Raises:
            DataError: most utterances have no path, as where scores are no numbers.
        """
        begin = time.process_time()
        found = best_paths(self.train.store, self.items, scorer, self.tree.num_pdfs, self.given.config.max_frames)
        paths = {item.utterance.id: path for item, path in found if path is not None}
        if len(paths) < len(self.items):
            raise DataError(
                f"{what}: {len(self.items) - len(paths)} utterances have no path: the features are unusable"
            )
        share = changed(self.items, self.paths, paths) if self.paths else 1.0
        self.paths = paths
        silence = silence_share(self.items, paths, self.tree)
        LOG.info(
            "%s: %.2f %% of the frames changed, %.1f %% silence (%.1f s of CPU)",
            what, 100 * share, 100 * silence, time.process_time() - begin,
        )  # fmt: skip
        return share

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """Classes of the alignment."""
        return {x.utterance.id: x.hmm.net.pdfs[self.paths[x.utterance.id]] for x in self.items}


def gaussian_rounds(
    rounds: Rounds,
    labels: Labels,
    count: int,
    most: int,
    limit: float,
    wrap: Callable[[Scorer, int], Scorer] = lambda scorer, _: scorer,
) -> Gaussians:
    """Gaussians on labels, an alignment with them, Gaussians on that, and so on; the last ones.

    Args:
        rounds: what to align.
        labels: to begin with.
        count: of cepstra.
        most: rounds.
        limit: stop when a smaller share of the frames changes.
        wrap: what makes of each round's Gaussians (and its number, from 1) what aligns.
    """
    known = {x.utterance.id: cepstra(rounds.train.store.load(x.index), count) for x in rounds.items}
    for number in range(1, most + 1):
        scorer = Gaussians.estimate(known, labels, rounds.tree.num_pdfs, count)
        if rounds.align(wrap(scorer, number), f"Gaussians, round {number}") < limit:
            return scorer
        labels = rounds.labels
    LOG.warning("after %d rounds of Gaussians still more than %.2g %% of the frames change", most, 100 * limit)
    return scorer


def network_rounds(rounds: Rounds, settings: NetworkSettings, most: int, epochs: int, members: int) -> Scorer:
    """Fresh networks trained on the alignment, an alignment with their mean, more training on that.

    Args:
        rounds: what to align; it has an alignment.
        settings: of each network.
        most: rounds.
        epochs: in each.
        members: networks, which differ in their first weights and the order of training.
    """
    config, store = rounds.given.config, rounds.train.store
    # Seeds that no other alignment of these data takes for its first network.
    seeds = [config.seed + 1_000_003 * member for member in range(members)]
    networks = [Network(settings, store.num_features, rounds.tree.num_pdfs, s, rounds.given.device) for s in seeds]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    features = [store.load(x.index) for x in rounds.items]
    scorer = Committee(networks)
    frames = None
    for number in range(1, most + 1):
        labels = list(rounds.labels.values())
        frames = Frames.of(networks[0], features, labels) if frames is None else frames.relabelled(labels)
        counts = np.bincount(np.concatenate(labels), minlength=rounds.tree.num_pdfs)
        losses = []
        for network, generator in zip(networks, generators, strict=True):
            network.set_priors(counts)
            losses.append([train_epoch(network, frames, generator) for _ in range(epochs)][-1])
            network.slow_down()
        rounds.align(scorer, f"networks, round {number} (cross-entropy {np.mean(losses):.3f})")
    return scorer
