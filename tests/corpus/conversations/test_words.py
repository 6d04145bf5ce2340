import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrpar.corpus.conversations.acronyms import is_spelled
from asrpar.corpus.conversations.words import NOISES, Normaliser

ACRONYMS = {"ibm", "tv", "pc", "vcr", "ceo"}

# What is written, and the words of it. Markup as in the transcripts; the words are made up.
SWITCHBOARD = [
    ("[laughter-yeah]", "yeah"),
    ("[laughter-[we]ll]", "-ll"),
    ("[laughter-o[kay]-]", "o-"),
    ("[laughter-{weirdly}]", "weirdly"),
    ("{[laughter-weirdly]}", "weirdly"),
    ("[laughter-okay_1]", "okay"),
    ("[laughter-[wenna/wanna]]", "wenna"),
    ("[[laughter-wenna]/wanna]", "wenna"),
    ("[laughter-wenna/wanna]", "wenna"),
    ("[laughter-IBM]", "i._b._m."),
    ("[LAUGHTER-Yeah]", "yeah"),
    ("[laughter-yeah", "yeah"),
    ("[laughter-]", "[laughter]"),
    ("okay_1", "okay"),
    ("them_12", "them"),
    ("about_1's", "about's"),
    ("th[at]-", "th-"),
    ("th[at]", "th-"),
    ("th_1[at]-", "th-"),
    ("-[th]at", "-at"),
    ("[th]at", "-at"),
    ("-[ab]out-", "-out-"),
    ("-[be]cau[se]-", "-cau-"),
    ("ab[so]lu[tely]-", "ab-lu-"),
    ("ammu[n]it-", "ammu-it-"),
    ("ammu[n]it", "ammu-it-"),
    ("wouldn['t]", "wouldn-"),
    ("th[at-", "th-"),
    ("th]at", "that"),
    ("[wenna/wanna]", "wenna"),
    ("[wenna/wanna]'s", "wenna's"),
    ("[wea[sonable]-/reasonable]", "wea-"),
    ("[lem[guini]-/linguini]-", "lem-"),
    ("ex[specially]-/especially]", "ex-"),
    ("{yuppiedom's}", "yuppiedom's"),
    ("[noise]-", "[noise]"),
    ("yeah[laughter]", "yeah [laughter]"),
    ("[laughter]-", "[laughter]"),
    ("-", ""),
    ("--", ""),
    ("<b_aside> come in <e_aside> okay", "come in okay"),
    ("<B_ASIDE>", ""),
    ("[silence]", ""),
    ("[Silence]", ""),
    ("[noise]", "[noise]"),
    ("[laughter]", "[laughter]"),
    ("[vocalized-noise]", "[vocalized-noise]"),
    ("uh-huh", "uh-huh"),
    ("um-hum", "um-hum"),
    ("huh-uh", "huh-uh"),
    ("hum-um", "hum-um"),
    ("uh-oh", "uh-oh"),
    ("i-", "i-"),
    ("i- i think", "i- i think"),
    ("'em", "'em"),
    ("c's", "c's"),
    # Letters are words of their own, so that of the three words only the pronunciation of AT is another.
    ("AT&T", "a._t. and t."),
    ("AT&T's", "a._t. and t.'s"),
    ("AT&amp;T", "a._t. and t."),
    ("R&B", "r. and b."),
    ("salt&pepper", "salt and pepper"),
    ("IBM", "i._b._m."),
    ("I B M is", "i._b._m. is"),
    ("I B M's", "i._b._m.'s"),
    ("I B Q", "i. b. q."),
    ("NASA", "nasa"),
    ("TVs", "t._v.s"),
    ("TV's", "t._v.'s"),
    ("C's", "c.'s"),
    ("Boston", "boston"),
    ("i I A a", "i i. a. a"),
    ("X-ray", "x. ray"),
    ("mother-in-law", "mother in law"),
    ("twenty-f[ive]-", "twenty-f-"),
    ("a_lot", "a lot"),
]
FISHER = [
    ("(( uh-huh i think ))", "uh-huh i think", "uncertain"),
    ("((i think))", "i think", "uncertain"),
    ("(( ))", "", "uncertain"),
    ("yes <german (( ja wohl ))> no", "yes no", "foreign"),
    ("yes <german", "yes", "foreign"),
    ("yes [[skip]]", "yes", "skipped"),
    ("[laugh]", "[laughter]", ""),
    ("[laughter]", "[laughter]", ""),
    *((f"[{sound}]", "[noise]", "") for sound in ("mn", "noise", "sigh", "cough", "breath", "lipsmack", "sneeze")),
    ("[pause]", "", ""),
    ("*word", "word", ""),
    ("'cause 'em 'kay", "'cause 'em 'kay", ""),
    ("non-stop", "non stop", ""),
    ("t-shirt", "t. shirt", ""),
    ("i._b._m.", "i._b._m.", ""),
    ("i._b._m", "i._b._m.", ""),
    ("p._c.s", "p._c.s", ""),
    ("c._e._o.'s", "c._e._o.'s", ""),
    ("u.s.", "u._s.", ""),
    ("th- a-", "th- a-", ""),
    ("mm-hm mhm", "mm-hm mhm", ""),
    ("well, yes.", "well yes", ""),
    ("dogs'", "dogs'", ""),
]


@pytest.mark.parametrize(("written", "words"), SWITCHBOARD)
def test_markup_of_mississippi_state(written: str, words: str):
    line = Normaliser(ACRONYMS).line(written)
    assert (line.text, line.doubt) == (words, "")


@pytest.mark.parametrize(("written", "words", "doubt"), FISHER)
def test_markup_of_fisher(written: str, words: str, doubt: str):
    line = Normaliser(ACRONYMS).line(written)
    assert (line.text, line.doubt) == (words, doubt)


def test_normalised_text_stays_as_it_is():
    again = Normaliser(ACRONYMS)
    for written, words, *_ in [*SWITCHBOARD, *FISHER]:
        assert again.line(words).text == words, written


@settings(max_examples=300, deadline=None)
@given(st.text("aIBMt&[]{}/-_1'<>(). ", max_size=24))
def test_of_whatever_is_written_only_words_are_left(text: str):
    normaliser = Normaliser(ACRONYMS)
    words = normaliser.words(text)
    assert normaliser.words(" ".join(words)) == words
    for word in words:
        assert word in NOISES or is_spelled(word) or set(word) <= set("abcdefghijklmnopqrstuvwxyz0123456789'-")
        assert word.strip("-'")


def test_what_is_not_part_of_the_markup_is_counted():
    normaliser = Normaliser()
    assert normaliser.words("caf\u00e9 [bark] yes caf\u00e9") == ["caf", "[noise]", "yes", "caf"]
    assert normaliser.odd == {"caf\u00e9": 2, "[bark]": 1}


def test_brackets_that_are_not_closed_are_counted():
    normaliser = Normaliser()
    assert normaliser.words("[laughter-yes [noise laugh] th[at- no") == ["yes", "[noise]", "[laughter]", "th-", "no"]
    assert set(normaliser.odd) == {"[laughter-yes", "[noise", "laugh]", "th[at-"}


def test_lines_with_noises_alone_are_no_speech():
    lines = [Normaliser().line(text) for text in ("[noise] [laughter]", "[noise] yes", "")]
    assert [line.is_speech for line in lines] == [False, True, False]


def test_which_letters_are_acronyms_is_told_by_the_dictionary():
    assert Normaliser().words("IBM I B M") == ["ibm", "i.", "b.", "m."]
    assert Normaliser({"ibm"}).words("IBM I B M") == ["i._b._m."] * 2
