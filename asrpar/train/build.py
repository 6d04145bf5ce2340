"""What a trainer is made of: device, batches, model."""

import functools
from collections.abc import Iterator
from pathlib import Path

import torch

from asrpar.errors import ConfigError, DataError, require_file
from asrpar.feats import Batch, BatchLoader
from asrpar.lang.lang import Lang
from asrpar.nn import CtcLoss, build_model
from asrpar.parallel.comm import Comm
from asrpar.train.config import TrainConfig
from asrpar.train.learner import AcousticLearner


def make_loader(config: TrainConfig, workers: int, rank: int) -> BatchLoader:
    """The batches of one rank; ranks from ``workers`` on take every step with nothing in it."""
    feats = Path(config.data.feats)
    loader = BatchLoader(
        feats, config.data.train, config.batch, seed=config.seed, num_learners=workers, rank=min(rank, workers - 1)
    )
    require_file(feats / f"cuts_{config.data.dev}.jsonl.gz", "stage 2 (asrpar extract-features)")
    return loader


def make_learner(config: TrainConfig, lang: Lang, num_features: int, comm: Comm) -> AcousticLearner:
    """The model of one rank, on its device. Collective."""
    device = pick_device(config.device, comm.rank)
    module = build_model(config.model, num_features, lang.num_tokens).to(device)
    return AcousticLearner(
        module,
        CtcLoss(config.loss),
        # Empty for words without a pronunciation: see `check_transcripts`.
        functools.cache(lang.encode_variants),
        config.optimizer,
        autocast=config.autocast == "bf16",
        max_nonfinite=config.max_nonfinite,
        zeros=comm.zeros,
    )


def without_speech(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same steps for a rank that serves instead of computing."""
    for batch in batches:
        batch.features, batch.feature_lens = batch.features[:0], batch.feature_lens[:0]
        batch.texts, batch.ids, batch.num_frames = [], [], 0
        yield batch


def check_transcripts(lang: Lang, texts: list[str], config: TrainConfig) -> None:
    """Refuse training texts that the language folder cannot read: it was made for others.

    Raises:
        DataError: a word has no pronunciation and the policy is not to skip its utterance, or all would be skipped.
    """
    missing = sorted(w for w in {w for text in texts for w in text.split()} if lang.pronounce(w) is None)
    if not missing:
        return
    where = f"the set '{config.data.train}' in {config.data.feats}"
    if lang.config.oov.policy != "skip":
        raise DataError(
            f"{len(missing)} words of {where} have no pronunciation in {config.data.lang}, such as "
            f"'{missing[0]}': run stage 3 (asrpar prepare-lang) for these data"
        )
    if not any(lang.encodable(text) for text in texts):
        raise DataError(f"every utterance of {where} has a word without pronunciation in {config.data.lang}")


def pick_device(name: str, rank: int) -> torch.device:
    """The device of one learner; ranks of a node share its GPUs round-robin."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError("device is cuda, but torch finds no GPU: use --set device=cpu")
    from asrpar.launch import local_rank

    device = torch.device("cuda", local_rank(rank) % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return device
