"""Stage 3: make a LANG folder from a lexicon, training text and settings."""

from pathlib import Path

from asrpar.config import check
from asrpar.errors import ConfigError, DataError
from asrpar.lang.config import LangConfig
from asrpar.lang.places import Places
from asrpar.lang.prepare import Words, prepare_words
from asrpar.lang.text import manifest_texts, some, split_words
from asrpar.lm.arpa import ArpaLm, read_arpa
from asrpar.lm.ngram import estimate_ngram
from asrpar.log import get_logger

LOG = get_logger(__name__)
DEV = "dev"  # the set whose perplexity is logged


def prepare_lang(config: LangConfig, manifests: str | Path, output: str | Path, places: Places | None = None) -> None:
    """Write ``lexicon.txt``, ``tokens.txt``, ``words.txt``, ``lm.arpa``, digests and ``lang.yaml`` into ``output``.

    Units phones add ``targets_lexicon.txt`` (first pronunciations of words outside the vocabulary, for training
    targets only); units sentencepiece add ``sentencepiece.model``.

    Args:
        config: what to make.
        manifests: MANIFESTS folder of stage 1; only the sets of ``lm.splits`` are used. The LM's perplexity on ``dev``
            is logged if that set is there.
        output: folder to make.
        places: where relative paths of the settings are looked for.

    Raises:
        ConfigError, DataError, MissingInputError: settings or data that cannot be used.
    """
    check(config)
    if config.lm.texts or config.lm.min_counts or config.lm.prune:
        raise ConfigError("lm.texts, lm.min_counts and lm.prune are not there yet")
    places, output = places or Places(), Path(output)
    transcripts = [t for split in config.lm.splits for t in manifest_texts(manifests, split)]
    if not any(t.split() for t in transcripts):
        raise DataError(f"{manifests}: no words in the text of {', '.join(config.lm.splits)}")
    words = prepare_words(config, transcripts, places)
    lm = _language_model(words, places)
    output.mkdir(parents=True, exist_ok=True)
    # Its presence says that the folder is complete, so it goes first and comes last.
    (output / "lang.yaml").unlink(missing_ok=True)
    lm.write(output / "lm.arpa")
    words.write(output)
    lexicon = words.lexicon
    LOG.info(
        "%s: %d words, %d pronunciations, %d units and the blank", output, len(lexicon.by_word), len(lexicon.entries),
        len(words.tokens) - 1,
    )  # fmt: skip
    LOG.info("%s: %d-gram LM with %s n-grams", output, lm.order, "/".join(str(len(g)) for g in lm.grams))
    _log_perplexity(words.config, lm, Path(manifests))


def _language_model(words: Words, places: Places) -> ArpaLm:
    config, text, lexicon = words.config, words.text, words.lexicon
    if config.lm.arpa is None:
        if config.oov.policy == "unk":
            text = [[w if w in lexicon else config.oov.word for w in words] for words in text]
        kept = [words for words in text if words and all(w in lexicon for w in words)]
        if len(kept) < sum(map(bool, text)):
            LOG.warning("%d sentences with words outside the vocabulary are not in the LM", len(text) - len(kept))
        return estimate_ngram(kept, config.lm.order, lexicon.by_word)
    lm = read_arpa(places.find(config.lm.arpa, "lm.arpa"), config.lm.arpa_case)
    unknown = sorted(set(lexicon.by_word) - set(lm.words))
    if len(unknown) == len(lexicon.by_word):
        raise ConfigError(f"lm.arpa: {config.lm.arpa} has no word of the vocabulary; does lm.arpa_case suit?")
    if unknown:
        LOG.warning("%d words are not in the given LM and cannot be recognised: %s", len(unknown), some(unknown))
    return lm


def _log_perplexity(config: LangConfig, lm: ArpaLm, manifests: Path) -> None:
    """For information only: how well the LM foretells the dev set, where there is one that it was not made from."""
    if DEV in config.lm.splits or not (manifests / f"supervisions_{DEV}.jsonl.gz").is_file():
        return
    try:
        sentences = [words for t in manifest_texts(manifests, DEV) if (words := split_words(t, config.split))]
    except DataError as e:
        LOG.warning("no perplexity of %s: %s", DEV, e)
        return
    known = set(lm.words)
    if config.oov.policy == "unk" and config.oov.word in known:
        sentences = [[w if w in known else config.oov.word for w in words] for words in sentences]
    scored = [words for words in sentences if known.issuperset(words)]
    if scored:
        LOG.info(
            "perplexity of the LM on %s: %.1f (%d of %d sentences: those whose words it knows)",
            DEV, lm.perplexity(scored), len(scored), len(sentences),
        )  # fmt: skip
    elif sentences:
        LOG.warning("each sentence of %s has words that the LM does not know", DEV)
