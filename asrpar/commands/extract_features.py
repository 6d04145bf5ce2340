"""``asrpar extract-features``: stage 2."""

import os

import click

from asrpar.config import config_options


@click.command("extract-features")
@config_options
@click.option("--manifests", required=True, metavar="DIR", help="Manifests made by stage 1.")
@click.option("--output", required=True, metavar="DIR", help="Folder for features, cuts and statistics.")
@click.option("--splits", default="train,dev,test", show_default=True, help="Names with commas between them.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes; default: one for each usable core, and in a part for each of OMP_NUM_THREADS.",
)
@click.option("--part", type=click.IntRange(min=1), metavar="K", help="Make only the K-th of --parts, from 1.")
@click.option(
    "--parts",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --part: how many there are; without: put them together, once all are made.",
)
def command(
    config_path: str | None,
    overrides: tuple[str, ...],
    manifests: str,
    output: str,
    splits: str,
    jobs: int | None,
    part: int | None,
    parts: int | None,
) -> None:
    """Stage 2: filter banks and their statistics (or, with from_kaldi: true, features that Kaldi made).

    OUTPUT gets cuts_<split>.jsonl.gz, index_<split>.npz (which opens them at once), storage/, stats.pt, feats.yaml (all
    settings) and report.txt (what was wrong with recordings).

    Jobs of an array make a part each, with --part JOB --parts N; the same command with --parts N alone then puts the
    parts together. The files are the same as those of one run.
    """
    names = [name.strip() for name in splits.split(",") if name.strip()]
    if not names or len(set(names)) != len(names):
        raise click.UsageError(f"--splits {splits!r}: expected different names, for example train,dev,test")
    if part is not None and (parts is None or part > parts):
        raise click.UsageError(f"--part {part}: give --parts N with it, of at least {part}")

    from asrpar.config import load_config
    from asrpar.feats.config import FeatureConfig
    from asrpar.feats.extract import extract_features, extract_part, merge_parts
    from asrpar.feats.parts import Part
    from asrpar.log import setup_logging
    from asrpar.workers import jobs_of_part

    log = setup_logging()
    config = load_config(FeatureConfig, config_path, overrides)
    jobs = jobs or (jobs_of_part() if part else len(os.sched_getaffinity(0)))
    if parts is None:
        counts, what = extract_features(config, manifests, output, names, jobs), ""
    elif part is not None:
        counts, what = (
            extract_part(config, manifests, output, names, Part(part, parts), jobs),
            f", part {part} of {parts}",
        )
    else:
        counts, what = merge_parts(config, manifests, output, names, parts), f", of {parts} parts"
    for split, count in counts.items():
        log.info("%s: features of %d utterances%s", split, count, what)
    if part is None:
        log.info("features are in %s", output)
