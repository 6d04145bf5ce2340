"""The one normalisation of conversations: transcripts, lexicon and texts of language models all go through it.

Mississippi State's markup (Switchboard) and Fisher's do not contradict each other, so one function reads both, and a
word is written alike wherever it stands. Words are lower case. What is said of a word in part is a fragment (``th-``,
``-at``, ``ab-lu-``); of ``[spoken/meant]`` the spoken is taken; words said with laughter, coinages and the words of
asides are plain words; what is no speech is one of `NOISES`. Hyphens within words part them, as the official scoring
does, but for interjections (``uh-huh``).

The rules were written from the guidelines of the transcripts (ISIP, rules 15 to 26; LDC's description of Fisher).
"""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from asrpar.corpus.conversations.acronyms import is_spelled, spelled

LAUGHTER, NOISE, VOCALIZED = "[laughter]", "[noise]", "[vocalized-noise]"
NOISES = (LAUGHTER, NOISE, VOCALIZED)
_NOISES = {
    **{f"[{name}]": LAUGHTER for name in ("laughter", "laugh", "laughter-")},
    **{f"[{name}]": NOISE for name in ("noise", "mn", "sigh", "cough", "breath", "lipsmack", "sneeze")},
    VOCALIZED: VOCALIZED,
}
_BARE_NOISES = frozenset(name.strip("[]") for name in _NOISES)
_NOTHING = frozenset(("[silence]", "[pause]", "<b_aside>", "<e_aside>"))
_ASIDE = re.compile(r"<\s*/?\s*[be]_aside\s*>", re.IGNORECASE)
_FOREIGN = re.compile(r"<[^<>]*(>|$)|>")
_SKIPPED = re.compile(r"\[\[\s*[A-Za-z ]+\]\]")
_UNCERTAIN = re.compile(r"\(\(|\)\)")
_GLUED = re.compile(r"\[(?:laughter|noise|vocalized-noise|silence)\]-?", re.IGNORECASE)
_LETTER_RUN = re.compile(r"(?<!\S)[A-Z](?: [A-Z])+(?:'?s)?(?!\S)")
_LAUGHING = re.compile(r"\[laughter-", re.IGNORECASE)
_VARIANT = re.compile(r"_\d+(?=$|[-'\[\]/])")
_UNSPOKEN = re.compile(r"\[[^\[\]]*\]")
_CAPITALS = re.compile(r"([A-Z]{2,})('?s)?")
_LETTER = re.compile(r"([A-Z])('s)?")
_SHORT = re.compile(r"([A-Z]{1,3}|[a-z]{1,2})('?s)?")  # of what stands beside an &
_DOTTED = re.compile(r"((?:[a-z]\.){2,})('?s)?")
_UNDOTTED = re.compile(r"(?:[a-z]\._)+[a-z]")  # i._b._m without its last dot
_ODD = re.compile(r"[^a-z0-9'._-]")
_SYLLABLES = frozenset(
    ("uh", "huh", "um", "hum", "hm", "hmm", "mm", "mhm", "oh", "ah", "eh", "nuh", "nah", "ha", "ho", "hoo")
)
_ALONE = frozenset("ai")  # letters that are words


@dataclass(frozen=True)
class Line:
    """A normalised line of a transcript.

    Attributes:
        words: noises among them; may be none.
        doubt: why a model of speech should not learn from it, as there was more or other to be heard than the words:
            ``uncertain``, ``foreign`` or ``skipped``; empty if there is nothing. Language models may have it.
    """

    words: tuple[str, ...]
    doubt: str = ""

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(self.words)

    @property
    def is_speech(self) -> bool:
        """Whether there is a word, and not noises alone."""
        return any(word not in NOISES for word in self.words)


