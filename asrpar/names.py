"""Names that are not known: one message for keys, choices, commands and options, with the nearest that is."""

from collections.abc import Iterable
from difflib import get_close_matches

from asrpar.errors import ConfigError

# So many known names are listed even if one of them is near.
FEW = 8


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like ``name``, in whatever case, or None if none is like it."""
    folded = {str(k).casefold(): str(k) for k in known}
    near = get_close_matches(str(name).casefold(), folded, n=1)
    return folded[near[0]] if near else None


def hint(name: str, known: Iterable[str], prefix: str = "") -> str:
    """``did you mean 'near'?`` if a known name is near, and all of them if none is, or there are few."""
    known = list(known)
    near = nearest(name, known)
    meant = [f"did you mean '{prefix}{near}'?"] if near else []
    every = [f"known: {', '.join(known) or 'none'}"] if not near or len(known) <= FEW else []
    return " ".join(meant + every)


def unknown(what: str, name: str, known: Iterable[str], *, prefix: str = "", more: str = "") -> ConfigError:
    """The error to raise for a name that nobody knows, such as ``strategy 'bmfu' is unknown; did you mean 'bmuf'?``.

    Args:
        what: it should be the name of, such as ``loss``, or ``conf/train.yaml: key``.
        name: as it was given.
        known: those that there are.
        prefix: sections in front of the given and the known names.
        more: what else helps, put in brackets behind.
    """
    return ConfigError(f"{what} '{prefix}{name}' is unknown; {hint(name, known, prefix)}{more and f' ({more})'}")
