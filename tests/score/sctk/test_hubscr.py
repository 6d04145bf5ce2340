"""How hubscr.pl counts: what its behaviour is known to be, which our CTM and our mending of references rely on."""

import re

import pytest
from calls import GLM, HEAD, line

from asrpar.corpus.nist.stm import mended, read_stm
from asrpar.errors import DataError
from asrpar.score.sctk.hubscr import run_hubscr
from asrpar.score.sctk.sgml import read_sgml, to_score

# Reference, hypothesis, and (words, correct, substituted, deleted, inserted).
WORDS = [
    # Contractions are expanded in hypotheses alone: a reference has to be without.
    ("WE'RE HERE", "we're here", (2, 1, 1, 0, 1)),
    ("WE ARE HERE", "we're here", (3, 3, 0, 0, 0)),
    ("WE WERE HERE", "we're here", (3, 3, 0, 0, 0)),
    ("(TH-) THE DOG", "th- the dog", (3, 3, 0, 0, 0)),
    ("(TH-) DOG", "the dog", (2, 2, 0, 0, 0)),
    ("(TH-) DOG", "dog", (2, 2, 0, 0, 0)),
    ("OKAY", "ok", (2, 2, 0, 0, 0)),
    ("UH-HUH RIGHT", "um-hum right", (2, 2, 0, 0, 0)),
    ("(%HESITATION) SO", "um so", (2, 2, 0, 0, 0)),
    ("SO", "um so", (1, 1, 0, 0, 1)),
    # Letters stand alone in these references.
    ("I B M", "i b m", (3, 3, 0, 0, 0)),
    ("I B M", "ibm", (3, 0, 1, 2, 0)),
    ("I B M", "i. b. m.", (3, 0, 3, 0, 0)),
    ("I B M", "i._b._m.", (3, 0, 1, 2, 0)),
    ("SO", "[noise] so", (1, 1, 0, 0, 1)),
]


@pytest.fixture
def count(sctk, tmp_path):
    """``count(stm, ctm)``: (segments, words, correct, substituted, deleted, inserted) by hubscr.pl."""
    (tmp_path / "small.glm").write_text(GLM)

    def run(stm, ctm):
        place = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        run_hubscr(sctk, place, HEAD + stm, ctm, tmp_path / "small.glm")
        row = re.search(r"\|\s*Sum\s*\|(.*)", (place / "hyp.ctm.filt.raw").read_text())[1]
        segments, words, correct, sub, dele, ins, *_ = map(int, re.findall(r"\d+", row))
        score = to_score([(s.segment_id, s.speaker, s.pairs) for s in read_sgml(place / "hyp.ctm.filt.sgml")], set())
        c = score.total
        assert (len(score.utterances), c.ref, c.ref - c.sub - c.dele) == (segments, words, correct)
        assert (c.sub, c.dele, c.ins) == (sub, dele, ins)
        return segments, words, correct, sub, dele, ins

    return run


def stm(text):
    return line("sw_9002", "A", 1, 3, "<O,sw>", text)


def ctm(words, channel="A", call="sw_9002", start=1.0):
    return "".join(f"{call} {channel} {start + 0.1 * i:.2f} 0.10 {w}\n" for i, w in enumerate(words.split()))


def test_words(sctk, tmp_path):
    """Each in a call of its own, all by one run."""
    (tmp_path / "small.glm").write_text(GLM)
    references = "".join(line(f"sw_{i:04d}", "A", 1, 3, "<O,sw>", ref) for i, (ref, *_) in enumerate(WORDS))
    hypotheses = "".join(ctm(hyp, call=f"sw_{i:04d}") for i, (_, hyp, _) in enumerate(WORDS))
    run_hubscr(sctk, tmp_path, HEAD + references, hypotheses, tmp_path / "small.glm")
    found = {}
    for s in read_sgml(tmp_path / "hyp.ctm.filt.sgml"):
        c = to_score([("", "", s.pairs)], set()).total
        found[s.recording] = (c.ref, c.ref - c.sub - c.dele, c.sub, c.dele, c.ins)
    assert found == {f"sw_{i:04d}": counts for i, (_, _, counts) in enumerate(WORDS)}


def test_an_empty_ctm_is_all_deletions_but_for_optional_words(count):
    assert count(stm("WE ARE (UH) HERE"), "") == (1, 4, 1, 0, 3, 0)


def test_brackets_twice_stop_it(count):
    with pytest.raises(DataError, match=r"hubscr.pl stopped \(exit code 255\): Error: "):
        count(stm("((%HESITATION) SO"), ctm("so"))


def test_a_word_map_that_its_filter_cannot_read_is_told(sctk, tmp_path):
    """It goes on, and scores the filter's message as words."""
    (tmp_path / "small.glm").write_text(GLM.replace(";; The first", "# The first"))
    with pytest.raises(DataError, match=r"hubscr.pl: its filter cannot read the word map .*small.glm: \*ERR"):
        run_hubscr(sctk, tmp_path, HEAD + stm("SO"), ctm("so"), tmp_path / "small.glm")


def test_asides_are_scored_as_words(count):
    assert count(stm("<B_ASIDE> COME IN <E_ASIDE>"), ctm("come in")) == (1, 4, 2, 0, 2, 0)


def test_mended_references_pass(count, tmp_path):
    (tmp_path / "x.stm").write_text(HEAD + stm("<B_ASIDE> ((UH) COME IN <E_ASIDE>"))
    assert count(mended(read_stm(tmp_path / "x.stm"), "x.stm").text(), ctm("come in")) == (1, 3, 3, 0, 0, 0)


def test_a_side_that_is_missing_is_deleted(count):
    both = stm("SO WE GO") + line("sw_9002", "B", 1, 3, "<O,sw>", "YES (UH) NO")
    assert count(both, ctm("so we go")) == (2, 6, 4, 0, 2, 0)


@pytest.mark.parametrize("where", [{"call": "sw_9003"}, {"channel": "1"}])
def test_sides_that_the_reference_lacks_stop_it(count, where):
    with pytest.raises(DataError, match=r"hubscr.pl stopped"):
        count(stm("SO WE GO"), ctm("so we go") + ctm("yes", **where))


def test_the_order_of_lines_is_free(count):
    lines = ctm("so we go to the dog").splitlines(keepends=True)
    assert count(stm("SO WE GO TO THE DOG"), "".join(lines[::-1])) == (1, 6, 6, 0, 0, 0)


def test_a_tab_among_blanks_costs_errors_without_a_word(count):
    lines = ctm("so we go to").splitlines(keepends=True)
    lines[-1] = lines[-1].replace(" ", "\t")
    assert count(stm("SO WE GO TO"), "".join(lines)) == (1, 4, 3, 0, 1, 1)


def test_a_word_between_segments_counts_in_the_next_one(count):
    two = stm("SO WE GO") + line("sw_9002", "A", 4, 5, "<O,sw>", "YES")
    gap = "sw_9002 A 3.40 0.20 well\n"
    assert count(two, ctm("so we go") + gap + ctm("yes", start=4.0)) == (2, 4, 4, 0, 0, 1)


def test_ignored_segments_and_what_was_recognised_there_do_not_count(count):
    ignored = line("sw_9002", "A", 4, 5, "<O,sw>", "IGNORE_TIME_SEGMENT_IN_SCORING")
    assert count(stm("SO WE GO") + ignored, ctm("so we go") + ctm("yes", start=4.2)) == (1, 3, 3, 0, 0, 0)
