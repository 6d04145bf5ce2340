"""``tree.txt``: phones, their states and decision trees as text that people can read.

asrpar-tree 1
topology three_state
width 3
phone AA  0 0 0.75  1 1 0.75  2 2 0.75      <- for each state: pdf classes of its first frame and of later ones, loop
silence SIL                                 <- phones that stand for no speech, that between words first
root AA 0                                   <- of phone AA, pdf class 0
  left M N                                  <- is the phone on the left one of these? "yes" comes first, then "no"
    pdf 0
    pdf 1
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.text import text_lines
from asrpar.hmm.nodes import Node, Split
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies.contract import State

HEAD = "asrpar-tree 1"
PLACES = ("left", "phone", "right")


@dataclass
class TreeText:
    """What the file says, see `asrpar.hmm.tree.Tree`."""

    phones: Phones
    topology: str
    width: int
    states: list[tuple[State, ...]]
    roots: Mapping[tuple[int, int], Node]


def tree_lines(tree: TreeText) -> list[str]:
    """The lines of the file."""
    lines = [HEAD, f"topology {tree.topology}", f"width {tree.width}"]
    for phone, states in zip(tree.phones.ids, tree.states, strict=True):
        own = "".join(f"  {s.first} {s.later} {s.loop!r}" for s in states)
        lines.append(f"phone {tree.phones.name(phone)}{own}")
    lines.append(" ".join(["silence", *(tree.phones.name(phone) for phone in tree.phones.silences)]))
    for (phone, k), root in tree.roots.items():
        lines += [f"root {tree.phones.name(phone)} {k}", *_node_lines(root, tree.phones)]
    return lines


def _node_lines(root: Node, phones: Phones) -> Iterator[str]:
    stack = [(root, 1)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, Split):
            yield f"{'  ' * depth}{PLACES[node.position]} {phones.listed(node.phones)}"
            stack += [(node.no, depth + 1), (node.yes, depth + 1)]
        else:
            yield f"{'  ' * depth}pdf {node}"


def read_tree_text(path: Path, made_by: str) -> TreeText:
    """Read a file with `tree_lines`; lines may be indented in any way, for what follows a split is two nodes.

    Raises:
        MissingInputError: there is no such file; ``made_by`` is in the message.
        DataError: it cannot be read; the line is in the message.
    """
    reader = _Reader(path, f"run {made_by}")
    if reader.next()[0] != HEAD.split():
        raise DataError(f"{path} is no tree of asrpar: it begins with '{HEAD}' where {made_by} wrote it")
    topology, width = reader.one("topology"), reader.one("width")
    names: list[str] = []
    states: list[tuple[State, ...]] = []
    while reader.is_next("phone"):
        fields, number = reader.next()
        names.append(fields[1] if len(fields) > 1 else "")
        states.append(_states(fields[2:], f"{path}:{number}"))
    silent, number = reader.next()
    if silent[0] != "silence" or not set(silent[1:]) <= set(names):
        raise DataError(f"{path}:{number}: expected 'silence' and phones that stand for no speech")
    try:
        phones = Phones(tuple(names), tuple(names.index(name) + 1 for name in silent[1:]))
        found = TreeText(phones, topology, int(width), states, {})
    except ValueError as e:
        raise DataError(f"{path}: width {width} is not a number") from e
    except DataError as e:
        raise DataError(f"{path}: {e}") from e
    roots: dict[tuple[int, int], Node] = {}
    while reader.is_next("root"):
        fields, number = reader.next()
        if len(fields) != 3 or not fields[2].isdecimal():
            raise DataError(f"{path}:{number}: expected 'root PHONE CLASS'")
        roots[reader.phone(phones, fields[1], number), int(fields[2])] = _read_node(reader, phones)
    reader.end()
    found.roots = roots
    return found


def _states(fields: Sequence[str], where: str) -> tuple[State, ...]:
    try:
        found = tuple(State(int(fields[i]), int(fields[i + 1]), float(fields[i + 2])) for i in range(0, len(fields), 3))
    except (ValueError, IndexError) as e:
        raise DataError(f"{where}: states are two pdf classes and a loop probability each") from e
    if not found or not all(s.first >= 0 and s.later >= 0 and 0 < s.loop < 1 for s in found):
        raise DataError(f"{where}: a phone has states, with pdf classes from 0 and loop probabilities between 0 and 1")
    return found


def _read_node(reader: "_Reader", phones: Phones) -> Node:
    """A node and all below it, without recursion: files may be odd."""
    unfinished: list[list] = []  # splits with the sides that are known
    while True:
        fields, number = reader.next()
        if fields[0] == "pdf" and len(fields) == 2 and fields[1].isdecimal():
            node: Node = int(fields[1])
            while unfinished:
                unfinished[-1].append(node)
                if len(unfinished[-1]) < 4:
                    break
                node = Split(*unfinished.pop())
            if not unfinished:
                return node
        elif fields[0] in PLACES and len(fields) > 1:
            asked = frozenset(reader.phone(phones, name, number) for name in fields[1:])
            unfinished.append([PLACES.index(fields[0]), asked])
        else:
            raise DataError(f"{reader.path}:{number}: expected 'pdf NUMBER', or 'left' or 'right' with phones")


class _Reader:
    """Lines of a file that are not empty, one looked at ahead."""

    def __init__(self, path: Path, mend: str) -> None:
        self.path, self._mend = path, mend
        self._lines = ((line.split(), number) for number, line in text_lines(path, mend) if line.strip())
        self._ahead = next(self._lines, None)

    def next(self) -> tuple[list[str], int]:
        """The fields of the next line, and its number."""
        if self._ahead is None:
            raise DataError(f"{self.path} is cut short: {self._mend} again")
        here, self._ahead = self._ahead, next(self._lines, None)
        return here

    def is_next(self, word: str) -> bool:
        """Whether the next line begins with this word."""
        return self._ahead is not None and self._ahead[0][0] == word

    def one(self, word: str) -> str:
        """The value of the next line, ``word VALUE``."""
        fields, number = self.next()
        if len(fields) != 2 or fields[0] != word:
            raise DataError(f"{self.path}:{number}: expected '{word} VALUE'")
        return fields[1]

    def phone(self, phones: Phones, name: str, number: int) -> int:
        """The id of a phone that line ``number`` names."""
        try:
            return phones.id(name)
        except DataError as e:
            raise DataError(f"{self.path}:{number}: {e}") from e

    def end(self) -> None:
        """Raise `DataError` if there is more."""
        if self._ahead is not None:
            raise DataError(f"{self.path}:{self._ahead[1]}: expected 'root PHONE CLASS'")
