import itertools
import math
import random

import kaldifst
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lm import estimate_ngram

from asrpar.errors import DataError
from asrpar.graph.compose import compose_hlg, compose_lg, graph_size, openfst
from asrpar.graph.fsts import grammar_fst, lexicon_fst
from asrpar.graph.k2dict import k2_dict
from asrpar.hmm.topologies import ctc, ctc_modified
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang
from asrpar.lang.lexicon import Lexicon, Pronunciation
from asrpar.lm.arpa import read_arpa

INF = float("inf")
CTC = ctc.Topology(ctc.Settings())


def parses(lang, units):
    """All ways to read a sequence of units as words: (words, sum of -ln of pronunciation probabilities)."""
    if not units:
        yield (), 0.0
    for word, prob, tokens in lang.lexicon.entries:
        if units[: len(tokens)] == tokens:
            for words, cost in parses(lang, units[len(tokens) :]):
                yield (word, *words), cost - math.log(prob)


def graph_lm_cost(lm, words):
    """-ln P(words </s>) where, as in any graph with back-off arcs, one may back off although the n-gram is listed.

    A listed n-gram is at least as likely as backing off, but the shorter history may suit the next word better.
    """

    def best(history, rest):
        if not rest:
            return 0.0
        history = history[max(0, len(history) - lm.order + 1) :] if lm.order > 1 else ()
        costs = []
        listed = lm.grams[len(history)].get((*history, rest[0]))
        if listed:
            costs.append(-listed[0] * math.log(10) + best((*history, rest[0]), rest[1:]))
        if history:
            backoff = lm.grams[len(history) - 1].get(history, (0.0, 0.0))[1]
            costs.append(-backoff * math.log(10) + best(history[1:], rest))
        return min(costs)

    return best(("<s>",), (*words, "</s>"))


def by_hand(lang, lm, units):
    """Least cost and words over all readings: pronunciations and LM."""
    return min(
        ((cost + graph_lm_cost(lm, words), words) for words, cost in parses(lang, tuple(units))), default=(INF, ())
    )


def cost_of_words(lang, lm, units, words):
    """Least cost of the readings as these words."""
    return min((c for w, c in parses(lang, tuple(units)) if w == words), default=INF) + graph_lm_cost(lm, words)


def frames_of(ids, rng):
    """A CTC path of the units: repeats and blanks at random, a blank between equal neighbours."""
    frames, last = [0] * rng.randint(0, 2), None
    for i in ids:
        if i == last:
            frames.append(0)
        frames += [i] * rng.randint(1, 3) + [0] * rng.randint(0, 2)
        last = i if frames[-1] == i else None
    return frames


def collapse(frames):
    return [k for k, _ in itertools.groupby(frames) if k]


def build(entries, sentences, order, silence=None):
    config = LangConfig()
    config.optional_silence.symbol = silence
    lexicon = Lexicon(sorted(Pronunciation(w, p, tuple(t)) for w, p, t in entries))
    tokens = ["<blk>", *sorted(set(lexicon.tokens) | ({silence} if silence else set()))]
    lang = Lang(tokens, ["<eps>", *sorted(lexicon.by_word), "#0", "<s>", "</s>"], lexicon, config)
    lm = estimate_ngram(sentences, order, lexicon.by_word)
    g, dropped = grammar_fst(lm, {w: i for i, w in enumerate(lang.words)})
    assert not dropped
    return lang, lm, compose_hlg(CTC, compose_lg(lexicon_fst(lang), g, lang.num_tokens))


def test_costs_by_hand(small, searches, one_hot):
    lang, graph = Lang.load(small[0]), small[1]
    lm = read_arpa(small[0] / "lm.arpa")
    engines = [searches[0](graph / "HLG.fst"), searches[1](graph / "HLG.pt")]
    rng = random.Random(1)
    words = sorted(lang.lexicon.by_word)
    for _ in range(60):
        sentence = rng.choices(words, k=rng.randint(0, 5))
        units = [u for w in sentence for u in rng.choice(lang.lexicon.by_word[w]).tokens]
        frames = frames_of([lang.token_id(u) for u in units], rng)
        cost, _ = by_hand(lang, lm, units)
        assert cost < INF
        for engine in engines:
            found, ids = engine.best(one_hot(frames, lang.num_tokens))
            assert found == pytest.approx(cost, abs=2e-3), (sentence, frames)
            # Words that sound alike may have equal costs, so the words themselves are not determined.
            words_found = tuple(lang.words[i] for i in ids)
            assert cost_of_words(lang, lm, units, words_found) == pytest.approx(cost, abs=2e-3)


