"""``asrpar import-kaldi`` and ``asrpar export-kaldi``: data folders in and out."""

import click


@click.command(name="import-kaldi")
@click.argument("data_dir")
@click.option("--output", required=True, metavar="MANIFESTS", help="Where the manifests go.")
@click.option("--split", required=True, metavar="NAME", help="train, dev, test...")
@click.option("--allow-pipes", is_flag=True, help="Run the commands in wav.scp, with all that they may do.")
def import_kaldi(data_dir: str, output: str, split: str, allow_pipes: bool) -> None:
    """Make the manifests of one split from DATA_DIR (wav.scp, text, utt2spk, spk2utt, perhaps segments).

    The files are checked against each other first. A feats.scp is kept as MANIFESTS/feats_NAME.scp, which
    extract-features takes with --set from_kaldi=true.
    """
    from pathlib import Path

    from asrpar.corpus.kaldi.folder import NOT_USED, not_used, read_kaldi_dir
    from asrpar.corpus.kaldi.importing import import_split
    from asrpar.corpus.kaldi.tables import write_table
    from asrpar.corpus.manifests import check_split_name, write_manifests
    from asrpar.files.lock import alone
    from asrpar.log import setup_logging

    log = setup_logging()
    check_split_name(split)
    data = read_kaldi_dir(data_dir)
    for name in not_used(Path(data_dir)):
        log.warning("%s %s", Path(data_dir) / name, NOT_USED[name])
    work_dir = Path(output).absolute() / "audio" / split
    # Several splits may be imported side by side.
    with alone(output, f".{split}.lock"):
        made = import_split(data, work_dir, allow_pipes, where=str(Path(data_dir) / "wav.scp"))
        write_manifests(output, {split: made})
        feats = Path(output) / f"feats_{split}.scp"
        if data.feats:
            write_table(feats, data.feats)
        else:
            feats.unlink(missing_ok=True)  # of an earlier import


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
