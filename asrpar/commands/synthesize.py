"""``asrpar synthesize``: speak the synthetic corpus."""

from pathlib import Path

import click

from asrpar.config import config_options


@click.command()
@config_options
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder of the corpus.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; by default one per usable core.")
def command(config_path: str | None, overrides: tuple[str, ...], output: Path, jobs: int | None) -> None:
    """Speak connected digits and short commands with espeak-ng, in noise: the corpus of egs/mini.

    The same settings give the same bytes, whatever --jobs is. A corpus that is there already is left alone.
    """
    from asrpar.config import load_config
    from asrpar.corpus.synthetic.config import SyntheticConfig
    from asrpar.corpus.synthetic.corpus import synthesize_corpus
    from asrpar.log import setup_logging

    logger = setup_logging()
    config = load_config(SyntheticConfig, config_path, overrides)
    if synthesize_corpus(config, output, jobs):
        sizes = ", ".join(f"{name} {split.utterances}" for name, split in config.splits().items())
        logger.info("%s: %s utterances", output, sizes)
    else:
        logger.info("%s holds this corpus already", output)
