"""``asrpar extract-features``: stage 2."""

import os

import click

from asrpar.config import config_options


@click.command("extract-features")
@config_options
@click.option("--manifests", required=True, metavar="DIR", help="Manifests made by stage 1.")
@click.option("--output", required=True, metavar="DIR", help="Folder for features, cuts and statistics.")
@click.option("--splits", default="train,dev,test", show_default=True, help="Names with commas between them.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes; default: one for each usable core.")
def command(
    config_path: str | None, overrides: tuple[str, ...], manifests: str, output: str, splits: str, jobs: int | None
) -> None:
    """Stage 2: filter banks and their statistics (or, with from_kaldi: true, features that Kaldi made).

    OUTPUT gets cuts_<split>.jsonl.gz, storage/, stats.pt, feats.yaml (all settings) and report.txt (what was wrong
    with recordings).
    """
    names = [name.strip() for name in splits.split(",") if name.strip()]
    if not names or len(set(names)) != len(names):
        raise click.UsageError(f"--splits {splits!r}: expected different names, for example train,dev,test")

    from asrpar.config import load_config
    from asrpar.feats.config import FeatureConfig
    from asrpar.feats.extract import extract_features
    from asrpar.log import setup_logging

    log = setup_logging()
    config = load_config(FeatureConfig, config_path, overrides)
    counts = extract_features(config, manifests, output, names, jobs or len(os.sched_getaffinity(0)))
    for split, count in counts.items():
        log.info("%s: features of %d utterances", split, count)
    log.info("features are in %s", output)
