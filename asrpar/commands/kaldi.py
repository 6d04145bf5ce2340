"""``asrpar import-kaldi`` and ``asrpar export-kaldi``: data folders in and out."""

import click

from asrpar.option_types import FiniteRange


@click.command(name="import-kaldi")
@click.argument("data_dir")
@click.option("--output", required=True, metavar="MANIFESTS", help="Where the manifests go.")
@click.option("--split", required=True, metavar="NAME", help="train, dev, test...")
@click.option("--allow-pipes", is_flag=True, help="Run the commands in wav.scp, with all that they may do.")
@click.option(
    "--max-chars-per-second",
    type=FiniteRange(min=0, min_open=True),
    default=25.0,
    show_default=True,
    help="Longer transcripts, spaces not counted, are warned of, twice as long ones are refused.",
)
def import_kaldi(data_dir: str, output: str, split: str, allow_pipes: bool, max_chars_per_second: float) -> None:
    """Make the manifests of one split from DATA_DIR (wav.scp, text, utt2spk, spk2utt, perhaps segments).

    The folder is checked as `asrpar validate-data` does, and refused if there are errors. A feats.scp is kept as
    MANIFESTS/feats_NAME.scp, which extract-features takes with --set from_kaldi=true.
    """
    from asrpar.corpus.checks.report import Limits
    from asrpar.corpus.kaldi.importing import import_kaldi_dir
    from asrpar.log import setup_logging

    setup_logging()
    limits = Limits(allow_pipes=allow_pipes, max_chars_per_second=max_chars_per_second)
    import_kaldi_dir(data_dir, output, split, limits)


@click.command(name="export-kaldi")
@click.argument("manifests")
@click.option("--split", required=True, metavar="NAME", help="train, dev, test...")
@click.option("--output", required=True, metavar="DATA_DIR", help="Where the data folder goes.")
@click.option(
    "--features", metavar="FEATS", help="A folder of stage 2: its features are written as feats.ark, feats.scp."
)
@click.option("--compress", is_flag=True, help="With --features: Kaldi's lossy compression, about one byte a value.")
def export_kaldi(manifests: str, split: str, output: str, features: str | None, compress: bool) -> None:
    """Write one split of MANIFESTS as a Kaldi data folder."""
    from contextlib import nullcontext

    from asrpar.corpus.kaldi.exporting import export_split
    from asrpar.corpus.manifests import check_split_name, read_split
    from asrpar.feats.store import StoredFeatures
    from asrpar.files.lock import alone, reading
    from asrpar.log import setup_logging

    setup_logging()
    check_split_name(split)
    made = read_split(manifests, split)
    ids = sorted(s.id for s in made.supervisions)
    with reading(features) if features else nullcontext(), alone(output, ".export.lock"):
        matrices = StoredFeatures(features, split).of(ids) if features else None
        export_split(made, output, matrices, compression=1 if compress else None)
