"""Word times from a frame-by-frame alignment."""

from collections.abc import Sequence

from asrpar.decode.lexicon import SILENCE_WORD, Lexicon

# Units one after the other: (token, first frame, last frame + 1).
Runs = list[tuple[int, int, int]]


def token_runs(alignment: Sequence[int], blank: int | None) -> Runs:
    """Collapse classes per frame into (token, first frame, last frame + 1), leaving out the blank if there is one."""
    runs: Runs = []
    previous = blank
    for t, token in enumerate(alignment):
        if token != blank and token == previous:
            runs[-1] = (token, runs[-1][1], t + 1)
        elif token != blank:
            runs.append((token, t, t + 1))
        previous = token
    return runs


def word_spans(
    runs: Runs, words: Sequence[str], emitted: Sequence[int], lexicon: Lexicon | None
) -> list[tuple[int, int]]:
    """First frame and last frame + 1 of each word.

    With a lexicon the path's tokens are cut into the words' pronunciations, which is exact: determinisation may move a
    word's label behind tokens that it shares with other words. Without one, or for the unfinished end of a partial
    path, a word owns the tokens from its label to the next word's label. With a blank, tokens are spikes: the end of a
    word is where its last token was seen, not where its sound ends.

    Args:
        runs: units of the path, such as those of `token_runs`.
        words: words of the path.
        emitted: frame at which the path carries each word's label, not decreasing.
        lexicon: pronunciations of each word, as tuples of units.
    """
    owners = _cut_by_lexicon([r[0] for r in runs], words, lexicon) if lexicon else None
    if owners is None:
        owners = []
        current = 0
        for _, start, _ in runs:
            while current + 1 < len(words) and emitted[current + 1] <= start:
                current += 1
            owners.append(current)
    spans: list[tuple[int, int]] = []
    at = 0
    for w in range(len(words)):
        mine = [runs[i] for i, owner in enumerate(owners) if owner == w]
        # A word without tokens of its own gets no length, at its label but not before the word before it.
        start, end = (mine[0][1], mine[-1][2]) if mine else (max(at, emitted[w]),) * 2
        spans.append((start, end))
        at = end
    return spans


def _cut_by_lexicon(tokens: list[int], words: Sequence[str], lexicon: Lexicon) -> list[int] | None:
    """The word that owns each token, -1 for optional silence; None if no cut fits."""
    # Depth first over (next word, next token); `seen` keeps it linear in their product.
    silences = {pron[0] for pron in lexicon.get(SILENCE_WORD, ())}
    stack: list[tuple[int, int, tuple | None]] = [(0, 0, None)]
    seen: set[tuple[int, int]] = set()
    while stack:
        w, t, back = stack.pop()
        if (w, t) in seen:
            continue
        seen.add((w, t))
        if w == len(words) and t == len(tokens):
            owners: list[int] = []
            while back is not None:
                owner, count, back = back
                owners.extend([owner] * count)
            return owners[::-1]
        if t < len(tokens) and tokens[t] in silences:
            stack.append((w, t + 1, (-1, 1, back)))
        if w < len(words):
            for pron in lexicon.get(words[w], ()):
                if tuple(tokens[t : t + len(pron)]) == tuple(pron):
                    stack.append((w + 1, t + len(pron), (w, len(pron), back)))
    return None
