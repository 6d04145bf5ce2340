"""Stage 3: make a LANG folder from a lexicon, training text and settings."""

import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from asrpar.config import check, save_config
from asrpar.errors import ConfigError, DataError
from asrpar.files.checksums import write_checksums
from asrpar.files.replacing import replacing
from asrpar.files.text import ends_with_newline, nfc
from asrpar.lang.config import LangConfig
from asrpar.lang.dictionary import VARIANT
from asrpar.lang.lang import BLANK, FILES, spell_by_letters
from asrpar.lang.lexicon import Lexicon, Pronunciation, check_pronunciation, disambiguate, read_lexicon
from asrpar.lang.places import Places
from asrpar.lang.symbols import write_symbols
from asrpar.lang.text import check_sentences, manifest_texts, map_case, read_lines, split_words
from asrpar.lang.units import Characters, Sentencepiece, Speller, check_characters
from asrpar.lang.unspaced import mostly_unspaced
from asrpar.lm.arpa import ArpaLm, read_arpa
from asrpar.lm.ngram import estimate_ngram
from asrpar.log import get_logger

LOG = get_logger(__name__)
LISTED = 20
DEV = "dev"  # the set whose perplexity is logged

Sentences = list[list[str]]


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
    places = places or Places()
    transcripts = [t for split in config.lm.splits for t in manifest_texts(manifests, split)]
    config = _settled(config, transcripts)
    _warn_of_turkish(config, transcripts)
    speech = [split_words(t, config.split) for t in transcripts]
    if not any(speech):
        raise DataError(f"{manifests}: no words in the text of {', '.join(config.lm.splits)}")
    extra = _extra_text(config, places)
    listed = _word_list(config, places)

    source, speller = _units(config, speech, places)
    text = speech + extra
    wanted = {w for words in text for w in words} | listed if config.vocabulary.from_text else set(listed)
    if config.vocabulary.from_lexicon:
        wanted |= set(source.by_word)
    missing = sorted(w for w in wanted if _pronounce(w, source, speller) is None)
    source, text = _apply_oov_policy(config, source, speller, missing, text)
    lexicon = _vocabulary_lexicon(config, wanted, source, speller)
    lm = _language_model(config, text, lexicon, places)
    _write(config, Path(output), lexicon, source, speller, lm)
    LOG.info(
        "%s: %d words, %d pronunciations, %d units and the blank", output, len(lexicon.by_word), len(lexicon.entries),
        len(_tokens(config, lexicon, speller)) - 1,
    )  # fmt: skip
    LOG.info("%s: %d-gram LM with %s n-grams", output, lm.order, "/".join(str(len(g)) for g in lm.grams))
    _log_perplexity(config, lm, Path(manifests))


def _settled(config: LangConfig, transcripts: list[str]) -> LangConfig:
    """The settings with ``split`` decided, and with their words and units composed as those of files are."""
    oov = replace(config.oov, word=nfc(config.oov.word), unit=nfc(config.oov.unit))
    symbol = config.optional_silence.symbol
    silence = replace(config.optional_silence, symbol=None if symbol is None else nfc(symbol))
    config = replace(config, oov=oov, optional_silence=silence)
    if config.split != "auto":
        return config
    characters = config.units != "phones" and mostly_unspaced(transcripts)
    if characters:
        LOG.info("most of the text is written without blanks: each of its characters is a word (split: characters)")
    return replace(config, split="characters" if characters else "blanks")


def _warn_of_turkish(config: LangConfig, transcripts: list[str]) -> None:
    """Warn where letters are mapped that belong together otherwise in the language of the text."""
    cases = {
        "lexicon.case": config.lexicon.case,
        "lm.text_case": config.lm.text_case,
        "lm.arpa_case": config.lm.arpa_case,
    }
    mapped = [key for key, case in cases.items() if case != "keep"]
    if mapped and any("ı" in text or "İ" in text for text in transcripts):
        LOG.warning(
            "the text has a dotless i or a dotted I, as Turkish has, and %s maps I to i and i to I: bring such text to "
            "one case before, and leave that setting at keep", " and ".join(mapped),
        )  # fmt: skip


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