class Normaliser:
    """Makes words of transcripts.

    Args:
        acronyms: letters, lower case, of words that are spelled where they are written in capitals (``ibm``, not
            ``nasa``), as the dictionary's pronunciations and Fisher's transcripts tell.

    Attributes:
        odd: what had characters or marks that are not part of the markup, and how often; they were left out.
    """

    def __init__(self, acronyms: Collection[str] = frozenset()) -> None:
        self._acronyms = frozenset(acronyms)
        self._known: dict[str, tuple[tuple[str, ...], bool]] = {}  # by token as written: its words, whether it is odd
        self.odd: Counter[str] = Counter()

    def line(self, text: str) -> Line:
        """Normalise a transcript of words that blanks part."""
        doubt = ""
        if "<" in text or ">" in text:
            text = _ASIDE.sub(" ", text)
            text, count = _FOREIGN.subn(" ", text)
            doubt = "foreign" if count else doubt
        if "((" in text or "))" in text:
            text, doubt = _UNCERTAIN.sub(" ", text), doubt or "uncertain"
        if "[[" in text:
            text, count = _SKIPPED.subn(" ", text)
            doubt = doubt or ("skipped" if count else "")
        text = _GLUED.sub(" \\g<0> ", text)
        text = _LETTER_RUN.sub(self._joined, text)
        return Line(tuple(word for token in text.split() for word in self._token(token)), doubt)

    def words(self, text: str) -> list[str]:
        """The words of a transcript, or those of a dictionary's entry."""
        return list(self.line(text).words)

    def _joined(self, match: re.Match) -> str:
        """Letters one after the other are the acronym, if there is one: I B M and IBM are the same word."""
        letters = "".join(match[0].split())
        return letters if letters.removesuffix("s").removesuffix("'").lower() in self._acronyms else match[0]

    def _token(self, token: str) -> tuple[str, ...]:
        found = self._known.get(token)
        if found is None:
            found = self._known[token] = self._read(token)
        words, odd = found
        if odd:
            self.odd[token] += 1
        return words

    def _read(self, token: str) -> tuple[tuple[str, ...], bool]:
        """The words of a token, and whether something in it is not part of the markup."""
        token = token.replace("&amp;", "&").strip('",;:?!*()')
        bare = token.lower().strip("-")
        if not bare or bare in _NOTHING:
            return (), False
        if bare in _NOISES:
            return (_NOISES[bare],), False
        if re.fullmatch(r"\[[a-z][a-z_-]*\]", bare) and not _LAUGHING.match(bare):
            return (NOISE,), True
        odd = token.count("[") != token.count("]")
        if odd and bare.strip("[]") in _BARE_NOISES:
            return (_NOISES[f"[{bare.strip('[]')}]"],), True
        spoken, part = _spoken(token)
        if "&" in spoken:
            return self._with_and(spoken), odd
        if _UNDOTTED.fullmatch(spoken.lower()):
            spoken, odd = f"{spoken}.", True
        words = []
        if part:
            pieces = [spoken.replace("_", "").replace("/", "")]
        else:
            pieces = [spoken] if is_spelled(spoken.lower()) else re.split(r"[/_]", spoken)
        for piece in pieces:
            for each in self._parted(piece, part):
                word, strange = self._word(each)
                odd |= strange
                words += [word] if word.strip("-'._") else []
        return tuple(words), odd

    def _parted(self, piece: str, part: bool) -> list[str]:
        """A word in pieces at its hyphens, unless they say that something is missing, or it is an interjection."""
        if part or "-" not in piece or piece.startswith("-") or piece.endswith("-"):
            return [piece]
        pieces = piece.split("-")
        if all(p.lower().removesuffix("'s") in _SYLLABLES for p in pieces):
            return [piece]
        return [p.upper() if len(p) == 1 and p.lower() not in _ALONE else p for p in pieces]

    def _word(self, piece: str) -> tuple[str, bool]:
        """One word, and whether characters of it were left out."""
        if letter := _LETTER.fullmatch(piece):
            return spelled(letter[1], letter[2] or ""), False
        capitals = _CAPITALS.fullmatch(piece)
        if capitals and capitals[1].lower() in self._acronyms:
            return spelled(capitals[1], capitals[2] or ""), False
        word = piece.lower()
        if is_spelled(word):
            return word, False
        if dotted := _DOTTED.fullmatch(word):
            return spelled(dotted[1].replace(".", ""), dotted[2] or ""), False
        plain = _ODD.sub("", word)
        return re.sub(r"-{2,}", "-", plain.replace(".", "")), plain != word

    def _with_and(self, token: str) -> tuple[str, ...]:
        """AT&T is a._t. and t.: what is said, which is how references have it."""
        words: list[str] = []
        for number, piece in enumerate(p for p in token.split("&") if p):
            short = _SHORT.fullmatch(piece)
            found = (spelled(short[1], short[2] or ""),) if short else self._read(piece)[0]
            words += (["and"] if number else []) + list(found)
        return tuple(words)


def _spoken(token: str) -> tuple[str, bool]:
    """What was spoken of a token of Mississippi State's transcripts, and whether parts of it were not."""
    token = token.replace("{", "").replace("}", "")
    marked = "[" in token or "]" in token
    before = None
    while token != before:
        before = token
        if laughing := _LAUGHING.search(token):
            end = _closing(token, laughing.start())
            token = token[: laughing.start()] + token[laughing.end() : end] + token[end + 1 :]
        if "/" in token and marked:
            token = _first_of_two(token)
    token = _VARIANT.sub("", token)
    part = False
    while (shorter := _UNSPOKEN.sub("-", token)) != token:
        token, part = shorter, True
    if "[" in token:  # not closed: nothing of the rest was spoken
        token, part = re.sub(r"\[.*", "-", token), True
    token = re.sub(r"-{2,}", "-", token.replace("]", ""))
    if part and "-" not in (token[:1], token[-1:]):
        token += "-"
    return token, part


def _first_of_two(token: str) -> str:
    """The spoken form of ``[spoken/meant]`` with what stands behind the bracket; the first one may be forgotten."""
    spoken, _, meant = token.partition("/")
    opened = spoken.count("[") - spoken.count("]")
    for _ in range(max(0, opened)):
        spoken = spoken.replace("[", "", 1)
    end = meant.rfind("]")
    return spoken + (meant[end + 1 :] if end >= 0 else "")


def _closing(token: str, start: int) -> int:
    """Where the bracket that opens at ``start`` is closed; the end of the token if it is not."""
    depth = 0
    for at in range(start, len(token)):
        depth += (token[at] == "[") - (token[at] == "]")
        if depth == 0:
            return at
    return len(token)
