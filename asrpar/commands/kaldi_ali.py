"""``asrpar import-kaldi-ali`` and ``asrpar export-kaldi-ali``: alignments, trees and transition models."""

from pathlib import Path

import click

from asrpar.errors import ConfigError


@click.command("import-kaldi-ali")
@click.option(
    "--ali", "alis", multiple=True, required=True, metavar="SET=DIR",
    help="Folder with ali.*.gz, or an ark or scp file, for a set of FEATS; repeatable, that for training first.",
)  # fmt: skip
@click.option("--feats", required=True, metavar="FEATS", help="Features of stage 2 that the alignments are of.")
@click.option("--output", required=True, metavar="DIR", help="Folder for the alignment.")
@click.option("--lang", metavar="DIR", help="Language folder of stage 3: its units first, and times of words.")
@click.option("--model", metavar="FILE", help="final.mdl; default: in the folder of the first --ali.")
@click.option("--tree", metavar="FILE", help="Kaldi's tree; default: likewise.")
@click.option("--phones", metavar="FILE", help="phones.txt, or Kaldi's data/lang; default: likewise.")
@click.option("--silence", metavar="NAMES", default="", help="Phones without speech, with commas between them.")
@click.option("--pdf-ids", is_flag=True, help="Labels are pdfs (ali-to-pdf), and not transition-ids.")
@click.option("--subsampling", type=click.IntRange(min=1), default=1, show_default=True, help="Frames of a label.")
@click.option("--counts", metavar="FILE", help="Counts or priors of pdfs to keep, such as ali_train_pdf.counts.")
def import_kaldi_ali(
    alis: tuple[str, ...],
    feats: str,
    output: str,
    lang: str | None,
    model: str | None,
    tree: str | None,
    phones: str | None,
    silence: str,
    pdf_ids: bool,
    subsampling: int,
    counts: str | None,
) -> None:
    """Make an alignment folder of what Kaldi's align scripts leave: ali.*.gz, tree, final.mdl, phones.txt."""
    sets = {}
    for item in alis:
        name, separator, path = item.partition("=")
        if not (name and separator and path):
            raise ConfigError(f"--ali {item}: expected SET=DIR, such as train=exp/tri3_ali")
        if name in sets:
            raise ConfigError(f"--ali {name}=... is given twice")
        if not Path(path).exists():
            raise ConfigError(f"--ali {item}: there is no {path}")
        sets[name] = Path(path)

    from asrpar.align.kaldi.importing import Given, import_alignments
    from asrpar.log import setup_logging

    setup_logging()
    files = (Path(x) if x else None for x in (model, tree, phones))
    silences = [name.strip() for name in silence.split(",") if name.strip()]
    given = Given(sets, *files, silences, pdf_ids, subsampling, Path(counts) if counts else None)
    import_alignments(given, feats, output, lang)


@click.command("export-kaldi-ali")
@click.argument("ali")
@click.option("--split", default="train", show_default=True, metavar="NAME", help="A set of the alignment.")
@click.option("--output", required=True, metavar="DIR", help="Folder for ali.1.gz, tree, final.mdl, phones.txt ...")
@click.option("--pdf-ids", is_flag=True, help="Write pdfs, and not transition-ids.")
def export_kaldi_ali(ali: str, split: str, output: str, pdf_ids: bool) -> None:
    """Write one set of the alignment folder ALI as Kaldi's align scripts leave it.

    final.mdl has the transition model alone: what uses an alignment in Kaldi (trees, graphs, nnet3) reads no more.
    """
    from asrpar.align.kaldi.exporting import export_alignments
    from asrpar.log import setup_logging

    setup_logging()
    export_alignments(ali, split, output, pdf_ids)