def _extra_text(config: LangConfig, places: Places) -> Sentences:
    if config.lm.text is None:
        return []
    path = places.find(config.lm.text, "lm.text")
    lines = [map_case(line, config.lm.text_case) for _, line in read_lines(path) if line.strip()]
    check_sentences(path, lines)
    return [split_words(line, config.split) for line in lines]


def _word_list(config: LangConfig, places: Places) -> set[str]:
    if config.vocabulary.word_list is None:
        return set()
    path = places.find(config.vocabulary.word_list, "vocabulary.word_list")
    words = set()
    for number, line in read_lines(path):
        if len(line.split()) > 1:
            raise DataError(f"{path}:{number}: expected one word a line, found '{line}'")
        words.update(split_words(line, config.split))
    return words


def _units(config: LangConfig, speech: Sentences, places: Places) -> tuple[Lexicon, Speller | None]:
    """The source lexicon (empty unless the units are phones), and the speller of the other units."""
    if config.units == "phones":
        lex = config.lexicon
        path = places.find(str(lex.path), "lexicon.path")
        lexicon = read_lexicon(path, lex.format, lex.case, lex.strip_stress)
        _warn_of_lexicon(path, lexicon)
        return lexicon.position_dependent() if lex.position_dependent else lexicon, None
    for words in speech:
        check_characters(words)
    if config.units == "characters":
        return Lexicon([]), Characters((c for words in speech for w in words for c in w), config.split == "characters")
    piece = config.sentencepiece
    return Lexicon([]), Sentencepiece.train(speech, piece.vocab_size, piece.type)


def _warn_of_lexicon(path: Path, lexicon: Lexicon) -> None:
    if not ends_with_newline(path):
        LOG.warning("%s does not end with a newline: it may have been cut short", path)
    variants = [w for w in lexicon.by_word if (m := VARIANT.fullmatch(w)) and m[1] in lexicon]
    if variants:
        LOG.warning(
            "%s: %s look like second pronunciations, and are words of their own as lexicon.format says; 'auto' takes "
            "them for pronunciations", path, _some(variants),
        )  # fmt: skip


def _pronounce(word: str, source: Lexicon, speller: Speller | None) -> tuple[str, ...] | None:
    if speller is not None:
        return speller.spell(word)
    return source.first(word) if word in source else None


def _apply_oov_policy(
    config: LangConfig, source: Lexicon, speller: Speller | None, missing: list[str], text: Sentences
) -> tuple[Lexicon, Sentences]:
    """The source lexicon with what the policy adds, and the text as the language model is to see it."""
    policy, oov = config.oov.policy, set(missing)
    for words in text:
        oov.update(w for w in words if w not in oov and _pronounce(w, source, speller) is None)
    if policy == "unk":
        # <UNK> is in lexicon and LM even if nothing is missing here: other text may have such words.
        unk = Pronunciation(config.oov.word, 1.0, (config.oov.unit,))
        source = Lexicon([*(e for e in source.entries if e.word != unk.word), unk])
        return source, [[unk.word if w in oov else w for w in words] for words in text]
    if not oov:
        return source, text
    if policy == "skip":
        kept = [words for words in text if oov.isdisjoint(words)]
        LOG.warning(
            "%d of %d sentences left out: %s have no pronunciation", len(text) - len(kept), len(text), _some(oov)
        )
        return source, kept
    if policy == "spell":
        spelled = {w: spell_by_letters(w, source) for w in sorted(oov)}
        silent = [w for w, units in spelled.items() if units is None]
        if not silent:
            LOG.info("%d words spelled letter by letter: %s", len(oov), _some(oov))
            return Lexicon([*source.entries, *(Pronunciation(w, 1.0, u) for w, u in spelled.items() if u)]), text
        raise DataError(f"oov.policy 'spell': the lexicon lacks letters of {_some(silent)}")
    raise DataError(
        f"{len(oov)} words have no pronunciation: {_some(oov)}; "
        f"{_twins(oov, source)}extend the lexicon, or set oov.policy to unk, skip or spell"
    )


