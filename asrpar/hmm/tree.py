"""The phonetic decision tree: from a phone in its context and a pdf class to a class of frames (pdf)."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from asrpar.errors import DataError
from asrpar.files.replacing import replacing_text
from asrpar.hmm.nodes import Forest, Node, leaves, renamed, splits
from asrpar.hmm.phones import NO_PHONE, Phones
from asrpar.hmm.topologies.contract import State, StateTopology, pdf_classes
from asrpar.hmm.tree_text import TreeText, read_tree_text, tree_lines

MADE_BY = "asrpar align or build-tree (stage 4)"
FILE = "tree.txt"


class Tree:
    """Phones, their states, and which pdf a frame is of.

    Windows are ``width`` phone ids, left to right: (phone,), (left, phone) or (left, phone, right); 0 stands for "no
    phone", before an utterance's first and behind its last. Contexts reach across words, and silence is one.

    Attributes:
        phones: names and ids.
        topology: the name of the topology that the states are from; of imported ones a word that names none.
        width: phones of a window, 1 to 3.
        roots: a tree for each (phone, pdf class).
        num_pdfs: number of classes; pdfs are 0 to num_pdfs - 1.

    Args:
        states: of phones 1 to P in order, with loop probabilities.

    Raises:
        DataError: roots do not fit the states, or pdfs are not numbered without gaps.
    """

    def __init__(
        self,
        phones: Phones,
        topology: str,
        width: int,
        states: Sequence[tuple[State, ...]],
        roots: Mapping[tuple[int, int], Node],
    ) -> None:
        self.phones, self.topology, self.width = phones, topology, width
        self._states = tuple(states)
        self.roots = {key: roots[key] for key in sorted(roots)}
        self._check()
        owners: dict[int, list[tuple[int, int]]] = {}
        for key, root in self.roots.items():
            for pdf in dict.fromkeys(leaves(root)):
                owners.setdefault(pdf, []).append(key)
        self.num_pdfs = len(owners)
        if sorted(owners) != list(range(self.num_pdfs)):
            raise DataError(f"a tree's {self.num_pdfs} pdfs are not numbered from 0 to {self.num_pdfs - 1}")
        self._owners = [tuple(owners[pdf]) for pdf in range(self.num_pdfs)]

    def _check(self) -> None:
        if self.width not in (1, 2, 3):
            raise DataError(f"windows of {self.width} phones: there are those of 1, 2 and 3")
        if len(self._states) != len(self.phones) or not all(self._states):
            raise DataError("a tree needs the states of each phone")
        wanted = {(p, k) for p in self.phones.ids for k in pdf_classes(self.states(p))}
        for phone, k in sorted(wanted ^ set(self.roots)):
            has = "has" if (phone, k) in self.roots else "lacks"
            raise DataError(f"the tree {has} a root of phone {phone}, pdf class {k}, and its states do not agree")
        for (phone, k), root in self.roots.items():
            for split in splits(root):
                if split.position not in range(self.width) or split.position == self.central:
                    raise DataError(f"the tree of {self.phones.name(phone)}, pdf class {k}, asks for no neighbour")
                if not split.phones <= {0, *self.phones.ids}:
                    raise DataError(f"the tree of {self.phones.name(phone)}, pdf class {k}, asks for unknown phones")

    @classmethod
    def monophone(cls, phones: Phones, topology: StateTopology) -> "Tree":
        """No context: a pdf for each phone and pdf class, phone by phone, as Kaldi numbers them."""
        states = [topology.states(phones.is_silence(p)) for p in phones.ids]
        keys = [(p, k) for p, own in zip(phones.ids, states, strict=True) for k in pdf_classes(own)]
        return cls(phones, topology.name, 1, states, {key: pdf for pdf, key in enumerate(keys)})

    @property
    def central(self) -> int:
        """Where in a window the phone itself is."""
        return 0 if self.width == 1 else 1

    def states(self, phone: int) -> tuple[State, ...]:
        """The states of a phone, left to right, with the loop probabilities to use."""
        return self._states[phone - 1]

    def with_states(self, states: Sequence[tuple[State, ...]]) -> "Tree":
        """The same tree with other states, such as those with estimated loop probabilities."""
        return Tree(self.phones, self.topology, self.width, states, self.roots)

    def with_phones(self, phones: Phones) -> "Tree":
        """The same tree with phones of the same names in another order; pdfs keep their numbers.

        Raises:
            DataError: other names.
        """
        if sorted(phones.names) != sorted(self.phones.names):
            odd = sorted(set(phones.names) ^ set(self.phones.names))
            raise DataError(f"other phones than the tree's: {' '.join(odd[:8])}")
        new = [NO_PHONE, *(phones.id(name) for name in self.phones.names)]
        states = [self.states(self.phones.id(name)) for name in phones.names]
        roots = {(new[p], k): renamed(root, new) for (p, k), root in self.roots.items()}
        return Tree(phones, self.topology, self.width, states, roots)

    def pdf(self, window: Sequence[int], pdf_class: int) -> int:
        """The class of frames of a window's middle phone.

        Raises:
            DataError: the window is not one of this tree, or its phone has no such pdf class.
        """
        found = self.pdfs(np.array([window]), np.array([pdf_class]))
        return int(found[0])

    def pdfs(self, windows: np.ndarray, pdf_classes: np.ndarray) -> np.ndarray:
        """Classes of many frames or states at once.

        Args:
            windows: phone ids (N, width).
            pdf_classes: of their middle phones (N,).

        Returns:
            pdfs (N,), int32.

        Raises:
            DataError: as `pdf`.
        """
        windows, pdf_classes = np.asarray(windows), np.asarray(pdf_classes)
        if windows.ndim != 2 or windows.shape[1] != self.width:
            raise DataError(f"windows of shape {windows.shape} for a tree that asks for {self.width} phones")
        if windows.size and not 0 <= windows.min() <= windows.max() <= len(self.phones):
            raise DataError(f"a window has phone {windows.max()}, but the tree knows {len(self.phones)}")
        known = (pdf_classes >= 0) & (pdf_classes < self._root_of.shape[1])
        tree = self._root_of[windows[:, self.central], np.where(known, pdf_classes, 0)]
        wrong = np.flatnonzero(~known | (tree < 0))
        if len(wrong):
            phone = int(windows[wrong[0], self.central])
            raise DataError(f"phone {self.phones.name(phone)} has no pdf class {pdf_classes[wrong[0]]}")
        return self._forest.pdfs(windows, tree)

    def phones_of(self, pdf: int) -> tuple[tuple[int, int], ...]:
        """All (phone, pdf class) of a pdf: one in trees made here, perhaps several in imported ones."""
        return self._owners[pdf]

    def phone_of(self, pdf: int) -> tuple[int, int]:
        """The (phone, pdf class) of a pdf.

        Raises:
            DataError: phones of an imported tree share it.
        """
        if len(self._owners[pdf]) > 1:
            names = self.phones.listed({phone for phone, _ in self._owners[pdf]})
            raise DataError(f"pdf {pdf} does not tell one phone: it is shared by {names} (or by states of one)")
        return self._owners[pdf][0]

    def class_of(self, pdf: int) -> int:
        """The pdf class of a pdf.

        Raises:
            DataError: several share it in an imported tree.
        """
        found = {k for _, k in self._owners[pdf]}
        if len(found) > 1:
            raise DataError(f"pdf {pdf} does not tell one pdf class: the imported tree shares it among states")
        return found.pop()

    @cached_property
    def names(self) -> list[str]:
        """A name for each pdf: phone.class, and .number where phones have several leaves for one."""
        seen: dict[tuple[int, int], int] = {}
        found = []
        for owners in self._owners:
            phone, k = owners[0]
            number = seen[owners[0]] = seen.get(owners[0], -1) + 1
            found.append((f"{self.phones.name(phone)}.{k}", f".{number}"))
        # All with a number or none, so that no two are alike whatever phones are called.
        return [name + number for name, number in found] if len(seen) < len(found) else [name for name, _ in found]

    @cached_property
    def digest(self) -> str:
        """Of all that labels depend on: phones, pdf classes and trees, but not of loops, or of the topology's name."""
        bare = [tuple(state._replace(loop=0.5) for state in own) for own in self._states]
        lines = tree_lines(TreeText(self.phones, "any", self.width, bare, self.roots))
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()

    def write(self, path: str | Path) -> None:
        """Write ``tree.txt``, which `read` reads and people can, too."""
        with replacing_text(path) as file:
            text = TreeText(self.phones, self.topology, self.width, list(self._states), self.roots)
            file.writelines(f"{line}\n" for line in tree_lines(text))

    @classmethod
    def read(cls, path: str | Path) -> "Tree":
        """Read what `write` wrote: a file, or the ``tree.txt`` of a folder.

        Raises:
            MissingInputError: there is no such file.
            DataError: it is damaged; the line is in the message.
        """
        path = Path(path) / FILE if Path(path).is_dir() else Path(path)
        text = read_tree_text(path, MADE_BY)
        try:
            return cls(text.phones, text.topology, text.width, text.states, text.roots)
        except DataError as e:
            raise DataError(f"{path}: {e}") from e

    @cached_property
    def _forest(self) -> Forest:
        return Forest(list(self.roots.values()), len(self.phones))

    @cached_property
    def _root_of(self) -> np.ndarray:
        """Which root (P + 1, pdf classes) has; -1 where there is none."""
        table = np.full((len(self.phones) + 1, 1 + max(k for _, k in self.roots)), -1)
        for number, key in enumerate(self.roots):
            table[key] = number
        return table
