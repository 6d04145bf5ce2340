"""``asrpar prepare-dict``: what comes before stage 3 where a corpus brings its own dictionary or text."""

import click

from asrpar.config import config_options


@click.command("prepare-dict")
@click.argument("corpus")
@config_options
@click.option("--corpus-dir", required=True, metavar="DIR", help="The folder that holds the corpus as distributed.")
@click.option("--manifests", required=True, metavar="DIR", help="Manifests of stage 1; text of dev is kept out.")
@click.option("--output", required=True, metavar="DIR", help="Folder for lexicon.txt and lm_text/.")
def command(
    corpus: str,
    config_path: tuple[str, ...],
    overrides: tuple[str, ...],
    corpus_dir: str,
    manifests: str,
    output: str,
) -> None:
    """Write the lexicon and the LM texts of CORPUS, normalised as its transcripts are.

    OUTPUT gets lexicon.txt (WORD P P) and lm_text/NAME.txt.gz (a sentence a line), for the settings
    unit_settings.phones.lexicon and lm of asrpar prepare-lang.
    """
    from pathlib import Path

    from asrpar.corpus.registry import CORPORA, corpus_settings, get_corpus
    from asrpar.errors import ConfigError, MissingInputError
    from asrpar.files.lock import alone
    from asrpar.log import setup_logging

    setup_logging()
    entry = get_corpus(corpus)
    if entry.dictionary is None:
        able = [name for name in CORPORA if get_corpus(name).dictionary is not None]
        raise ConfigError(f"{corpus} brings no dictionary and no text of its own; {', '.join(able) or 'none'} do")
    settings = corpus_settings(entry, config_path, overrides)
    if not Path(corpus_dir).is_dir():
        raise MissingInputError(f"--corpus-dir {corpus_dir}: no such folder; stage 0 checks it")
    with alone(output):
        entry.dictionary(Path(corpus_dir).absolute(), Path(manifests).absolute(), Path(output).absolute(), *settings)
