"""``asrpar export-alignment``."""

from pathlib import Path

import click

from asrpar.errors import ConfigError


@click.command("export-alignment")
@click.option("--ali", required=True, metavar="DIR", help="Alignment of stage 4.")
@click.option("--output", required=True, metavar="DIR", help="Folder for the files; one that is there is replaced.")
@click.option("--format", "formats", default="ctm", show_default=True, help="ctm or textgrid; several with commas.")
@click.option("--sets", default="", help="Sets, separated by commas; all if not given.")
def command(ali: str, output: str, formats: str, sets: str) -> None:
    """Write times of words and phones as CTM, or as TextGrid of Praat. For Kaldi: export-kaldi-ali."""
    from asrpar.align.export import export_alignment
    from asrpar.align.formats import FORMATS
    from asrpar.files.lock import alone_with
    from asrpar.log import setup_logging

    names = [name for name in formats.split(",") if name]
    for name in names:
        FORMATS.check_name(name)
    if not names:
        raise ConfigError(f"no format: give --format with {', '.join(FORMATS)}")
    if Path(output).resolve() == Path(ali).resolve():
        raise ConfigError(f"--output {output} is the alignment itself: give another folder")
    setup_logging()
    with alone_with(output):
        export_alignment(Path(ali), Path(output), names, [name for name in sets.split(",") if name])
