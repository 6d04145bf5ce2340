"""``asrpar decode``: stage 7."""

from pathlib import Path
from typing import Any

import click

from asrpar.config import config_options, load_config
from asrpar.errors import ConfigError, MissingInputError
from asrpar.files.lock import reading
from asrpar.files.paths import require_file


@click.command("decode")
@config_options
@click.option("--exp", required=True, metavar="DIR", help="Experiment of stage 6; results go to decode_<set> in it.")
@click.option("--feats", required=True, metavar="DIR", help="Features of stage 2.")
@click.option("--graph", metavar="DIR", help="Decoding graph of stage 5; the greedy engine needs none.")
@click.option("--lang", metavar="DIR", help="Language folder of stage 3: its lexicon makes word times exact.")
@click.option("--dev", default="dev", show_default=True, help="Set to choose LM scale and beam on; '': as before.")
@click.option("--test", "tests", default="test", show_default=True, help="Sets to decode, separated by commas.")
@click.option("--engine", metavar="NAME", help="Engine; the same as --set engine=NAME.")
@click.option(
    "--jobs",
    type=click.IntRange(0),
    help="Processes of an engine that has them; 0: one for each core.",
)
@click.option("--suffix", default="", metavar="NAME", help="Results go to decode_<set>_NAME, beside other ones.")
@click.option("--model", default="final.pt", show_default=True, help="Model, within the experiment or a path.")
def command(
    config_path: Any,
    overrides: tuple[str, ...],
    exp: str,
    feats: str,
    graph: str | None,
    lang: str | None,
    dev: str,
    tests: str,
    engine: str | None,
    jobs: int | None,
    suffix: str,
    model: str,
) -> None:
    """Stage 7: decode sets; LM scale and beam are chosen on dev.

    Writes hyp.trn, ref.trn, times.ctm and decode.json for the dev set and each test set.
    """
    from asrpar.decode.config import DecodeConfig
    from asrpar.decode.engines import engine_options
    from asrpar.decode.sets import batches, check_sets, feature_settings
    from asrpar.score.folders import check_suffix

    check_suffix(suffix)
    config = load_config(DecodeConfig, config_path, (*overrides, *engine_options(engine, jobs)))
    sets = [name for name in (dev, *tests.split(",")) if name]
    if not sets:
        raise ConfigError("no set to decode: give --test or --dev")
    if not Path(exp).is_dir():
        raise MissingInputError(f"there is no experiment {exp}: run asrpar train (stage 6) first")
    check_sets(Path(feats), sets)
    checkpoint = Path(exp) / model if (Path(exp) / model).exists() or model == "final.pt" else Path(model)
    require_file(checkpoint, "asrpar train (stage 6)")

    from asrpar.decode.acoustic import device_of
    from asrpar.decode.decoder import check_num_classes, make_decoder
    from asrpar.decode.match import check_features, check_units
    from asrpar.decode.references import count_errors, reference_of
    from asrpar.decode.run import Job, decode_sets
    from asrpar.log import setup_logging
    from asrpar.score.origin import origin
    from asrpar.train.model_io import load_acoustic_model

    setup_logging(Path(exp) / "log" / "decode.log")
    device = device_of(config.device)
    module, facts = load_acoustic_model(checkpoint)
    module.to(device)
    folder = Path(graph) if graph else None
    language = Path(lang) if lang else None
    identity, settings = facts["identity"], feature_settings(Path(feats))
    check_features(identity, checkpoint, Path(feats), settings)
    mean_std = identity.mean_std if identity is not None else None
    # 0.01 s is Lhotse's default, which a configuration may leave out.
    shift = float(settings.fbank.get("frame_shift", 0.01))
    seconds = shift * module.subsampling
    with (
        reading(feats),
        make_decoder(config, folder, seconds, language, device, blank=facts["blank"]) as decoder,
    ):
        symbols = decoder.symbols
        if "num_classes" in facts:
            check_num_classes(facts["num_classes"], symbols.classes, symbols.where)
        check_units(identity, checkpoint, symbols.classes, symbols.where)
        job = Job(
            Path(exp),
            module,
            device,
            lambda name: batches(Path(feats), name, config.max_frames, facts["num_features"], mean_std),
            reference_of(decoder.unit, language),
            shift,
            {"model": str(checkpoint), **origin(checkpoint, Path(exp)), "device": device},
            folder,
            Path(feats),
            suffix,
        )
        decode_sets(job, decoder, config, dev or None, sets, count_errors)
