"""``asrpar export``: a trained model for other programs."""

import re
from pathlib import Path

import click

OWN = re.compile(r"model\.onnx|tokens\.txt")


@click.command("export")
@click.argument("exp", metavar="EXP")
@click.option("--format", "form", default="onnx", show_default=True, metavar="NAME", help="onnx or sherpa.")
@click.option("--model", default="final.pt", show_default=True, help="Model, within the experiment or a path.")
@click.option(
    "--normalize",
    type=click.Choice(["utterance"]),
    help="For models of features normalised by speaker: each recording is one of a speaker of its own.",
)
@click.option("--output", metavar="DIR", help="Default: EXP/onnx, EXP/sherpa.")
def command(exp: str, form: str, model: str, normalize: str | None, output: str | None) -> None:
    """Write model.onnx and tokens.txt, from filter banks to log-probabilities of classes.

    The graph is compared with the model under onnxruntime before anything is written. Normalisation by the training
    set's statistics or by utterance is inside it. Needs the packages of the 'export' extra.
    """
    from asrpar.export.formats import FORMATS

    FORMATS.check_name(form)

    from asrpar.export.model import load_trained
    from asrpar.files.lock import alone_with
    from asrpar.files.replacing import check_replaceable, replacing_folder
    from asrpar.log import setup_logging
    from asrpar.score.folders import model_file

    log = setup_logging()
    path = model_file(Path(exp), model)
    folder = Path(output) if output else Path(exp) / form
    check_replaceable(folder, OWN, "an exported model")
    chosen = FORMATS.load(form)(load_trained(path, normalize))
    with alone_with(folder), replacing_folder(folder) as fresh:
        difference = chosen.write(fresh)
    log.info("wrote %s; under onnxruntime its log-probabilities differ by %.1e at most", folder, difference)
    for line in chosen.advice(folder):
        log.info("%s", line)