def test_a_sentence_by_hand(small, searches, one_hot):
    # "A TEN" as T IH N: the LM's probabilities from the ARPA file, 0.25 and 0.3 from the lexicon.
    lang, lm = Lang.load(small[0]), read_arpa(small[0] / "lm.arpa")
    p = lm.log10_prob(["<s>"], "A") + lm.log10_prob(["<s>", "A"], "TEN") + lm.log10_prob(["A", "TEN"], "</s>")
    cost = -(p * math.log(10) + math.log(0.25) + math.log(0.3))
    frames = [lang.token_id(u) for u in ("AH", "T", "IH", "IH", "N")]
    for engine in (searches[0](small[1] / "HLG.fst"), searches[1](small[1] / "HLG.pt")):
        found, ids = engine.best(one_hot(frames, lang.num_tokens))
        assert found == pytest.approx(cost, abs=1e-3)
        assert [lang.words[i] for i in ids] == ["A", "TEN"]


def test_random_frames_agree(small, searches):
    lang = Lang.load(small[0])
    fst, k2 = searches[0](small[1] / "HLG.fst"), searches[1](small[1] / "HLG.pt")
    rng = random.Random(2)
    lengths = []
    for _ in range(40):
        scale = rng.choice([0.5, 2.0, 8.0])
        frames = [[rng.gauss(0.0, scale) for _ in lang.tokens] for _ in range(rng.randint(0, 15))]
        (cost, words), (k2_cost, k2_words) = fst.best(frames), k2.best(frames)
        assert cost == pytest.approx(k2_cost, rel=1e-5, abs=1e-4)
        assert words == k2_words
        lengths.append(len(words))
    assert max(lengths) > 4


def test_k2_dictionary_form(small):
    graph = torch.load(small[1] / "HLG.pt", weights_only=True)
    arcs, aux = graph["arcs"], graph["aux_labels"]
    assert set(graph) == {"arcs", "aux_labels"}
    assert arcs.dtype == aux.dtype == torch.int32 and arcs.shape == (len(aux), 4) and arcs.is_contiguous()
    src, dst, label = arcs[:, 0], arcs[:, 1], arcs[:, 2]
    final = int(dst.max())
    assert int(src.max()) == final - 1
    assert torch.equal(label == -1, dst == final) and torch.equal(label == -1, aux == -1)
    assert bool((src[1:] >= src[:-1]).all())
    # Sorted like k2 does: labels as unsigned, so -1 is last.
    keys = list(zip(src.tolist(), [x % 2**32 for x in label.tolist()], dst.tolist(), strict=True))
    assert keys == sorted(keys)
    assert int(label.max()) < Lang.load(small[0]).num_tokens
    assert set(src.tolist()) == set(range(final))


def test_openfst_form(small):
    lang = Lang.load(small[0])
    fst = kaldifst.StdVectorFst.read(str(small[1] / "HLG.fst"))
    arcs = [a for s in kaldifst.StateIterator(fst) for a in kaldifst.ArcIterator(fst, s)]
    assert max(a.ilabel for a in arcs) <= lang.num_tokens
    assert {a.olabel for a in arcs} == set(range(lang.words.index("#0")))
    assert any(a.ilabel == 0 for a in arcs)  # back-off


units = st.lists(st.sampled_from("abc"), min_size=1, max_size=3)
entries = st.lists(st.tuples(st.sampled_from("VWXYZ"), st.sampled_from([1.0, 0.5]), units), min_size=1, max_size=7)


@settings(max_examples=60, deadline=None)
@given(entries, st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=5), st.integers(1, 3), st.data())
def test_any_lexicon(searches, one_hot, entries, sentences, order, data):
    best = {}
    for word, prob, tokens in entries:
        key = word, tuple(tokens)
        best[key] = max(prob, best.get(key, 0.0))
    entries = [(w, p, t) for (w, t), p in best.items()]
    known = sorted({w for w, _, _ in entries})
    lang, lm, hlg = build(entries, [[known[i % len(known)] for i in s] for s in sentences], order)
    fst, k2 = searches[0](hlg), searches[1](k2_dict(hlg))
    rng = random.Random(data.draw(st.integers(0, 1000)))
    for _ in range(3):
        sentence = rng.choices(entries, k=rng.randint(0, 3))
        # Sometimes a sequence that no words have.
        units = [u for _, _, t in sentence for u in t] if rng.random() < 0.8 else rng.choices("abc", k=3)
        units = [u for u in units if u in lang.tokens]
        cost, _ = by_hand(lang, lm, units)
        rows = one_hot(frames_of([lang.token_id(u) for u in units], rng), lang.num_tokens)
        (found, words), (k2_found, k2_words) = fst.best(rows), k2.best(rows)
        assert found == pytest.approx(cost, abs=2e-3)
        assert k2_found == pytest.approx(cost, abs=2e-3)
        for ids in (words, k2_words):
            found_words = tuple(lang.words[i] for i in ids)
            assert cost == INF or cost_of_words(lang, lm, units, found_words) == pytest.approx(cost, abs=2e-3)


