"""Transcripts with alternatives, ``A { B C / D / @ } E``, and their alignment as NIST's sclite aligns them.

A transcript is a network of words: of each alternation one branch is said, and ``@`` is a branch without words. What
is aligned is the pair of paths, one through the reference and one through the hypothesis, that weighs least: 4 for a
substitution, 3 for an insertion or a deletion, next to nothing for passing a ``@``. Where brackets mean so
(``sclite -D``), a word ``(E)`` may be left out: its absence weighs 2 and counts as correct, as does E.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

NOTHING = "@"
_SINGLE = struct.Struct("f")
OPTIONAL = re.compile(r"\((.+)\)")
_TOKEN = re.compile(r"[{}]|[^\s{}]+")


def _single(x: float) -> float:
    """``x`` in single precision: sclite adds so, and the rounding decides between paths of equal weight."""
    return _SINGLE.unpack(_SINGLE.pack(x))[0]


_INDEL, _SUB, _PASS, _LEAVE_OUT, _PASS_BOTH = 3.0, 4.0, _single(0.001), 2.0, 1.0


@dataclass
class Network:
    """Words and the ways through them.

    Attributes:
        words: the word of each arc, in an order in which they can be said; the first one is the start.
        before: the arcs that may stand right before each.
        ends: the arcs that may be the last.
        optional: words in brackets may be left out.
        nested: there are alternatives within alternatives.
    """

    words: list[str] = field(default_factory=lambda: [""])
    before: list[list[int]] = field(default_factory=lambda: [[]])
    ends: list[int] = field(default_factory=lambda: [0])
    optional: bool = False
    nested: bool = False

    def add(self, word: str) -> None:
        """Say one more word at the end."""
        self.words.append(word)
        self.before.append(self.ends)
        self.ends = [len(self.words) - 1]

    def bare(self, arc: int) -> str:
        """The word of an arc, without the brackets of an optional one."""
        match = OPTIONAL.fullmatch(self.words[arc]) if self.optional else None
        return match[1] if match else self.words[arc]


def parse(text: str, optional: bool = False) -> list[str] | Network:
    """The words of a transcript: a list where there are no alternatives, and a network where there are.

    Args:
        text: words, ``{ A / B }`` for alternatives, which may be nested, and ``@`` for no word.
        optional: whether words in brackets may be left out.

    Raises:
        ValueError: braces that do not match, or an alternative without words.
    """
    tokens = _TOKEN.findall(text)
    if not {"{", "}", NOTHING}.intersection(tokens) and not (optional and any(map(OPTIONAL.fullmatch, tokens))):
        return tokens
    network = Network(optional=optional)
    _parse(network, tokens, inside=False)
    return network


def align_networks(ref: Network, hyp: Network, gap: str) -> list[tuple[str, str]]:
    """Pairs of reference and hypothesis word along the lightest pair of paths, ``gap`` where there is none.

    An optional word is paired with itself where it was said and where it was left out.
    """
    weights: list[list[float]] = []
    back: list[list[tuple[int, int]]] = []
    out, into = _weights_alone(ref), _weights_alone(hyp)
    ref_words, hyp_words = ([n.bare(i) for i in range(len(n.words))] for n in (ref, hyp))
    for i, word in enumerate(ref_words):
        weights.append([])
        back.append([])
        for j, other in enumerate(hyp_words):
            # sclite's order among equals: a pair, an insertion, a deletion; of several arcs before, the first.
            ways = [(weights[p][q] + _pair_weight(word, other), p, q) for p in ref.before[i] for q in hyp.before[j]]
            ways += [(weights[i][q] + into[j], i, q) for q in hyp.before[j]]
            ways += [(weights[p][j] + out[i], p, j) for p in ref.before[i]]
            weight, p, q = min(((_single(w), p, q) for w, p, q in ways), key=lambda way: way[0], default=(0.0, 0, 0))
            weights[i].append(weight)
            back[i].append((p, q))
    i, j = min(((i, j) for i in ref.ends for j in hyp.ends), key=lambda end: weights[end[0]][end[1]])
    pairs: list[tuple[str, str]] = []
    while i or j:
        p, q = back[i][j]
        word, other = (ref.words[i] if p != i else gap), (hyp.words[j] if q != j else gap)
        optional = ref_words[i] != word if word != gap else hyp_words[j] != other
        if (word == gap or other == gap) and optional:
            word = other = other if word == gap else word
        elif word != gap and other != gap and ref_words[i] == hyp_words[j]:
            other = word
        if not {word, other} <= {NOTHING, gap}:
            pairs.append((word, other))
        i, j = p, q
    return pairs[::-1]


def as_network(words: Sequence[str] | Network, optional: bool = False) -> Network:
    """A network of which a list of words is the only way."""
    if isinstance(words, Network):
        return words
    network = Network(optional=optional)
    for word in words:
        network.add(word)
    return network


def _weights_alone(network: Network) -> list[float]:
    """What it weighs that an arc's word has no partner."""
    return [
        _PASS if word == NOTHING else _LEAVE_OUT if network.bare(i) != word else _INDEL
        for i, word in enumerate(network.words)
    ]


def _pair_weight(word: str, other: str) -> float:
    if word == other:
        return _PASS_BOTH if word == NOTHING else 0.0
    return _SUB


def _parse(network: Network, tokens: list[str], inside: bool) -> list[str]:
    """Add the words of ``tokens`` up to the brace that closes them; returns what is left."""
    begin, ends = network.ends, []
    while tokens:
        token, *tokens = tokens
        if token == "{":
            network.nested |= inside
            tokens = _parse(network, tokens, inside=True)
            continue
        if token == "}" and not inside:
            raise ValueError("a '}' without its '{'")
        # Inside braces a slash parts alternatives even where it touches their words.
        words = re.findall(r"/|[^/]+", token) if inside else [token]
        for word in words:
            if word not in ("/", "}") or not inside:
                network.add(word)
                continue
            if network.ends is begin:
                raise ValueError("an alternative without words: write @ for no word")
            ends += network.ends
            network.ends = begin
        if token == "}":
            network.ends = ends
            return tokens
    if inside:
        raise ValueError("a '{' without its '}'")
    return []
