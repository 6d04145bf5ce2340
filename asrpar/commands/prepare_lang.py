"""``asrpar prepare-lang``: stage 3."""

from pathlib import Path

import click

from asrpar.config import config_options, load_config


@click.command("prepare-lang")
@config_options
@click.option("--manifests", required=True, metavar="DIR", help="Manifests of stage 1; only training text is used.")
@click.option("--output", required=True, metavar="DIR", help="Folder for lexicon, symbol tables and language model.")
@click.option("--corpus-dir", metavar="DIR", help="Where relative paths of the settings are looked for first.")
def command(
    config_path: tuple[str, ...], overrides: tuple[str, ...], manifests: str, output: str, corpus_dir: str | None
) -> None:
    """Stage 3: lexicon, units and language model.

    A path in the settings may hold {corpus_dir}; other relative paths are looked for in --corpus-dir, beside the
    settings file, and in the current folder.
    """
    from asrpar.files.lock import alone
    from asrpar.lang.config import LangConfig
    from asrpar.lang.places import Places
    from asrpar.lm.prepare import prepare_lang
    from asrpar.log import setup_logging

    setup_logging()
    config = load_config(LangConfig, config_path, overrides)
    places = Places(corpus_dir, tuple(str(Path(p).parent) for p in config_path))
    with alone(output):
        prepare_lang(config, manifests, output, places)
