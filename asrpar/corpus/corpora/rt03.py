"""RT03, English telephone calls (LDC2007S10): Fisher (fsh_) and Switchboard Cellular (sw_), 8 kHz.

Looked for below the folder: ``data/references/eval03/english/cts/*.stm``, ``en20030506.glm`` and the ``.sph`` files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.nist.callset import CallSet, Counts, make_split
from asrpar.corpus.nist.places import find, the_one
from asrpar.corpus.nist.stm import read_stm
from asrpar.corpus.registry import Corpus
from asrpar.errors import DataError

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split

REFERENCES = ("references", "eval03", "english", "cts")
GLM = "en20030506.glm"
# In older tables of Kaldi the two parts are exchanged.
RT03 = CallSet(
    name="RT03",
    acronyms="dots",
    subsets={"fsh": "fsh_", "swbd": "sw_"},
    counts={"all": Counts(8420, 76157), "fsh": Counts(3970, 36721), "swbd": Counts(4450, 39436)},
)


def check(corpus_dir: Path) -> None:
    """The folder has references, word map and audio below it; raises `DataError` otherwise."""
    _files(corpus_dir)


def prepare(corpus_dir: Path, work_dir: Path, parts: Sequence[str] = (), partial: bool = False) -> "dict[str, Split]":
    """The set ``rt03``. Channels 1 and 2 of the references are sides A and B.

    Raises:
        DataError: files are missing or damaged, or counts are wrong.
    """
    stms, glm, audio = _files(corpus_dir)
    return {"rt03": make_split(RT03, read_stm(*stms), stms[0], glm, audio, work_dir / "rt03", partial)}


def _files(corpus_dir: Path) -> tuple[list[Path], Path, dict[str, list[Path]]]:
    found = find(corpus_dir, ".sph", ".stm", ".glm")
    own = {name: list(filter(_is_reference, paths)) for name, paths in found.items() if name.endswith(".stm")}
    stms = [the_one(corpus_dir, own, name, "RT03") for name, paths in own.items() if paths]
    if not stms:
        raise DataError(f"{corpus_dir} does not hold RT03: there is no {'/'.join(REFERENCES)}/*.stm below it")
    return stms, the_one(corpus_dir, found, GLM, "RT03"), found


def _is_reference(path: Path) -> bool:
    return tuple(part.lower() for part in path.parent.parts[-len(REFERENCES) :]) == REFERENCES


CORPUS = Corpus(parts={}, default_parts=(), check=check, prepare=prepare, sampling_rate=8000, channels=2, counted=True)
