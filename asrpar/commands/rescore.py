"""``asrpar rescore``: stage 7, without a search."""

from pathlib import Path
from typing import Any

import click

from asrpar.config import config_options, load_config
from asrpar.errors import ConfigError, MissingInputError


@click.command("rescore")
@config_options
@click.option("--exp", required=True, metavar="DIR", help="Experiment with decode_<set> folders that have lattices.")
@click.option("--lm", metavar="FILE", help="ARPA language model that takes the place of the graph's.")
@click.option("--old-lm", metavar="FILE", help="The graph's; by default lm.arpa of --lang.")
@click.option("--lang", metavar="DIR", help="Language folder of stage 3: its LM, and its lexicon for word times.")
@click.option("--dev", default="dev", show_default=True, help="Set to choose scales on; '' if there is nothing to.")
@click.option("--test", "tests", default="test", show_default=True, help="Sets to rescore, separated by commas.")
@click.option("--from", "source", default="", metavar="NAME", help="Begin with decode_<set>_NAME.")
@click.option("--suffix", default="rescored", show_default=True, metavar="NAME", help="Write decode_<set>_NAME.")
@click.option("--jobs", type=click.IntRange(0), help="Processes; 0: one for each core.")
def command(
    config_path: Any,
    overrides: tuple[str, ...],
    exp: str,
    lm: str | None,
    old_lm: str | None,
    lang: str | None,
    dev: str,
    tests: str,
    source: str,
    suffix: str,
    jobs: int | None,
) -> None:
    """Stage 7 on lattices of asrpar decode --set lattices=true.

    Another language model, other scales (chosen on dev), words of least expected errors (--set output=mbr). Writes
    hyp.trn, ref.trn, times.ctm with confidences, nbest.txt and decode.json, which has the oracle WER, for each set.
    """
    from asrpar.decode.rescore_config import RescoreConfig
    from asrpar.score.folders import check_experiment, check_suffix

    check_suffix(suffix)
    check_experiment(Path(exp))
    if suffix == source:
        raise ConfigError(f"--suffix {suffix!r} would replace the lattices: give another")
    more = () if jobs is None else (f"jobs={jobs}",)
    config = load_config(RescoreConfig, config_path, (*overrides, *more))
    sets = [name for name in (dev, *tests.split(",")) if name]
    if not sets:
        raise ConfigError("no set to rescore: give --test or --dev")
    for path in (lm, old_lm):
        if path is not None and not Path(path).is_file():
            raise MissingInputError(f"{path} is missing: give the ARPA file of a language model")

    from asrpar.decode.references import count_errors
    from asrpar.decode.rescore import Rescoring, rescore_sets
    from asrpar.log import setup_logging

    setup_logging(Path(exp) / "log" / "rescore.log")
    paths = [Path(x) if x else None for x in (lang, lm, old_lm)]
    rescore_sets(config, Rescoring(Path(exp), source, suffix, *paths), dev or None, sets, count_errors)
