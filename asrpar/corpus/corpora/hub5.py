"""Hub5'00, the English part: 40 telephone calls, 20 of Switchboard (sw_) and 20 of CallHome (en_), 8 kHz.

Audio is LDC2002S09, references are LDC2002T43. Both lie below one folder, under whatever names: what is looked for is
``hub5e_00.pem`` (segments), ``hub5e00.english.000405.stm`` (what was said in them), ``en20000405_hub5.glm`` (the word
map of scoring) and the ``.sph`` files. The raw transcripts (``reference/english/*.txt``) are not what is scored.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asrpar.corpus.nist.callset import CallSet, Counts, make_split, utterance_id
from asrpar.corpus.nist.pem import read_pem
from asrpar.corpus.nist.places import find, the_one
from asrpar.corpus.nist.stm import Stm, read_stm
from asrpar.corpus.registry import Corpus
from asrpar.errors import DataError

if TYPE_CHECKING:
    from asrpar.corpus.manifests import Split

PEM = "hub5e_00.pem"
STM = "hub5e00.english.000405.stm"
GLM = "en20000405_hub5.glm"
# Segments that are scored and words after the GLM, as in all published scores by hubscr.pl.
HUB5 = CallSet(
    name="Hub5'00",
    acronyms="letters",
    subsets={"swbd": "sw_", "callhm": "en_"},
    counts={"all": Counts(4459, 42989), "swbd": Counts(1831, 21395), "callhm": Counts(2628, 21594)},
)


def check(corpus_dir: Path) -> None:
    """The folder has segments, references, word map and audio below it; raises `DataError` otherwise."""
    _files(corpus_dir)


def prepare(corpus_dir: Path, work_dir: Path, parts: Sequence[str] = (), partial: bool = False) -> "dict[str, Split]":
    """The set ``eval2000``.

    Raises:
        DataError: files are missing or damaged, PEM and STM have other segments, or counts are wrong.
    """
    pem, stm_path, glm, audio = _files(corpus_dir)
    stm = read_stm(stm_path)
    _check_segments(stm, stm_path, pem)
    return {"eval2000": make_split(HUB5, stm, stm_path, glm, audio, work_dir / "hub5", partial)}


def _files(corpus_dir: Path) -> tuple[Path, Path, Path, dict[str, list[Path]]]:
    found = find(corpus_dir, ".sph", ".pem", ".stm", ".glm")
    pem, stm, glm = (the_one(corpus_dir, found, name, "Hub5'00") for name in (PEM, STM, GLM))
    return pem, stm, glm, found


def _check_segments(stm: Stm, stm_path: Path, pem_path: Path) -> None:
    """Raise `DataError` unless both files have the same segments."""
    told = {utterance_id(s) for s in stm.segments}
    asked = {utterance_id(s) for s in read_pem(pem_path)}
    if told != asked:
        odd = min(told ^ asked)
        raise DataError(
            f"{pem_path} has {len(asked)} segments and {stm_path} {len(told)}, of which {len(told ^ asked)} are in one "
            f"of them alone, such as {odd}: they are of different editions"
        )


CORPUS = Corpus(parts={}, default_parts=(), check=check, prepare=prepare, sampling_rate=8000, channels=2, counted=True)
