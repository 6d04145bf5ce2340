"""``asrpar download``: stage 0 of a recipe."""

import click


@click.command(name="download")
@click.option("--corpus", "name", required=True, metavar="NAME", help="yesno, an4, mini_librispeech, librispeech...")
@click.option("--output", metavar="DIR", help="Folder to download to; archives are kept and unpacked there.")
@click.option("--corpus-dir", metavar="DIR", help="The copy you have: it is checked, and nothing is downloaded.")
@click.option("--part", "parts", multiple=True, metavar="PART", help="Only this part; may be given repeatedly.")
@click.option("--remove-archives", is_flag=True, help="Delete each archive once it is unpacked.")
def command(
    name: str, output: str | None, corpus_dir: str | None, parts: tuple[str, ...], remove_archives: bool
) -> None:
    """Fetch a corpus from its public address, or check the copy you have. Prints the corpus's folder.

    A download that broke off is continued, checksums are verified, and running it again fetches nothing twice.
    """
    from pathlib import Path

    from asrpar.corpus.registry import choose_parts, get_corpus
    from asrpar.errors import ConfigError, DataError
    from asrpar.log import setup_logging

    setup_logging()
    corpus = get_corpus(name)
    choose_parts(corpus, parts)
    if corpus_dir:
        home = Path(corpus_dir)
        if not home.is_dir():
            raise DataError(f"--corpus-dir {corpus_dir}: no such folder")
        corpus.check(home)
    elif output:
        from asrpar.corpus.download import download_corpus

        home = download_corpus(corpus, output, parts, remove_archives)
    else:
        raise ConfigError(f"download {name}: name the folder with --output, or the copy you have with --corpus-dir")
    click.echo(str(home.absolute()))
