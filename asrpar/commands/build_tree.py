"""``asrpar build-tree``: stage 4."""

import click

from asrpar.config import config_options, load_config


@click.command("build-tree")
@config_options
@click.option("--ali", required=True, metavar="ALI", help="An alignment with phones, made by asrpar align.")
@click.option("--feats", required=True, metavar="FEATS", help="The features of stage 2 that were aligned.")
@click.option("--output", required=True, metavar="DIR", help="Folder for the tree and the alignment with its labels.")
@click.option("--tree-only", is_flag=True, help="Write tree.txt, questions.txt and report.txt, and no labels.")
def command(
    config_path: tuple[str, ...], overrides: tuple[str, ...], ali: str, feats: str, output: str, tree_only: bool
) -> None:
    """Stage 4: build a phonetic decision tree on an alignment, and label the alignment with its leaves.

    DIR gets all that ALI has, with the tree's labels, and besides questions.txt (the sets of phones that were asked
    for) and report.txt (leaves, gain per frame). It may be given where an alignment or a tree is wanted.
    """
    from asrpar.align.building import build_tree
    from asrpar.hmm.config import TreeConfig
    from asrpar.log import setup_logging

    setup_logging()
    build_tree(load_config(TreeConfig, config_path, overrides), ali, feats, output, tree_only)
