"""Stage 3: make a LANG folder from a lexicon, training text and settings."""

from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree

from asrpar.config import check
from asrpar.errors import ConfigError, DataError
from asrpar.files.replacing import replacing
from asrpar.lang.config import NOT_FOR_TRAINING, LangConfig
from asrpar.lang.places import Places
from asrpar.lang.prepare import Words, prepare_words
from asrpar.lang.text import manifest_texts, some, split_words
from asrpar.lm.arpa import read_arpa
from asrpar.lm.build import Mixing, build_lm, told
from asrpar.lm.perplexity import check_apart
from asrpar.lm.text_ids import IdFile, WordIds
from asrpar.lm.train import Training
from asrpar.log import get_logger

LOG = get_logger(__name__)
DEV = "dev"  # the set whose perplexity is logged
MANY = 10_000_000  # n-grams that are not read again for that


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
    places, output = places or Places(), Path(output)
    transcripts = [t for split in config.lm.splits for t in manifest_texts(manifests, split)]
    if not any(t.split() for t in transcripts):
        raise DataError(f"{manifests}: no words in the text of {', '.join(config.lm.splits)}")
    words = prepare_words(config, transcripts, places)
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / "lm.arpa") as arpa:
        sizes = _language_model(words, places, arpa, output / ".lm", Path(manifests))
        # Its presence says that the folder is complete, so it goes first and comes last.
        (output / "lang.yaml").unlink(missing_ok=True)
    words.write(output)
    lexicon = words.lexicon
    LOG.info(
        "%s: %d words, %d pronunciations, %d units and the blank", output, len(lexicon.by_word), len(lexicon.entries),
        len(words.tokens) - 1,
    )  # fmt: skip
    LOG.info("%s: %d-gram LM with %s n-grams", output, len(sizes), told(sizes))
    _log_perplexity(words.config, output / "lm.arpa", sizes, Path(manifests))


def _language_model(words: Words, places: Places, arpa: Path, work: Path, manifests: Path) -> list[int]:
    """Write the model; how many n-grams of each order it has."""
    config, lexicon = words.config, words.lexicon
    if config.lm.arpa is None:
        try:
            return _estimated(words, places, arpa, work, manifests)
        finally:
            rmtree(work, ignore_errors=True)
    lm = read_arpa(places.find(config.lm.arpa, "lm.arpa"), config.lm.arpa_case)
    unknown = sorted(set(lexicon.by_word) - set(lm.words))
    if len(unknown) == len(lexicon.by_word):
        raise ConfigError(f"lm.arpa: {config.lm.arpa} has no word of the vocabulary; does lm.arpa_case suit?")
    if unknown:
        LOG.warning("%d words are not in the given LM and cannot be recognised: %s", len(unknown), some(unknown))
    lm.write(arpa)
    return lm.sizes


def _estimated(words: Words, places: Places, arpa: Path, work: Path, manifests: Path) -> list[int]:
    config, settings = words.config, words.config.lm
    unknown = config.oov.word if config.oov.policy == "unk" else None
    how = Training(settings.order, settings.min_counts, words.lexicon.by_word, unknown, settings.memory)
    ids = WordIds()
    rmtree(work, ignore_errors=True)
    work.mkdir()

    def read(name: str, key: str, number: int) -> IdFile:
        path = places.find(name, key)
        return IdFile(work / f"{number}.ids").write(ids.file(path, settings.text_case, config.split))

    texts = {}
    if settings.transcripts or settings.text:
        name = f"the text of {', '.join(settings.splits)}" if settings.transcripts else str(settings.text)
        texts[name] = IdFile(work / "own.ids").write([ids.sentences(filter(None, words.text))])
    for number, name in enumerate(settings.texts):
        texts[name] = read(name, "lm.texts", number)
    held_out = None
    if settings.held_out is not None:
        held_out = (settings.held_out, read(settings.held_out, "lm.held_out", len(settings.texts)))
    for path in sorted(manifests.glob("supervisions_*.jsonl.gz")) if settings.texts or settings.text else ():
        _check_apart(path, texts, ids, config, work)
    return build_lm(texts, ids, how, Mixing(settings.weights, held_out, settings.prune), arpa, work / "lm")


def _check_apart(path: Path, texts: dict[str, IdFile], ids: WordIds, config: LangConfig, work: Path) -> None:
    """Raise `DataError` if text of other sources holds a set that is not for training."""
    split = path.name.removeprefix("supervisions_").removesuffix(".jsonl.gz")
    if split in config.lm.splits or not split.lower().startswith(NOT_FOR_TRAINING):
        return
    try:
        sentences = [words for t in manifest_texts(path.parent, split) if (words := split_words(t, config.split))]
        others = IdFile(work / "others.ids").write([ids.sentences(sentences)])
    except DataError:
        return  # whoever uses that set will say so
    for name, text in texts.items():
        check_apart(text, others, name, f"the set {split}")


def _log_perplexity(config: LangConfig, arpa: Path, sizes: Sequence[int], manifests: Path) -> None:
    """For information only: how well the LM foretells the dev set, where there is one that it was not made from."""
    if DEV in config.lm.splits or not (manifests / f"supervisions_{DEV}.jsonl.gz").is_file():
        return
    if sum(sizes) > MANY:
        LOG.info("the LM is large: asrpar perplexity --lm %s --text FILE tells its perplexity", arpa)
        return
    try:
        sentences = [words for t in manifest_texts(manifests, DEV) if (words := split_words(t, config.split))]
    except DataError as e:
        LOG.warning("no perplexity of %s: %s", DEV, e)
        return
    lm = read_arpa(arpa)
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
