"""``asrpar build-tree``: stage 4."""

import click

from asrpar.config import config_options, load_config
from asrpar.errors import ConfigError


@click.command("build-tree")
@config_options
@click.option("--ali", required=True, metavar="ALI", help="An alignment with phones, made by asrpar align.")
@click.option("--feats", metavar="FEATS", help="The features of stage 2 that were aligned.")
@click.option("--output", required=True, metavar="DIR", help="Folder for the tree and the alignment with its labels.")
@click.option("--tree", metavar="TREE", help="Build none: a tree.txt, or a folder with one, whose labels to write.")
@click.option("--tree-only", is_flag=True, help="Write tree.txt, questions.txt and report.txt, and no labels.")
def command(
    config_path: tuple[str, ...],
    overrides: tuple[str, ...],
    ali: str,
    feats: str | None,
    output: str,
    tree: str | None,
    tree_only: bool,
) -> None:
    """Stage 4: build a phonetic decision tree on an alignment, and label the alignment with its leaves.

    DIR gets all that ALI has, with the tree's labels, and besides questions.txt (the sets of phones that were asked
    for) and report.txt (leaves, gain per frame). It may be given where an alignment or a tree is wanted.
    """
    from asrpar.align.building import build_tree, label_with
    from asrpar.hmm.config import TreeConfig
    from asrpar.log import setup_logging

    setup_logging()
    if tree is not None:
        if tree_only or config_path or overrides or feats:
            raise ConfigError("--tree builds no tree: leave out --feats, --config, --set and --tree-only")
        label_with(tree, ali, output)
        return
    if feats is None:
        raise ConfigError("give --feats, the features that were aligned, or --tree, a tree that there is")
    build_tree(load_config(TreeConfig, config_path, overrides), ali, feats, output, tree_only)
