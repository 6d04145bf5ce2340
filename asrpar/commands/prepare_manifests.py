"""``asrpar prepare-manifests``: stage 1 of a recipe."""

import click

from asrpar.config import config_options


@click.command(name="prepare-manifests")
@click.argument("corpus")
@config_options
@click.option("--corpus-dir", required=True, metavar="DIR", help="The folder that holds the corpus as distributed.")
@click.option("--output", required=True, metavar="MANIFESTS", help="Where the manifests go.")
@click.option("--part", "parts", multiple=True, metavar="PART", help="Only this part; may be given repeatedly.")
@click.option("--partial", is_flag=True, help="It is a part of the corpus on purpose: do not compare its counts.")
def command(
    corpus: str,
    config_path: tuple[str, ...],
    overrides: tuple[str, ...],
    corpus_dir: str,
    output: str,
    parts: tuple[str, ...],
    partial: bool,
) -> None:
    """Make recordings, supervisions and cuts of CORPUS, with its splits and its text normalisation.

    Some corpora have settings (asrpar help settings corpora), such as swbd: --set size=swb2000.
    """
    from contextlib import ExitStack
    from pathlib import Path

    from asrpar.corpus.registry import choose_parts, corpus_names, corpus_settings, get_corpus
    from asrpar.errors import ConfigError, MissingInputError
    from asrpar.files.lock import alone
    from asrpar.log import setup_logging

    setup_logging()
    entry = get_corpus(corpus)
    if entry.prepare is None:
        raise ConfigError(f"{corpus} has no audio to make manifests of; {', '.join(corpus_names(prepared=True))} have")
    if partial and not entry.counted:
        raise ConfigError(f"--partial: the counts of {corpus} are not compared with anything; leave it out")
    chosen = choose_parts(entry, parts)
    settings = corpus_settings(entry, config_path, overrides)
    if not Path(corpus_dir).is_dir():
        made_by = entry.made_by or ("asrpar download" if entry.parts else "")
        how = f"stage 0 ({made_by}) makes it" if made_by else "it is where you unpacked what you bought"
        raise MissingInputError(f"--corpus-dir {corpus_dir}: no such folder; {how}")

    from asrpar.corpus.manifests import check_recordings, write_manifests

    with ExitStack() as held:
        held.enter_context(alone(output))
        options = {"partial": True} if partial else {}
        decoded = Path(output).absolute() / "audio"
        splits = entry.prepare(Path(corpus_dir).absolute(), decoded, chosen, *settings, **options)
        for split in splits.values():
            check_recordings(split, entry.sampling_rate, entry.channels)
        for name in splits:  # an import of one split holds that one
            held.enter_context(alone(output, f".{name}.lock"))
        write_manifests(output, splits)
