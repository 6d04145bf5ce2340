"""``asrpar study``."""

import sys
from pathlib import Path

import click

from asrpar.config import load_config
from asrpar.errors import ConfigError, MissingInputError


@click.command("study")
@click.argument("conf", metavar="CONF.yaml")
@click.option("--exp-dir", required=True, metavar="DIR", help="A folder for each cell goes here, and the report.")
@click.option(
    "--data-dir", default="exp/data", show_default=True, metavar="DIR", help="Features, language and graph of a recipe."
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Cells side by side.")
@click.option(
    "--reuse", multiple=True, metavar="DIR", help="--exp-dir of another study: its cells serve where they are the same."
)
@click.option("--output", metavar="DIR", help="Where the report goes; default EXP_DIR/report.")
@click.option("--dry-run", is_flag=True, help="List the cells and what is left to do.")
@click.option("--report-only", is_flag=True, help="Run nothing; report on what is finished.")
@click.option("--renew", is_flag=True, help="Run cells anew that were made with other settings or of other data.")
def command(
    conf: str,
    exp_dir: str,
    data_dir: str,
    jobs: int,
    reuse: tuple[str, ...],
    output: str | None,
    dry_run: bool,
    report_only: bool,
    renew: bool,
) -> None:
    """Run a grid of simulated trainings and report on it.

    Cells that are finished are left alone, so the same command goes on where an earlier one was stopped.
    """
    from asrpar.decode.config import DecodeConfig
    from asrpar.files.lock import alone
    from asrpar.study.config import load_study
    from asrpar.study.folder import CellFolder, Places
    from asrpar.study.grid import axes, cells, check_rules, settings
    from asrpar.study.report import write_report
    from asrpar.study.run import run_study

    study = load_study(conf)
    place = Path(exp_dir)
    made = cells(study)
    if study.decode:
        load_config(DecodeConfig, study.decoding.config, settings(study.decoding.set))
    check_rules("timelines.cells", study.timelines.cells, axes(study))
    folders = [CellFolder(study, cell, place) for cell in made]
    try:
        places = None if report_only else Places.of(study, Path(data_dir))
    except MissingInputError:
        if not dry_run:
            raise
        places = None
    for folder in folders:
        folder.places = places
    if dry_run:
        for folder in folders:
            click.echo(f"{folder.cell.name}\t{'finished' if folder.finished() else 'to do'}")
        return
    other = [folder.cell.name for folder in folders if folder.trained() and not folder.is_ours()]
    if other and not renew and not report_only:
        raise ConfigError(
            f"{len(other)} finished cells in {exp_dir}, such as {other[0]}, were made with other settings or of "
            "other data: give --renew to run them anew, or another --exp-dir"
        )
    failed = {}
    if places is not None:
        others = [Path(folder) for folder in reuse]
        failed = run_study(folders, places, place, jobs, lambda line: click.echo(line, err=True), reuse=others)
    target = Path(output) if output else place / "report"
    with alone(target):
        paths = write_report(study, Path(conf), folders, failed, target)
    if paths:
        click.echo(f"{paths[-1]}: {sum(f.finished() for f in folders)} of {len(folders)} cells")
    elif not failed:
        raise ConfigError(f"no cell in {exp_dir} is finished: there is nothing to report on")
    if failed:
        click.echo(f"{len(failed)} of {len(folders)} cells failed; the same command runs them again:", err=True)
        for name, why in failed.items():
            click.echo(f"  {name}: {why} (see {place / name / 'cell.log'})", err=True)
        sys.exit(1)