def test_optional_silence(searches, one_hot):
    lang, lm, hlg = build([("A", 1.0, "a"), ("B", 1.0, "b"), ("S", 1.0, "s")], [["A", "B"], ["S"]], 2, silence="s")
    fst, k2 = searches[0](hlg), searches[1](k2_dict(hlg))
    base = -lm.sentence_log_prob(["A", "B"])
    for units, extra in (("ab", 3 * math.log(2)), ("sab", 3 * math.log(2)), ("sasbs", 3 * math.log(2))):
        rows = one_hot([lang.token_id(u) for u in units], lang.num_tokens)
        for engine in (fst, k2):
            cost, ids = engine.best(rows)
            assert cost == pytest.approx(base + extra, abs=1e-3)
            assert [lang.words[i] for i in ids] == ["A", "B"]


def test_no_repeat_without_blank(searches, one_hot):
    _, _, hlg = build([("A", 1.0, "a")], [["A", "A"], ["A"]], 2)
    fst = searches[0](hlg)
    for frames, count in (([1, 1, 1], 1), ([1, 0, 1], 2), ([0, 1, 0, 0, 1, 1, 0], 2), ([0], 0)):
        assert len(fst.best(one_hot(frames, 2))[1]) == count == len(collapse(frames))


def test_the_modified_topology_allows_all_that_ctc_does(small, searches, one_hot):
    lang = Lang.load(small[0])
    lm = read_arpa(small[0] / "lm.arpa")
    l, (g, _) = lexicon_fst(lang), grammar_fst(lm, {w: i for i, w in enumerate(lang.words)})
    hlg = compose_hlg(ctc_modified.Topology(ctc_modified.Settings()), compose_lg(l, g, lang.num_tokens))
    modified, k2, ctc = searches[0](hlg), searches[1](k2_dict(hlg)), searches[0](small[1] / "HLG.fst")
    rng = random.Random(2)
    for frames in range(7):
        x = [[rng.gauss(0.0, 3.0) for _ in range(lang.num_tokens)] for _ in range(frames)]
        cost = modified.best(x)[0]
        assert cost <= ctc.best(x)[0] + 1e-4 and k2.best(x)[0] == pytest.approx(cost, abs=1e-3)
    # Where blanks part the units, both read the same, at the same cost.
    ids = lang.encode("THE TEN TO TWO")
    x = one_hot([i for unit in ids for i in (unit, unit, 0)], lang.num_tokens)
    assert modified.best(x)[0] == pytest.approx(ctc.best(x)[0], abs=1e-3)


def test_words_outside_the_table_are_left_out():
    lm = estimate_ngram([["A", "B"], ["A"]], 2)
    g, dropped = grammar_fst(lm, {"<eps>": 0, "A": 1, "#0": 2, "<s>": 3, "</s>": 4})
    assert dropped == 3  # B; A B; B </s>
    assert graph_size(g)[0] == 3  # (), <s>, A


