"""Kaldi's archives: int32 vectors of pdf ids, and of phone ids, for each frame."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from asrpar.align.formats.contract import AlignmentFormat
from asrpar.corpus.kaldi.ark import write_alignments
from asrpar.hmm.alignments import AlignedUtterance
from asrpar.hmm.tree import Tree


class Format(AlignmentFormat):
    """``pdf_SET.ark`` and, where each pdf is of one phone, ``phone_SET.ark``, with scp files; ``phones.txt``.

    Pdf ids are those of ``tree.txt``, phone ids those of ``phones.txt``, in which <eps> is 0. Archives of transition
    ids would need Kaldi's transition model.
    """

    needs_phones = False

    def write(self, folder: Path, name: str, utterances: Sequence[AlignedUtterance], tree: Tree) -> None:
        self._archive(folder / f"pdf_{name}.ark", ((u.id, np.array(u.pdfs)) for u in utterances))
        owners = [{phone for phone, _ in tree.phones_of(pdf)} for pdf in range(tree.num_pdfs)]
        if all(len(phones) == 1 for phones in owners):
            phone_of = np.array([next(iter(phones)) for phones in owners], np.int32)
            self._archive(folder / f"phone_{name}.ark", ((u.id, phone_of[u.pdfs]) for u in utterances))
        symbols = ["<eps> 0", *(f"{p} {i}" for i, p in enumerate(tree.phones.names, 1))]
        (folder / "phones.txt").write_text("".join(f"{line}\n" for line in symbols), encoding="utf-8")

    def _archive(self, path: Path, items: Iterable[tuple[str, np.ndarray]]) -> None:
        """An archive, with an scp file that says where it will be."""
        scp = write_alignments(path, items)
        text = scp.read_text(encoding="utf-8").replace(f"{path.parent.resolve()}/", f"{self.final}/")
        scp.write_text(text, encoding="utf-8")
