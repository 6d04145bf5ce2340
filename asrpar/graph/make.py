"""Stage 5: the decoding graph."""

import errno
import io
from pathlib import Path

import torch

from asrpar.config import check
from asrpar.errors import DataError
from asrpar.files.checksums import write_checksums
from asrpar.files.paths import require_file
from asrpar.files.replacing import replacing
from asrpar.graph.compose import compose_hlg, compose_lg, graph_size, openfst
from asrpar.graph.config import GraphConfig
from asrpar.graph.folder import write_info
from asrpar.graph.fsts import grammar_fst, lexicon_fst
from asrpar.graph.k2dict import k2_dict
from asrpar.hmm.topologies import TOPOLOGIES
from asrpar.lang.lang import Lang
from asrpar.lang.symbols import MADE_BY, write_symbols
from asrpar.lm.arpa import read_arpa
from asrpar.log import get_logger

LOG = get_logger(__name__)
NAME = "HLG"  # what is composed here


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
    topology = TOPOLOGIES.load(config.topology)(TOPOLOGIES.settings(config.topology, config.topologies))
    with openfst(lang_dir):
        lg = compose_lg(lexicon_fst(lang), g, lang.num_tokens, config.max_states)
        if lg.start < 0:
            raise DataError(f"{lang_dir}: lexicon and language model have no sentence in common")
        hlg = compose_hlg(topology, lg)
    output.mkdir(parents=True, exist_ok=True)
    k2 = k2_dict(hlg)
    packed = io.BytesIO()
    torch.save(k2, packed)
    # Renamed together, so that the two never come from different runs.
    with replacing(output / f"{NAME}.pt") as pt, replacing(output / f"{NAME}.fst") as fst:
        if not hlg.write(str(fst)):
            raise OSError(errno.EIO, "cannot write (is the disk full?)", str(fst))
        pt.write_bytes(packed.getbuffer())
    write_symbols(output / "words.txt", lang.words)
    write_symbols(output / "tokens.txt", lang.tokens)
    write_checksums(output, ["words.txt"])
    write_info(output, NAME, config)
    LOG.info(
        "%s: %s.fst has %d states, %d arcs; %s.pt has %d states, %d arcs",
        output, NAME, *graph_size(hlg), NAME, int(k2["arcs"][:, 1].max()) + 1, len(k2["arcs"]),
    )  # fmt: skip
