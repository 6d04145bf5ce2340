"""Stage 5: the decoding graph."""

import errno
import io
from dataclasses import replace
from pathlib import Path

import kaldifst
import torch

from asrpar.config import check
from asrpar.errors import ConfigError, DataError
from asrpar.files.checksums import write_checksums
from asrpar.files.paths import require_file
from asrpar.files.replacing import replacing
from asrpar.graph.compose import compose_hlg, compose_lg, graph_size, openfst
from asrpar.graph.config import GraphConfig
from asrpar.graph.folder import HCLG, HLG, TREE, write_info
from asrpar.graph.fsts import grammar_fst, lexicon_fst
from asrpar.graph.hclg import compose_hclg, usual_self_loop_scale
from asrpar.graph.k2dict import k2_dict
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.hmm.topologies.contract import StateTopology, UnitTopology
from asrpar.hmm.tree import Tree
from asrpar.lang.lang import Lang
from asrpar.lang.symbols import MADE_BY, write_symbols
from asrpar.lm.arpa import arpa_sizes, read_arpa
from asrpar.lm.backoff import UNK
from asrpar.log import get_logger

LOG = get_logger(__name__)
SYMBOLS = ("words.txt", "tokens.txt", TREE)


def make_graph(config: GraphConfig, lang_dir: str | Path, output: str | Path, tree: str | Path | None = None) -> None:
    """Write the graph for both engines, its symbols and ``graph.yaml`` into ``output``.

    That is ``HLG.fst``, ``HLG.pt``, ``words.txt`` and ``tokens.txt`` where classes of frames are units, and
    ``HCLG.fst``, ``HCLG.pt``, ``words.txt`` and ``tree.txt`` where they are pdfs of a tree.

    Args:
        config: settings; their topology matters for graphs without a tree alone.
        lang_dir: LANG folder of stage 3.
        output: GRAPH folder.
        tree: tree.txt, or a folder that has one. Without, a topology of states gets a tree without contexts.

    Raises:
        MissingInputError: the language folder is not complete, or there is no tree.
        DataError: lexicon and language model do not go together, or lexicon and tree.
        ConfigError: unknown topology, one that is not the tree's, or a bound on the states that is none.
    """
    check(config)
    lang_dir, output = Path(lang_dir), Path(output)
    lang = Lang.load(lang_dir)
    require_file(lang_dir / "lm.arpa", MADE_BY)
    listed = sum(arpa_sizes(lang_dir / "lm.arpa"))
    if listed > config.max_ngrams:
        raise DataError(
            f"{lang_dir / 'lm.arpa'} has {listed} n-grams, and a graph of more than max_ngrams={config.max_ngrams} is "
            "not tried: search with a smaller model (asrpar prune-lm, or lm.prune in stage 3) and rescore with this "
            "one (asrpar rescore --lm), or raise max_ngrams where there is memory, some 2.5 kB for each n-gram"
        )
    lm = read_arpa(lang_dir / "lm.arpa", only=lang.words)
    g, dropped = grammar_fst(lm, {w: i for i, w in enumerate(lang.words)})
    # <UNK> itself is no word that anybody could lose, where the word for others has another name.
    dropped += listed - sum(lm.sizes) - (UNK in lm.ids and UNK not in lang.words)
    del lm
    if dropped > 0:
        LOG.warning(
            "%d n-grams of %s have words outside the vocabulary and are left out", dropped, lang_dir / "lm.arpa"
        )
    classes = _classes(config, lang, lang_dir, tree)
    name = HCLG if isinstance(classes, Tree) else HLG
    with openfst(lang_dir):
        phones = classes.phones if isinstance(classes, Tree) else None
        first = lang.num_tokens if phones is None else len(phones) + 1
        lg = compose_lg(lexicon_fst(lang, phones), g, first, config.max_states, disambig=phones is not None)
        if lg.start < 0:
            raise DataError(f"{lang_dir}: lexicon and language model have no sentence in common")
        if isinstance(classes, Tree):
            config = _filled(config, classes)
            graph = compose_hclg(lg, classes, config.self_loop_scale, config.max_states)
        else:
            graph = compose_hlg(classes, lg)
    output.mkdir(parents=True, exist_ok=True)
    k2 = _write_graph(graph, output, name)
    write_symbols(output / "words.txt", lang.words)
    if isinstance(classes, Tree):
        classes.write(output / TREE)
    else:
        write_symbols(output / "tokens.txt", lang.tokens)
    mine = ["words.txt", TREE if name == HCLG else "tokens.txt"]
    write_checksums(output, mine if name == HCLG else mine[:1])
    write_info(output, name, config)
    for other in (*SYMBOLS, *(f"{kind}.{ending}" for kind in (HLG, HCLG) for ending in ("fst", "pt"))):
        if other not in mine and not other.startswith(f"{name}."):
            (output / other).unlink(missing_ok=True)  # of a graph of the other kind that was here
    LOG.info(
        "%s: %s.fst has %d states, %d arcs; %s.pt has %d states, %d arcs",
        output, name, *graph_size(graph), name, int(k2["arcs"][:, 1].max()) + 1, len(k2["arcs"]),
    )  # fmt: skip


def _classes(config: GraphConfig, lang: Lang, lang_dir: Path, tree: str | Path | None) -> UnitTopology | Tree:
    """What a frame's classes come from: a topology of units, or a tree."""
    kind = TOPOLOGIES.load(config.topology)
    if tree is not None:
        found = Tree.read(tree)
        if config.topology not in (GraphConfig.topology, found.topology):
            raise ConfigError(
                f"topology is {config.topology}, but the tree of {tree} was made with {found.topology}: leave it out, "
                "as states and their probabilities come from the tree"
            )
        if missing := [unit for unit in lang.tokens[1:] if unit not in found.phones.names]:
            raise DataError(
                f"the tree of {tree} has no phone {missing[0]}, which {lang_dir} has: give the language folder that it "
                "was made with (asrpar align or build-tree, stage 4)"
            )
        return found
    topology = kind(TOPOLOGIES.settings(config.topology, config.topologies))
    return Tree.monophone(Phones.of_lang(lang), topology) if isinstance(topology, StateTopology) else topology


def _filled(config: GraphConfig, tree: Tree) -> GraphConfig:
    """With what the tree decides."""
    scale = config.self_loop_scale
    topology = tree.topology if tree.topology in TOPOLOGIES else config.topology
    return replace(config, topology=topology, self_loop_scale=usual_self_loop_scale(tree) if scale is None else scale)


def _write_graph(graph: kaldifst.StdVectorFst, output: Path, name: str) -> dict[str, torch.Tensor]:
    k2 = k2_dict(graph)
    packed = io.BytesIO()
    torch.save(k2, packed)
    # Renamed together, so that the two never come from different runs.
    with replacing(output / f"{name}.pt") as pt, replacing(output / f"{name}.fst") as fst:
        if not graph.write(str(fst)):
            raise OSError(errno.EIO, "cannot write (is the disk full?)", str(fst))
        pt.write_bytes(packed.getbuffer())
    return k2
