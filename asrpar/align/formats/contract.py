"""What a form of alignments has to offer."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from asrpar.hmm.alignments import AlignedUtterance
from asrpar.hmm.tree import Tree


class AlignmentFormat(ABC):
    """Writes the alignment of a set. A page of `asrpar.align.formats` has one as ``Format``."""

    @abstractmethod
    def write(self, folder: Path, name: str, utterances: Sequence[AlignedUtterance], tree: Tree) -> None:
        """Write the files.

        Args:
            folder: to write into; what is written by others lies there, too.
            name: of the set, for names of files.
            utterances: sorted by id.
            tree: whose labels they have.

        Raises:
            DataError: something that the form cannot hold.
        """