def test_backing_off_costs_also_where_only_words_outside_the_table_follow(searches, one_hot, tmp_path):
    (tmp_path / "x.arpa").write_text(
        "\\data\\\nngram 1=5\nngram 2=3\nngram 3=1\n\n"
        "\\1-grams:\n-9\t<s>\t-0.3\n-1.0\t</s>\n-0.5\tA\t-0.7\n-0.6\tB\n-0.8\tC\t-0.2\n\n"
        "\\2-grams:\n-0.1\tA\tC\t-0.4\n-0.2\t<s>\tC\n-0.3\tB\tA\t-0.9\n\n"
        "\\3-grams:\n-0.1\tB\tA\tC\n\n\\end\\\n"
    )
    lm = read_arpa(tmp_path / "x.arpa")
    lexicon = Lexicon([Pronunciation("A", 1.0, ("a",)), Pronunciation("B", 1.0, ("b",))])
    lang = Lang(["<blk>", "a", "b"], ["<eps>", "A", "B", "#0", "<s>", "</s>"], lexicon, LangConfig())
    g, dropped = grammar_fst(lm, {w: i for i, w in enumerate(lang.words)})
    assert dropped == 4  # C; A C; <s> C; B A C
    fst = searches[0](compose_hlg(CTC, compose_lg(lexicon_fst(lang), g, lang.num_tokens)))
    for words in ("", "A", "B", "A A", "B A", "B A B", "A B B A"):
        units = [lang.token_id(word.lower()) for word in words.split()]
        cost = fst.best(one_hot(frames_of(units, random.Random(1)), lang.num_tokens))[0]
        assert cost == pytest.approx(graph_lm_cost(lm, tuple(words.split())), abs=1e-3), words
        if "B A" not in words:  # which is listed, and costs more than to back off
            assert cost == pytest.approx(-lm.sentence_log_prob(words.split()), abs=1e-3), words


def chain(*arcs, final):
    fst = kaldifst.StdVectorFst()
    for _ in range(final + 1):
        fst.add_state()
    fst.start = 0
    fst.set_final(final, 0.5)
    for s, i, o, w, d in arcs:
        fst.add_arc(s, kaldifst.StdArc(i, o, w, d))
    return fst


def test_k2_epsilons_at_the_start_and_before_the_end(searches):
    fst = chain((0, 0, 7, 1.0, 1), (1, 2, 0, 2.0, 2), (2, 0, 8, 0.25, 3), (2, 0, 0, 4.0, 3), final=3)
    k2 = searches[1](k2_dict(chain((0, 0, 7, 1.0, 1), (1, 2, 0, 2.0, 2), (2, 0, 0, 4.0, 3), final=3)))
    assert k2.best([[-INF, 0.0]]) == (7.5, (7,))
    with pytest.raises(DataError, match="two words"):
        k2_dict(fst)


def test_k2_conversion_mistakes():
    with pytest.raises(DataError, match="empty"):
        k2_dict(kaldifst.StdVectorFst())
    with pytest.raises(DataError, match="cycle that takes no frames"):
        k2_dict(chain((0, 1, 1, 0.0, 1), (1, 0, 0, 0.0, 2), (2, 0, 0, 0.0, 1), final=2))


@pytest.mark.k2
def test_k2_reads_it(small, searches):
    k2 = pytest.importorskip("k2", reason="k2 is not installed or not usable", exc_type=ImportError)
    lang = Lang.load(small[0])
    fsa = k2.Fsa.from_dict(torch.load(small[1] / "HLG.pt", weights_only=True))
    assert "ArcSorted" in fsa.properties_str and "EpsilonFree" not in fsa.properties_str  # label 0 is the blank
    again = fsa.as_dict()
    for name, tensor in torch.load(small[1] / "HLG.pt", weights_only=True).items():
        assert torch.equal(again[name], tensor)
    engine = searches[0](small[1] / "HLG.fst")
    torch.manual_seed(3)
    for num_frames in (3, 9, 20):
        log_probs = torch.randn(1, num_frames, lang.num_tokens).mul(3).log_softmax(-1)
        segments = torch.tensor([[0, 0, num_frames]], dtype=torch.int32)
        dense = k2.DenseFsaVec(log_probs, segments)
        lattice = k2.intersect_dense_pruned(k2.create_fsa_vec([fsa]), dense, 1000.0, 1000.0, 1, 1_000_000)
        best = k2.shortest_path(lattice, use_double_scores=True)
        cost, words = engine.best(log_probs[0].tolist())
        assert -float(best.get_tot_scores(True, False)[0]) == pytest.approx(cost, abs=1e-3)
        assert tuple(w for w in best.aux_labels.tolist() if w > 0) == words


def test_what_openfst_says_is_one_line():
    said = "^LANG: OpenFst cannot make a graph of it: Not a functional FST$"
    with pytest.raises(DataError, match=said), openfst("LANG"):
        raise RuntimeError("/src/det.h:void Determinize():226\n[E] Not a functional FST\n")


def test_too_many_states():
    lang, lm, _ = build([("A", 1.0, "ab"), ("B", 1.0, "ba")], [["A", "B"], ["B"]], 2)
    g, _ = grammar_fst(lm, {w: i for i, w in enumerate(lang.words)})
    with pytest.raises(DataError, match=r"more than 2 states .* raise max_states"):
        compose_lg(lexicon_fst(lang), g, lang.num_tokens, 2)
