"""``asrpar validate-data``: check data before training on it."""

import os
import sys
from pathlib import Path

import click

from asrpar.option_types import FiniteRange

ERRORS_OF_A_KIND = 20


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--kaldi", "kind", flag_value="kaldi", help="The folders are Kaldi data folders (by default: look).")
@click.option("--manifests", "kind", flag_value="manifests", help="The folders hold Lhotse manifests.")
@click.option("--sampling-rate", type=click.IntRange(min=1), help="Of all audio, in Hz; by default what most have.")
@click.option("--train-split", default="train", show_default=True, help="The set that must share no speakers.")
@click.option("--allow-shared-speakers", is_flag=True, help="Only warn of speakers in train and another set.")
@click.option(
    "--max-chars-per-second",
    type=FiniteRange(min=0, min_open=True),
    default=25.0,
    show_default=True,
    help="Longer transcripts, spaces not counted, are warned of, twice as long ones are errors.",
)
@click.option("--allow-pipes", is_flag=True, help="Accept commands in wav.scp; they are not run.")
@click.option(
    "--read-audio", is_flag=True, help="Read all audio and features to their end: slow, and finds hidden damage."
)
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Processes of --read-audio; default: one for each core."
)
@click.option("--all", "show_all", is_flag=True, help="Tell every problem, also many of the same kind.")
def command(
    paths: tuple[Path, ...],
    kind: str | None,
    sampling_rate: int | None,
    train_split: str,
    allow_shared_speakers: bool,
    max_chars_per_second: float,
    allow_pipes: bool,
    read_audio: bool,
    jobs: int | None,
    show_all: bool,
) -> None:
    """Check Kaldi data folders or manifests, and tell all that is wrong.

    Each problem is one line, FILE:LINE: what is wrong (in a .jsonl.gz the record's number; 0 is the whole file). The
    exit code is 1 if there is any but warnings. Many of one kind are told by the first few and a count. Several Kaldi
    folders are compared as sets named like the folders.
    """
    from asrpar.corpus.checks.folders import check_paths
    from asrpar.corpus.checks.report import Limits
    from asrpar.corpus.problems import grouped

    limits = Limits(
        sampling_rate=sampling_rate,
        max_chars_per_second=max_chars_per_second,
        train_split=train_split,
        allow_shared_speakers=allow_shared_speakers,
        allow_pipes=allow_pipes,
        read_audio=read_audio,
        jobs=jobs or len(os.sched_getaffinity(0)),
    )
    sets, problems = check_paths(paths, kind, limits)
    for problem in problems if show_all else grouped(problems, ERRORS_OF_A_KIND):
        click.echo(str(problem))
    errors = sum(not p.warning for p in problems)
    count = f"{_plural(errors, 'error')}, {_plural(len(problems) - errors, 'warning')}"
    if errors:
        click.echo(f"{count} in {_plural(len(sets), 'set')}")
        sys.exit(1)
    for data in sets:
        click.echo(data.summary())
    click.echo(f"{count}: {_plural(len(sets), 'set')} checked")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