def _seen(word: str) -> str:
    """What is to be seen of a word; joiners and marks of direction are not."""
    return "".join(char for char in word if unicodedata.category(char) != "Cf")


def _twins(words: set[str], lexicon: Lexicon) -> str:
    """What to say if the lexicon has words in another case, or that only look so; empty if it has not."""
    for form, how in (
        (str.casefold, "in another case (lexicon.case brings it to one)"),
        (_seen, "with other invisible characters, such as U+200B or U+FEFF"),
    ):
        known = {form(word) for word in lexicon.by_word}
        count = sum(form(word) in known for word in words)
        if count:
            return f"the lexicon has {count} of them {how}; "
    return ""


def _vocabulary_lexicon(config: LangConfig, wanted: set[str], source: Lexicon, speller: Speller | None) -> Lexicon:
    """Pronunciations of the vocabulary, sorted by word."""
    unk = {config.oov.word} & set(source.by_word)
    if speller is None:
        lexicon = source.restricted(wanted | unk)
    else:
        spelled = ((w, speller.spell(w)) for w in wanted - unk)
        lexicon = Lexicon(
            sorted([*(Pronunciation(w, 1.0, u) for w, u in spelled if u), *source.restricted(unk).entries])
        )
    for entry in lexicon.entries:
        check_pronunciation(entry, "vocabulary")
    if not lexicon.entries:
        raise DataError("no word of the vocabulary has a pronunciation: do the cases of text and lexicon agree?")
    return lexicon


def _language_model(config: LangConfig, text: Sentences, lexicon: Lexicon, places: Places) -> ArpaLm:
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
        LOG.warning("%d words are not in the given LM and cannot be recognised: %s", len(unknown), _some(unknown))
    return lm


def _tokens(config: LangConfig, lexicon: Lexicon, speller: Speller | None) -> list[str]:
    """The classes: blank, then the units sorted (all units of a speller, those in use of a phone lexicon)."""
    units = set(lexicon.tokens) | set(speller.tokens if speller is not None else ())
    if config.optional_silence.symbol is not None:
        units.add(config.optional_silence.symbol)
    return [BLANK, *sorted(units)]


def _write(
    config: LangConfig, output: Path, lexicon: Lexicon, source: Lexicon, speller: Speller | None, lm: ArpaLm
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    # Its presence says that the folder is complete, so it goes first and comes last.
    (output / "lang.yaml").unlink(missing_ok=True)
    tokens = _tokens(config, lexicon, speller)
    highest = disambiguate([e.tokens for e in lexicon.entries])[1]
    # One more for the silence, where there is one, keeps LG determinizable.
    disambig = [f"#{k}" for k in range(highest + 1 + (config.optional_silence.symbol is not None))]
    lexicon.write(output / "lexicon.txt")
    write_symbols(output / "tokens.txt", tokens + disambig)
    write_symbols(output / "words.txt", ["<eps>", *sorted(lexicon.by_word), "#0", "<s>", "</s>"])
    lm.write(output / "lm.arpa")
    targets, model = output / "targets_lexicon.txt", output / "sentencepiece.model"
    rest = _targets(source, lexicon, tokens)
    if rest.entries:
        rest.write(targets)
    else:
        targets.unlink(missing_ok=True)
    if isinstance(speller, Sentencepiece):
        with replacing(model) as temporary:
            temporary.write_bytes(speller.model)
    else:
        model.unlink(missing_ok=True)
    write_checksums(output, FILES)
    save_config(config, output / "lang.yaml")


def _targets(source: Lexicon, lexicon: Lexicon, tokens: list[str]) -> Lexicon:
    """First pronunciations, in units that exist, of the source's words outside the vocabulary."""
    units = set(tokens)
    return Lexicon(
        [
            entries[0]
            for w, entries in sorted(source.by_word.items())
            if w not in lexicon and units.issuperset(entries[0].tokens)
        ]
    )


def _some(words: Iterable[str]) -> str:
    words = sorted(words)
    return " ".join(words[:LISTED]) + (f" ... ({len(words)} in all)" if len(words) > LISTED else "")
