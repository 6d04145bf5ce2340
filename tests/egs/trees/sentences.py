"""What espeak-ng's people talk about, and how the words sound: ARPAbet without stress, as in cmudict."""

from pathlib import Path

SENTENCES = (
    "so i think we talk about music today",
    "yeah i really like music",
    "uh-huh",
    "do you have a dog or a cat",
    "we have a dog and he's very old",
    "well i don't know about that",
    "it's a good time to talk",
    "i work for I B M in texas",
    "um i mean you know it's okay",
    "they're really good people",
    "what do you think about the weather",
    "it was very cold in boston today",
    "oh yeah we're from boston",
    "my dog likes the cold weather",
    "i don't have time for a cat",
    "that's what i think you know",
    "we go to work at nine",
    "the people at A T and T are okay",
    "um-hum and what about you",
    "i can't talk about work today",
    "right it's about time",
    "you know my cat was old",
    "do they have a T V at work",
    "well we like good weather",
    "i think he was from texas",
    "yes we talk to people all day",
    "no i don't like that music",
    "that was a good day for us",
    "what time do you go to work",
    "okay it was good to talk to you",
)

WORDS = {
    "a": "AH",
    "about": "AH B AW T",
    "all": "AO L",
    "and": "AH N D",
    "are": "AA R",
    "at": "AE T",
    "boston": "B AA S T AH N",
    "can't": "K AE N T",
    "cat": "K AE T",
    "cold": "K OW L D",
    "day": "D EY",
    "do": "D UW",
    "dog": "D AO G",
    "don't": "D OW N T",
    "for": "F AO R",
    "from": "F R AH M",
    "go": "G OW",
    "good": "G UH D",
    "have": "HH AE V",
    "he": "HH IY",
    "he's": "HH IY Z",
    "i": "AY",
    "in": "IH N",
    "it": "IH T",
    "it's": "IH T S",
    "know": "N OW",
    "like": "L AY K",
    "likes": "L AY K S",
    "mean": "M IY N",
    "music": "M Y UW Z IH K",
    "my": "M AY",
    "nine": "N AY N",
    "no": "N OW",
    "oh": "OW",
    "okay": "OW K EY",
    "old": "OW L D",
    "or": "AO R",
    "people": "P IY P AH L",
    "really": "R IY L IY",
    "right": "R AY T",
    "so": "S OW",
    "talk": "T AO K",
    "texas": "T EH K S AH S",
    "that": "DH AE T",
    "that's": "DH AE T S",
    "the": "DH AH",
    "they": "DH EY",
    "they're": "DH EH R",
    "think": "TH IH NG K",
    "time": "T AY M",
    "to": "T UW",
    "today": "T AH D EY",
    "uh-huh": "AH HH AH",
    "um": "AH M",
    "um-hum": "AH M HH AH M",
    "us": "AH S",
    "very": "V EH R IY",
    "was": "W AA Z",
    "we": "W IY",
    "we're": "W IY R",
    "weather": "W EH DH ER",
    "well": "W EH L",
    "what": "W AH T",
    "work": "W ER K",
    "yeah": "Y AE",
    "yes": "Y EH S",
    "you": "Y UW",
}

# Names of letters, for those that no dictionary at hand has.
LETTERS = {
    **{"A": "EY", "B": "B IY", "C": "S IY", "D": "D IY", "E": "IY", "F": "EH F", "G": "JH IY", "H": "EY CH", "I": "AY"},
    **{"J": "JH EY", "K": "K EY", "L": "EH L", "M": "EH M", "N": "EH N", "O": "OW", "P": "P IY", "Q": "K Y UW"},
    **{"R": "AA R", "S": "EH S", "T": "T IY", "U": "Y UW", "V": "V IY", "W": "D AH B AH L Y UW", "X": "EH K S"},
    **{"Y": "W AY", "Z": "Z IY"},
}


def pronunciations(corpora: Path | None) -> dict[str, str]:
    """Lower-case word → its first pronunciation: of `WORDS`, and with ``corpora`` of cmudict and AN4's lexicon."""
    known = dict(WORDS)
    if corpora is None:
        return known
    for path, comment in ((corpora / "an4/etc/an4.dic", None), (corpora / "cmudict/cmudict.dict", "#")):
        for line in path.read_text(encoding="utf-8").splitlines():
            word, *phones = (line.split(comment)[0] if comment else line).split()
            if "(" not in word:
                known.setdefault(word.lower(), " ".join(phone.rstrip("012") for phone in phones))
    return known
