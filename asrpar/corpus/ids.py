"""Ids of utterances, speakers and recordings: what they cannot be, and which look alike."""

from collections.abc import Iterable

from asrpar.files.text import nfc

UNLIKE = "its letters are composed of other characters (NFC, NFD): write ids in one way"


def id_fault(utt_id: str) -> str | None:
    """Why an utterance's id cannot stand in files of transcripts, ``WORDS (utt-id)``; None if it can."""
    if utt_id.split() != [utt_id]:
        return "has a space in it" if utt_id else "is empty"
    depth = 0
    for char in utt_id:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            break
    return "has a bracket without its partner" if depth else None


class Twins:
    """Ids that look like others, which is why those are not found among them."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._composed = {nfc(key) for key in keys if not key.isascii()}

    def hint(self, missing: str) -> str:
        """What a message about a key that is not there ends with: nothing, unless one is there that looks like it."""
        return f"; one that looks like it is, but {UNLIKE}" if nfc(missing) in self._composed else ""
