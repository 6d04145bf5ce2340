"""What espeak-ng's people say in Mandarin, and AISHELL's way to write pronunciations: initials and toned finals."""

import unicodedata
from collections.abc import Iterable, Iterator

# To train on: words with spaces between them, as AISHELL has them; some letters are full-width, as they are there.
SENTENCES = (
    "今天 天气 很 好",
    "明天 我们 去 北京",
    "他 在 北京 工作",
    "我们 今天 不 工作",
    "你 喜欢 什么 音乐",
    "我 很 喜欢 音乐",
    "北京 的 天气 不 好",
    "明天 他们 去 上海",
    "上海 今天 下 大雨",
    "你们 在 上海 工作",
    "他 不 喜欢 下 雨",
    "我 在 家 听 音乐",
    "今天 有 什么 工作",
    "他 有 大 Ｔ 恤",
    "我们 喜欢 ｋ 歌",
    "明天 天气 不 好",
    "他们 今天 在 家",
    "你 明天 在 北京 工作",
    "我 去 上海 听 歌",
    "今天 有 大雨",
)

# Of dev, then of test: in no other set, and with a character that is in no other sentence.
OTHERS = (
    "晚上 我 在 家",
    "明天 晚上 有 雨",
    "他 喜欢 北京",
    "今天 天气 好",
    "我们 听 音乐",
    "你 去 什么 工作",
    "晚上 他们 听 歌",
    "北京 明天 有 大雨",
    "我 不 去 上海",
    "今天 晚上 很 好",
)

SYLLABLES = {
    "今": "j in1", "天": "t ian1", "气": "q i4", "很": "h en3", "好": "h ao3", "明": "m ing2", "我": "uu uo3",
    "们": "m en5", "去": "q v4", "北": "b ei3", "京": "j ing1", "他": "t a1", "在": "z ai4", "工": "g ong1",
    "作": "z uo4", "不": "b u4", "你": "n i3", "喜": "x i3", "欢": "h uan1", "什": "sh en2", "么": "m e5",
    "音": "ii in1", "乐": "vv ve4", "的": "d e5", "上": "sh ang4", "海": "h ai3", "下": "x ia4", "大": "d a4",
    "雨": "vv v3", "家": "j ia1", "听": "t ing1", "有": "ii iu3", "恤": "x v4", "歌": "g e1",
    "晚": "uu uan3",
}  # fmt: skip

# Letters, as Chinese speakers name them.
LETTERS = {
    "A": "ee ei1", "B": "b i4", "C": "x i1", "D": "d i4", "E": "ii i4", "F": "ee ai2 f u5", "G": "j i4",
    "H": "ee ei1 q i5", "I": "aa ai4", "J": "zh ei4", "K": "k ei4", "L": "ee ai2 l e5", "M": "ee ai2 m u5",
    "N": "ee en1", "O": "oo ou1", "P": "p i4", "Q": "k iu1", "R": "aa a4", "S": "ee ai2 s iy5", "T": "t i4",
    "U": "ii iu1", "V": "uu ui1", "W": "d a2 b u5 l iu5", "X": "ee ai2 k e5 s iy5", "Y": "uu uai4", "Z": "z ei4",
}  # fmt: skip


def lexicon_lines(words: Iterable[str]) -> Iterator[str]:
    """Lines of ``resource_aishell/lexicon.txt``: of the words, of their characters, and of letters.

    What `SYLLABLES` has not, pypinyin reads. A character is read in each way in which it is in one of the words; words
    of other scripts have no entry.
    """
    yield "SIL sil"
    yield "<SPOKEN_NOISE> sil"
    entries: dict[str, list[str]] = {}
    for word in sorted(words):
        if not unicodedata.normalize("NFKC", word).isascii():
            syllables = _syllables(unicodedata.normalize("NFKC", word).upper())
            for entry, said in ((word, " ".join(syllables)), *zip(word, syllables, strict=True)):
                if said not in entries.setdefault(entry, []):
                    entries[entry].append(said)
    for entry, said in sorted((entries | {letter: [said] for letter, said in LETTERS.items()}).items()):
        yield from (f"{entry} {one}" for one in said)


def _syllables(word: str) -> list[str]:
    """The pronunciation of each character."""
    if all(c in SYLLABLES or c in LETTERS for c in word):
        return [SYLLABLES.get(c) or LETTERS[c] for c in word]
    from pypinyin import Style, pinyin

    initials, finals = (
        pinyin(word, style=style, strict=True, neutral_tone_with_five=True, errors=list)
        for style in (Style.INITIALS, Style.FINALS_TONE3)
    )
    return [LETTERS.get(c) or _join(i[0], f[0]) for c, i, f in zip(word, initials, finals, strict=True)]


def _join(initial: str, final: str) -> str:
    """An initial and a final; without an initial the final's first vowel doubled stands there, as in AISHELL."""
    if not final:  # a consonant alone, as in 嗯
        return "ee en5"
    if final[:-1] == "i" and initial in ("zh", "ch", "sh", "r", "z", "c", "s"):
        final = ("ix" if initial[-1] in "hr" else "iy") + final[-1]
    return f"{initial or final[0] * 2} {final}"
