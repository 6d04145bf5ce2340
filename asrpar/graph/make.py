"""Stage 5: HLG, the decoding graph."""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kaldifst
import torch

from asrpar.config import check, save_config
from asrpar.errors import DataError
from asrpar.files.checksums import write_checksums
from asrpar.files.paths import require_file
from asrpar.files.replacing import replacing
from asrpar.graph.config import GraphConfig
from asrpar.graph.fsts import grammar_fst, lexicon_fst
from asrpar.graph.k2dict import k2_dict
from asrpar.hmm.topology import build_topology
from asrpar.lang.lang import Lang
from asrpar.lang.symbols import MADE_BY, write_symbols
from asrpar.lm.arpa import read_arpa
from asrpar.log import get_logger

LOG = get_logger(__name__)

# Kaldi's default of 1/1024 would move each arc's cost by up to half of that, and a path's by the sum.
DELTA = 1e-5
MANY_UNITS = 2000  # the square of which is more arcs than all the rest of a usual graph has


def make_graph(config: GraphConfig, lang_dir: str | Path, output: str | Path) -> None:
    """Write ``HLG.fst``, ``HLG.pt``, ``words.txt``, ``tokens.txt`` and ``graph.yaml`` into ``output``.

    Raises:
        MissingInputError: the language folder is not complete.
        DataError: lexicon and language model do not go together.
        ConfigError: unknown topology, or a bound on the states that is none.
    """
    check(config)
    lang_dir, output = Path(lang_dir), Path(output)
    lang = Lang.load(lang_dir)
    require_file(lang_dir / "lm.arpa", MADE_BY)
    g, dropped = grammar_fst(read_arpa(lang_dir / "lm.arpa"), {w: i for i, w in enumerate(lang.words)})
    if dropped:
        LOG.warning(
            "%d n-grams of %s have words outside the vocabulary and are left out", dropped, lang_dir / "lm.arpa"
        )
    if config.topology == "ctc" and lang.num_tokens > MANY_UNITS:
        LOG.warning(
            "with %d units the graph of ctc is very large: topology=ctc_modified makes a small one", lang.num_tokens
        )
    with openfst(lang_dir):
        lg = compose_lg(lexicon_fst(lang), g, lang.num_tokens, config.max_states)
        if lg.start < 0:
            raise DataError(f"{lang_dir}: lexicon and language model have no sentence in common")
        hlg = compose_hlg(config.topology, lg)
    output.mkdir(parents=True, exist_ok=True)
    k2 = k2_dict(hlg)
    packed = io.BytesIO()
    torch.save(k2, packed)
    # Renamed together, so that the two never come from different runs.
    with replacing(output / "HLG.pt") as pt, replacing(output / "HLG.fst") as fst:
        if not hlg.write(str(fst)):
            raise OSError(errno.EIO, "cannot write (is the disk full?)", str(fst))
        pt.write_bytes(packed.getbuffer())
    write_symbols(output / "words.txt", lang.words)
    write_symbols(output / "tokens.txt", lang.tokens)
    write_checksums(output, ["words.txt"])
    save_config(config, output / "graph.yaml")
    LOG.info("%s: HLG.fst has %d states, %d arcs; HLG.pt has %d states, %d arcs", output, *graph_size(hlg),
             int(k2["arcs"][:, 1].max()) + 1, len(k2["arcs"]))  # fmt: skip


@contextmanager
def openfst(what: object) -> Iterator[None]:
    """Let an error of OpenFst, which is several lines with places in its source, be one that names ``what``."""
    try:
        yield
    except RuntimeError as e:
        said = [line.strip() for line in str(e).splitlines() if line.strip()] or [type(e).__name__]
        raise DataError(f"{what}: OpenFst cannot make a graph of it: {said[-1].removeprefix('[E] ')}") from e


def compose_lg(
    l: kaldifst.StdVectorFst, g: kaldifst.StdVectorFst, num_tokens: int, max_states: int = -1
) -> kaldifst.StdVectorFst:
    """min(det(L o G)), disambiguation symbols (``num_tokens`` and above) replaced by epsilon; sorted by input."""
    kaldifst.arcsort(l, "olabel")
    kaldifst.arcsort(g, "ilabel")
    lg = kaldifst.StdVectorFst(kaldifst.compose(l, g))
    if lg.start < 0:
        return lg
    try:
        stopped = kaldifst.determinize_star(lg, delta=DELTA, max_states=max_states)
    except RuntimeError as e:
        if "aborted since passed" not in str(e):
            raise
        stopped = True
    if stopped:
        raise DataError(
            f"the graph of lexicon and language model has more than {max_states} states when it is made deterministic: "
            "raise max_states if there is memory for it, or make a smaller language model (asrpar prepare-lang)"
        )
    kaldifst.minimize_encoded(lg, delta=DELTA)
    lg = _without_inputs_from(lg, num_tokens)
    kaldifst.connect(lg)
    kaldifst.arcsort(lg, "ilabel")
    return lg


def compose_hlg(topology: str, lg: kaldifst.StdVectorFst) -> kaldifst.StdVectorFst:
    """H o LG, sorted by input; input labels are classes + 1, output labels words."""
    units = sorted({arc.ilabel for s in kaldifst.StateIterator(lg) for arc in kaldifst.ArcIterator(lg, s)} - {0})
    h = build_topology(topology, units)
    kaldifst.arcsort(h, "olabel")
    # Epsilons of LG come right behind the unit's first frame, not behind its repetitions and blanks: so words are
    # written where their last unit begins.
    hlg = kaldifst.StdVectorFst(kaldifst.compose(h, lg, compose_filter="alt_sequence"))
    kaldifst.arcsort(hlg, "ilabel")
    return hlg


def graph_size(fst: kaldifst.StdVectorFst) -> tuple[int, int]:
    """Numbers of states and arcs."""
    states = list(kaldifst.StateIterator(fst))
    return len(states), sum(fst.num_arcs(s) for s in states)


def _without_inputs_from(fst: kaldifst.StdVectorFst, first: int) -> kaldifst.StdVectorFst:
    """A copy in which input labels from ``first`` on are epsilon."""
    copy = kaldifst.StdVectorFst()
    for s in kaldifst.StateIterator(fst):
        copy.add_state()
        copy.set_final(s, fst.final(s))
    copy.start = fst.start
    for s in kaldifst.StateIterator(fst):
        for arc in kaldifst.ArcIterator(fst, s):
            if arc.ilabel >= first:
                arc.ilabel = 0
            copy.add_arc(s, arc)
    return copy
