"""``asrpar align``: stage 4."""

from pathlib import Path

import click

from asrpar.config import choosing, config_options, load_config
from asrpar.errors import ConfigError


@click.command("align")
@config_options
@click.option("--feats", required=True, metavar="DIR", help="Features of stage 2.")
@click.option("--lang", required=True, metavar="DIR", help="Language folder of stage 3.")
@click.option("--output", required=True, metavar="DIR", help="Folder for the alignment.")
@click.option("--sets", default="train,dev", show_default=True, help="Sets, the one to estimate on first.")
@click.option(
    "--method",
    metavar="NAME",
    help="flat, full_sum, or with --exp model or ctc; as --set method=NAME. Default: flat, or model with --exp.",
)
@click.option("--exp", metavar="DIR", help="Experiment of stage 6 whose model aligns.")
@click.option("--model", default="final.pt", show_default=True, help="Model, within the experiment or a path.")
@click.option("--tree", metavar="FILE", help="Tree of the model's classes, where the experiment does not say it.")
def command(
    config_path: tuple[str, ...],
    overrides: tuple[str, ...],
    feats: str,
    lang: str,
    output: str,
    sets: str,
    method: str | None,
    exp: str | None,
    model: str,
    tree: str | None,
) -> None:
    """Stage 4: the state of each frame, from transcripts alone or with a trained model.

    Writes labels of frames, and the times of words and phones.
    """
    from asrpar.align.config import AlignConfig
    from asrpar.decode.acoustic import device_of
    from asrpar.decode.sets import check_sets
    from asrpar.score.folders import model_file

    if method is None and exp is not None and not any(item.startswith("method=") for item in overrides):
        method = "model"
    config = load_config(AlignConfig, config_path, choosing(overrides, "method", method))
    names = list(dict.fromkeys(name for name in sets.split(",") if name))
    if not names:
        raise ConfigError("no set to align: give --sets")
    check_sets(Path(feats), names)

    from asrpar.align.contract import Given
    from asrpar.align.run import align
    from asrpar.files.lock import alone_with
    from asrpar.lang.lang import Lang
    from asrpar.log import setup_logging

    setup_logging()
    given = Given(
        config,
        Lang.load(lang),
        Path(feats),
        device_of(config.device),
        Path(exp) if exp else None,
        model_file(Path(exp), model) if exp else None,
        Path(tree) if tree else None,
    )
    with alone_with(output):
        align(given, Path(output), names)
