"""``asrpar make-graph``: stage 5."""

import click

from asrpar.config import config_options, load_config


@click.command("make-graph")
@config_options
@click.option("--lang", required=True, metavar="DIR", help="Language folder of stage 3.")
@click.option("--output", required=True, metavar="DIR", help="Folder for the graph and its symbol tables.")
@click.option("--tree", metavar="PATH", help="Of a hybrid model: tree.txt or its folder (stage 4); the graph is HCLG.")
def command(config_path: tuple[str, ...], overrides: tuple[str, ...], lang: str, output: str, tree: str | None) -> None:
    """Stage 5: the decoding graph, for OpenFst and k2.

    HLG for classes that are units, or, with --tree or a topology of states (--set topology=chain), HCLG.
    """
    from asrpar.files.lock import alone
    from asrpar.graph.config import GraphConfig
    from asrpar.graph.make import make_graph
    from asrpar.log import setup_logging

    setup_logging()
    config = load_config(GraphConfig, config_path, overrides)
    with alone(output):
        make_graph(config, lang, output, tree)
