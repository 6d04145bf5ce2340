"""The phones of hidden Markov models: the units of a language folder, and silence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from asrpar.errors import DataError
from asrpar.lang.lang import Lang

SILENCE = "SIL"
NO_PHONE = 0  # before an utterance's first phone and behind its last; epsilon in transducers
NONE = "<none>"  # what files call it


@dataclass(frozen=True)
class Phones:
    """Names of phones; ids begin with 1.

    Attributes:
        names: of phones 1 to P, ``names[0]`` is phone 1.
        silences: ids of those that stand for no speech; the first is what stands between words.
    """

    names: tuple[str, ...]
    silences: tuple[int, ...]

    def __post_init__(self) -> None:
        odd = [name for name in self.names if name.split() != [name] or name == NONE]
        if odd:
            raise DataError(f"{odd[0]!r} cannot be the name of a phone: names have no spaces, and {NONE} is none")
        if len(self._ids) < len(self.names):
            twice = next(name for i, name in enumerate(self.names) if name in self.names[:i])
            raise DataError(f"two phones are called {twice}")
        if not self.silences or not all(1 <= s <= len(self.names) for s in self.silences):
            raise DataError(f"phones need a silence among them, such as {SILENCE}")

    @classmethod
    def of_lang(cls, lang: Lang) -> "Phones":
        """Ids are those of the language folder's tokens; `SILENCE` is the last where no unit is called so."""
        return cls.with_silence(lang.tokens[1:])

    @classmethod
    def with_silence(cls, units: Sequence[str]) -> "Phones":
        """Phones of units (the blank is none of them), and a silence behind them if there is none."""
        names = tuple(units) if SILENCE in units else (*units, SILENCE)
        return cls(names, (names.index(SILENCE) + 1,))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names, 1)}

    def __len__(self) -> int:
        return len(self.names)

    @property
    def ids(self) -> range:
        """1 to P."""
        return range(1, len(self.names) + 1)

    @property
    def silence(self) -> int:
        """The id of the silence between words."""
        return self.silences[0]

    def is_silence(self, phone: int) -> bool:
        """Whether a phone stands for no speech."""
        return phone in self.silences

    def name(self, phone: int) -> str:
        """The name of a phone; `NONE` for 0."""
        return self.names[phone - 1] if phone else NONE

    def id(self, name: str) -> int:
        """The phone of a name; 0 for `NONE`.

        Raises:
            DataError: there is none.
        """
        if name == NONE:
            return NO_PHONE
        if name not in self._ids:
            raise DataError(f"'{name}' is not a phone")
        return self._ids[name]

    def listed(self, phones: Iterable[int]) -> str:
        """Names, in the order of the ids, as files have them."""
        return " ".join(self.name(p) for p in sorted(phones))
