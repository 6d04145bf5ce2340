"""``asrpar decode``: stage 7."""

from pathlib import Path
from typing import Any

import click

from asrpar.config import choosing, config_options, load_config
from asrpar.errors import ConfigError


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
    help="Processes of an engine that has them; 0: one for each core. In a part: OMP_NUM_THREADS, or 1.",
)
@click.option("--suffix", default="", metavar="NAME", help="Results go to decode_<set>_NAME, beside other ones.")
@click.option("--part", type=click.IntRange(1), metavar="K", help="Decode only the K-th of --parts, from 1.")
@click.option(
    "--parts",
    type=click.IntRange(1),
    metavar="N",
    help="With --part: how many there are; without: put them together, once all are decoded.",
)
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
    part: int | None,
    parts: int | None,
    model: str,
) -> None:
    """Stage 7: decode sets; LM scale and beam are chosen on dev.

    Writes hyp.trn, ref.trn, times.ctm and decode.json for the dev set and each test set.

    Jobs of an array decode a part each, with --part JOB --parts N and --dev '', once the choice has been made on the
    whole dev set; the same command with --parts N alone then puts the parts together.
    """
    if part is not None and (parts is None or part > parts):
        raise click.UsageError(f"--part {part}: give --parts N with it, of at least {part}")
    if parts is not None and dev:
        raise click.UsageError("--parts: the choice is made on a whole dev set: decode that first, then give --dev ''")
    from asrpar.decode.config import DecodeConfig
    from asrpar.decode.engines import jobs_of_engines
    from asrpar.decode.sets import check_sets
    from asrpar.score.folders import check_suffix, model_file
    from asrpar.workers import jobs_of_part

    check_suffix(suffix)
    jobs = jobs_of_part() if part and jobs is None else jobs
    config = load_config(DecodeConfig, config_path, (*choosing(overrides, "engine", engine), *jobs_of_engines(jobs)))
    sets = [name for name in (dev, *tests.split(",")) if name]
    if not sets:
        raise ConfigError("no set to decode: give --test or --dev")
    path = model_file(Path(exp), model)
    check_sets(Path(feats), sets)

    from asrpar.decode.experiment import Inputs, decode_experiment
    from asrpar.decode.parts import Part
    from asrpar.log import setup_logging

    setup_logging(Path(exp) / "log" / (f"decode.{part}.log" if part else "decode.log"))
    given = Inputs(Path(exp), path, Path(feats), Path(graph) if graph else None, Path(lang) if lang else None)
    decode_experiment(config, given, dev or None, sets, suffix, Part(part or 0, parts) if parts else None)
