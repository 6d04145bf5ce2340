"""From texts to one model: estimated apart, mixed, pruned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asrpar.errors import ConfigError
from asrpar.lm.arpa import read_arpa
from asrpar.lm.backoff import ArpaLm
from asrpar.lm.mix import find_weights, mix
from asrpar.lm.perplexity import check_apart, likelihoods, names_for
from asrpar.lm.prune import prune
from asrpar.lm.shelf import Disk
from asrpar.lm.text_ids import IdFile, WordIds
from asrpar.lm.train import Trained, Training, train_lm
from asrpar.log import get_logger

LOG = get_logger(__name__)


@dataclass
class Mixing:
    """What comes after the models of single texts.

    Attributes:
        weights: of the models; empty: found on ``held_out``.
        held_out: text for that, and its name.
        prune: relative-entropy threshold; 0: none.
    """

    weights: Sequence[float] = ()
    held_out: tuple[str, IdFile] | None = None
    prune: float = 0.0


def build_lm(
    texts: Mapping[str, IdFile], ids: WordIds, how: Training, after: Mixing, output: str | Path, work: str | Path
) -> list[int]:
    """Write one model of one or several texts.

    Args:
        texts: by name.
        ids: numbers of the words of all texts.
        how: each text's model is estimated.
        after: mixing and pruning.
        output: ARPA file.
        work: folder for what does not fit into memory; it is made, and removed.

    Returns:
        listed n-grams by order.

    Raises:
        ConfigError: several texts, and neither weights nor text to find them on.
        DataError: a text without sentences, or one that holds the held-out text.
    """
    work = Path(work)
    if len(texts) > 1 and not after.weights and after.held_out is None:
        raise ConfigError("several texts are mixed: give weights, or held-out text to find them on")
    if after.held_out is not None:
        for name, text in texts.items():
            check_apart(text, after.held_out[1], name, after.held_out[0])
    if len(texts) == 1 and not after.prune:
        ((name, text),) = texts.items()
        trained = train_lm(text, ids, how, output, work / "counts")
        report(name, trained)
        return trained.sizes
    models, shelf = [], Disk(work)
    for i, (name, text) in enumerate(texts.items()):
        path = work / f"{i}.arpa"
        report(name, train_lm(text, ids, how, path, work / "counts"))
        models.append(read_arpa(path, shelf=shelf))
        path.unlink()
    lm = models[0]
    if len(models) > 1:
        weights = after.weights or weights_on(models, list(texts), after.held_out, ids, how)
        lm = mix(models, weights, shelf)
        del models
        LOG.info("mixed: %s n-grams", told(lm.sizes))
    if after.prune:
        lm = prune(lm, after.prune)
        LOG.info("pruned with %g: %s n-grams are left", after.prune, told(lm.sizes))
    lm.write(output)
    return lm.sizes


def weights_on(
    models: Sequence[ArpaLm],
    names: Sequence[str],
    held_out: tuple[str, IdFile] | None,
    ids: WordIds,
    how: Training | None = None,
) -> np.ndarray:
    """Weights of models found on held-out text, told to the log with perplexities."""
    assert held_out is not None
    how = how or Training()
    probs, unknown = likelihoods(models, held_out[1], names_for(ids, how.vocabulary, how.unknown))
    weights = find_weights(probs)
    for name, weight, own in zip(names, weights, probs, strict=True):
        known = own[own > 0]
        LOG.info(
            "weight %.4f: %s (perplexity %.2f on %s, %d words unknown)",
            weight, name, np.exp(-np.log(known).mean()) if len(known) else np.inf, held_out[0],
            unknown + len(own) - len(known),
        )  # fmt: skip
    mixture = np.exp(-np.log(weights @ probs).mean())
    LOG.info(
        "perplexity of the mixture on %s: %.2f (%d words, of which no model knows %d)",
        held_out[0], mixture, held_out[1].words, unknown,
    )  # fmt: skip
    return weights


def report(name: str, trained: Trained) -> None:
    """Tell what a text was, and what was made of it."""
    LOG.info("%s: %d sentences, %d words; %s n-grams", name, trained.sentences, trained.words, told(trained.sizes))
    if trained.left_out:
        LOG.warning("%d sentences with words outside the vocabulary are not in the LM", trained.left_out)
    if trained.unknown:
        LOG.info(
            "%s: %d words (%.2f %%, %d different ones) are outside the vocabulary",
            name, trained.unknown, 100 * trained.unknown / max(1, trained.words), trained.unknown_kinds,
        )  # fmt: skip


def told(sizes: Sequence[int]) -> str:
    """Numbers of n-grams by order."""
    return "/".join(map(str, sizes))
