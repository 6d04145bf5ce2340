"""Published language models and lexicons; the whole chain on AN4."""

import os
import re
from pathlib import Path

import kaldifst
import numpy as np
import pytest
from languages import an4_texts, write_manifests

from asrpar.config import load_config
from asrpar.errors import DataError
from asrpar.graph.config import GraphConfig
from asrpar.graph.make import make_graph
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang
from asrpar.lang.lexicon import read_lexicon
from asrpar.lang.places import Places
from asrpar.lm.arpa import read_arpa
from asrpar.lm.prepare import prepare_lang

pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif(
        not os.environ.get("ASRPAR_CORPORA"),
        reason="ASRPAR_CORPORA is not set: it names the folder of the real corpora",
    ),
]
CORPORA = Path(os.environ.get("ASRPAR_CORPORA", ""))


@pytest.fixture(scope="module")
def an4(tmp_path_factory):
    """(LANG, GRAPH) with an4.dic and a bigram of the 848 training sentences."""
    folder = tmp_path_factory.mktemp("an4")
    train = [text for _, text in an4_texts(CORPORA, "train")[100:]]
    assert len(train) == 848
    config = load_config(
        LangConfig,
        None,
        ["unit_settings.phones.lexicon='{corpus_dir}/etc/an4.dic'", "vocabulary.from_lexicon=true", "lm.order=2"],
    )
    manifests = write_manifests(folder / "manifests", {"train": train})
    prepare_lang(config, manifests, folder / "lang", Places(str(CORPORA / "an4")))
    make_graph(GraphConfig(), folder / "lang", folder / "graph")
    return folder / "lang", folder / "graph"


PUBLISHED = [
    *(f"an4_full.{x}.lm" for x in ("bigram", "flat_unigram", "trigram", "unigram")),
    *(f"an4_words.{x}.lm" for x in ("bigram", "flat_unigram", "trigram", "unigram")),
    *(f"an4_spelling.{x}.lm" for x in ("flat_unigram", "unigram")),
    "an4_plus.trigram.lm",
    "an4_spelling_journey.trigram.lm",
    "an4.lm",
]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_arpa_files(name):
    path = CORPORA / "an4/etc" / name
    lm = read_arpa(path, "upper")
    counts = re.findall(r"^ngram (\d)=(\d+)", path.read_text(), re.MULTILINE)
    assert [(str(k), str(len(g))) for k, g in enumerate(lm.grams, 1)] == counts
    assert all(w == w.upper() for w in lm.words)
    # The programs of 1996 rounded to four digits and left some mass to words that are not listed.
    for history in [(), ("<s>",), *(h for h in list(lm.grams[0])[:10] if h != ("</s>",))]:
        assert (
            sum(10 ** lm.log10_prob(history, w) for w in [*lm.words, "</s>"]) < 1.02
            or lm.order == 1
            or name == "an4.lm"
        )


@pytest.mark.parametrize("name", ["an4_spelling.bigram.lm", "an4_spelling.trigram.lm"])
def test_published_arpa_files_in_which_no_sentence_can_end(name):
    with pytest.raises(DataError, match="</s> has no probability"):
        read_arpa(CORPORA / "an4/etc" / name, "upper")


def test_perplexities_of_an4():
    dev = [text.split() for _, text in an4_texts(CORPORA, "train")[:100]]
    perplexities = [
        read_arpa(CORPORA / f"an4/etc/an4_full.{x}.lm", "upper").perplexity(dev) for x in ("unigram", "bigram")
    ]
    assert 20 < perplexities[1] < perplexities[0] < 101


def test_yesno_arpa():
    lm = read_arpa(next((CORPORA / "yesno/lm").glob("*.arpabo")))
    assert {"YES", "NO"} <= set(lm.words)


def test_cmudict():
    lexicon = read_lexicon(CORPORA / "cmudict/cmudict.dict", case="upper", strip_stress=True)
    assert len(lexicon.by_word) > 120_000 and len(lexicon.tokens) == 39
    assert lexicon.first("AALBORG") == ("AO", "L", "B", "AO", "R", "G")
    assert [p.tokens for p in lexicon.by_word["THE"]] == [("DH", "AH"), ("DH", "IY")]


def test_an4_references_decode_to_themselves(an4):
    from kaldi_decoder import DecodableCtc, FasterDecoder, FasterDecoderOptions

    lang = Lang.load(an4[0])
    fst = kaldifst.StdVectorFst.read(str(an4[1] / "HLG.fst"))
    texts = [text for _, text in an4_texts(CORPORA, "test")]
    assert len(texts) == 130
    same = 0
    for text in texts:
        frames = [0]
        for i in lang.encode(text):
            frames += [i, 0]
        log_probs = np.full((len(frames), lang.num_tokens), -30.0, dtype=np.float32)
        log_probs[np.arange(len(frames)), frames] = 0.0
        decoder = FasterDecoder(fst, FasterDecoderOptions(max_active=7000, beam=20.0))
        decoder.decode(DecodableCtc(log_probs))
        _, _, words, _ = kaldifst.get_linear_symbol_sequence(decoder.get_best_path()[1])
        found = [lang.words[w] for w in words]
        # O and OH sound alike.
        assert lang.encode(" ".join(found)) == lang.encode(text)
        same += " ".join(found) == text
    assert same >= 128


def test_an4_both_files_agree(an4, searches):
    lang = Lang.load(an4[0])
    fst, k2 = searches[0](an4[1] / "HLG.fst"), searches[1](an4[1] / "HLG.pt")
    rng = np.random.default_rng(5)
    for num_frames in (0, 5, 12):
        frames = rng.normal(0.0, 3.0, (num_frames, lang.num_tokens)).tolist()
        (cost, words), (k2_cost, k2_words) = fst.best(frames), k2.best(frames)
        assert cost == pytest.approx(k2_cost, rel=1e-5, abs=1e-4) and words == k2_words


@pytest.mark.slow
def test_mini_librispeech_with_cmudict(tmp_path):
    texts = []
    for path in sorted((CORPORA / "mini_librispeech/LibriSpeech/train-clean-5").glob("*/*/*.trans.txt")):
        texts += [line.split(maxsplit=1)[1] for line in path.read_text().splitlines()]
    settings = [
        "unit_settings.phones.lexicon=cmudict.dict",
        "unit_settings.phones.case=upper",
        "unit_settings.phones.strip_stress=true",
        "oov.policy=unk",
        "lm.order=3",
    ]
    manifests = write_manifests(tmp_path / "manifests", {"train": texts})
    prepare_lang(
        load_config(LangConfig, None, settings), manifests, tmp_path / "lang", Places(str(CORPORA / "cmudict"))
    )
    make_graph(GraphConfig(), tmp_path / "lang", tmp_path / "graph")
    lang = Lang.load(tmp_path / "lang")
    assert lang.num_tokens == 41  # 39 phones, the unit of <UNK>, the blank
    assert all(lang.encode_variants(text) for text in texts)
    assert (tmp_path / "graph/HLG.pt").stat().st_size > 1_000_000
