"""Kaldi's ``tree``: ContextDependency, text or binary, to and from roots for each phone and pdf class."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrpar.errors import DataError
from asrpar.hmm.kaldi.stream import Stream
from asrpar.hmm.nodes import Node, Split
from asrpar.hmm.tree import Tree

PDF_CLASS = -1  # the key that asks for it; others are places in the window


@dataclass(frozen=True)
class Leaf:
    """CE: an answer."""

    pdf: int


@dataclass(frozen=True)
class Ask:
    """SE: one way for some values of a key, another for all others."""

    key: int
    values: frozenset[int]
    yes: "EventMap"
    no: "EventMap"


@dataclass(frozen=True)
class Table:
    """TE: a way for each value of a key."""

    key: int
    ways: tuple["EventMap | None", ...]


EventMap = Leaf | Ask | Table


@dataclass(frozen=True)
class ContextDependency:
    """A tree of Kaldi's.

    Attributes:
        width: phones of a window.
        central: place of the phone itself.
        root: asked for pdf class and phones.
    """

    width: int
    central: int
    root: EventMap

    def roots(self, classes: Iterable[tuple[int, int]], name: str) -> dict[tuple[int, int], Node]:
        """What is left to ask of the neighbours, for each (phone, pdf class).

        Raises:
            DataError: the tree has no answer for one, or other windows than trees here can have; ``name`` is its file.
        """
        if (self.width, self.central) not in ((1, 0), (2, 1), (3, 1)):
            raise DataError(
                f"{name}: windows of {self.width} phones with the phone itself at place {self.central} are not read; "
                "those of Kaldi's recipes are monophones, left biphones and triphones"
            )
        return {(phone, k): self._rest(self.root, phone, k, name) for phone, k in classes}

    def _rest(self, node: EventMap | None, phone: int, pdf_class: int, name: str) -> Node:
        known = {self.central: phone, PDF_CLASS: pdf_class}
        while not isinstance(node, Leaf):
            if node is None:
                raise DataError(f"{name}: no answer for pdf class {pdf_class} of phone {phone}: is it of this model?")
            if node.key not in known:
                break
            value = known[node.key]
            if isinstance(node, Ask):
                node = node.yes if value in node.values else node.no
            else:
                node = node.ways[value] if 0 <= value < len(node.ways) else None
        if isinstance(node, Leaf):
            return node.pdf
        if node.key not in range(self.width):
            raise DataError(f"{name}: asks for {node.key}, which is no place in a window of {self.width} phones")
        if isinstance(node, Ask):
            sides = (self._rest(side, phone, pdf_class, name) for side in (node.yes, node.no))
            return _split(node.key, node.values, *sides)
        # A way for each neighbour: questions for sets of those with the same one; others never occur.
        found: dict[Node, set[int]] = {}
        for value, way in enumerate(node.ways):
            if way is not None:
                found.setdefault(self._rest(way, phone, pdf_class, name), set()).add(value)
        if not found:
            return self._rest(None, phone, pdf_class, name)
        *others, last = found
        rest: Node = last
        for way in reversed(others):
            rest = Split(node.key, frozenset(found[way]), way, rest)
        return rest


def _split(position: int, phones: frozenset[int], yes: Node, no: Node) -> Node:
    # Where the sides differ in what they ask of the phone itself alone, nothing is left to ask.
    return yes if isinstance(yes, int) and yes == no else Split(position, phones, yes, no)


def read_context_dependency(path: str | Path) -> ContextDependency:
    """Read ``tree``.

    Raises:
        MissingInputError: there is no such file.
        DataError: it is damaged, or no tree.
    """
    stream = Stream.of_file(path, "give a tree of Kaldi's")
    stream.expect("ContextDependency")
    width, central = stream.integer(), stream.integer()
    stream.expect("ToPdf")
    try:
        root = _read(stream)
    except RecursionError as e:
        raise DataError(f"{path}: questions are nested too deeply") from e
    stream.expect("EndContextDependency")
    if root is None:
        raise DataError(f"{path}: the tree is empty")
    return ContextDependency(width, central, root)


def _read(stream: Stream) -> EventMap | None:
    kind = stream.token()
    if kind == "NULL":
        return None
    if kind == "CE":
        return Leaf(stream.integer())
    if kind == "TE":
        key, count = stream.integer(), stream.integer()
        stream.expect("(")
        ways = []
        while len(ways) < count:
            ways.append(_read(stream))
        stream.expect(")")
        return Table(key, tuple(ways))
    if kind == "SE":
        key, values = stream.integer(), frozenset(stream.integers().tolist())
        stream.expect("{")
        yes, no = _read(stream), _read(stream)
        stream.expect("}")
        if yes is None or no is None:
            raise stream.error("two ways of a question")
        return Ask(key, values, yes, no)
    raise stream.error("CE, SE, TE or NULL")


def tree_text(tree: Tree) -> str:
    """A tree of ours as Kaldi reads it: a table of phones, for each one of pdf classes, and questions below."""
    phones = []
    for phone in (0, *tree.phones.ids):
        own = {k: root for (p, k), root in tree.roots.items() if p == phone}
        ways = ["NULL" if k not in own else _node(own[k]) for k in range(max(own, default=-1) + 1)]
        phones.append(_table(PDF_CLASS, ways) if own else "NULL")
    return f"ContextDependency {tree.width} {tree.central} ToPdf {_table(tree.central, phones)} EndContextDependency\n"


def _table(key: int, ways: Sequence[str]) -> str:
    return f"TE {key} {len(ways)} ( {' '.join(ways)} )"


def _node(root: Node) -> str:
    words, stack = [], [root]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            words.append(node)
        elif isinstance(node, Split):
            words.append(f"SE {node.position} [ {' '.join(map(str, sorted(node.phones)))} ]\n{{")
            stack += ["}\n", node.no, node.yes]
        else:
            words.append(f"CE {node}")
    return " ".join(words)
