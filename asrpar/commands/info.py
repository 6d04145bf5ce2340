"""``asrpar info``: what a bug report and a table of results need to say about the machine."""

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Print versions, the MPI behind mpi4py, k2 (or why it is not usable), CUDA devices, host and git hash."""
    from asrpar.info import table, versions

    found = versions()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo("\n".join(table(found)))
