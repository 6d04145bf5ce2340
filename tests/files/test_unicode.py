"""One normal form (NFC) wherever text comes in, so that a letter written in two ways is one letter."""

import gzip
import json
import unicodedata

import pytest
from lhotse import Recording, SupervisionSegment

from asrpar.config import load_config
from asrpar.corpus.manifests import Split, read_split, write_manifests
from asrpar.corpus.text import upper_words
from asrpar.feats.utterances import read_cuts
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang
from asrpar.lang.places import Places
from asrpar.lm.arpa import read_arpa
from asrpar.lm.prepare import prepare_lang
from asrpar.score.trn import read_transcripts
from asrpar.score.wer import score

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café Việt") for form in ("NFC", "NFD"))
assert COMPOSED != DECOMPOSED


@pytest.fixture
def manifests(tmp_path):
    """One training utterance whose transcript is decomposed, as a program other than ours may have written it."""
    record = {"id": "a", "recording_id": "r", "start": 0.0, "duration": 1.0, "channel": 0, "text": DECOMPOSED}
    for escaped in (True, False):
        with gzip.open(tmp_path / "supervisions_train.jsonl.gz", "at", encoding="utf-8") as f:
            f.write(json.dumps(record, ensure_ascii=escaped) + "\n")
    return tmp_path


def make_lang(folder, *settings):
    prepare_lang(load_config(LangConfig, None, settings), folder, folder / "lang", Places(str(folder)))
    return Lang.load(folder / "lang")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_transcripts_lexicon_and_language_model_meet(manifests, form):
    lexicon, extra = "café k a\u0308\nViệt v\nthé t\n", "thé café\n"
    for name, text in (("lexicon.txt", lexicon), ("extra.txt", extra), ("words", "thé\n")):
        (manifests / name).write_text(unicodedata.normalize(form, text), encoding="utf-8")
    settings = (
        "unit_settings.phones.lexicon=lexicon.txt",
        "lm.text=extra.txt",
        "vocabulary.word_list=words",
        "lm.order=1",
    )
    lang = make_lang(manifests, *settings)
    assert lang.words[1:-3] == ["Việt", "café", "thé"] and lang.tokens[1:] == ["k", "t", "v", "ä"]
    for text in (COMPOSED, DECOMPOSED):
        assert lang.encode(text) == [1, 4, 3] and lang.encode_variants(text) == [[1, 4, 3]]
    arpa = manifests / "lang" / "lm.arpa"
    arpa.write_text(unicodedata.normalize(form, arpa.read_text()))
    assert sorted(read_arpa(arpa).words) == ["Việt", "café", "thé"]


def test_words_of_the_settings_are_composed(manifests):
    (manifests / "lexicon.txt").write_text("café k\n", encoding="utf-8")
    word = unicodedata.normalize("NFD", "<ÉTRANGER>")
    lang = make_lang(manifests, "unit_settings.phones.lexicon=lexicon.txt", "oov.policy=unk", f"oov.word={word}")
    assert lang.words[lang.word_id("Việt")] == unicodedata.normalize("NFC", word)


@pytest.mark.parametrize(
    "settings", [("units=characters",), ("units=sentencepiece", "unit_settings.sentencepiece.vocab_size=10")]
)
def test_units_are_of_the_composed_text(manifests, settings):
    lang = make_lang(manifests, *settings)
    assert "é" in lang.tokens and not [t for t in lang.tokens if unicodedata.normalize("NFC", t) != t]
    assert lang.encode(DECOMPOSED) == lang.encode(COMPOSED)
    assert lang.decode_tokens(lang.encode(DECOMPOSED)) == COMPOSED.split()


def test_manifests_and_features_hold_composed_text(tmp_path):
    supervision = SupervisionSegment("a", "r", 0, 1.0, text=DECOMPOSED, speaker="a")
    write_manifests(tmp_path, {"train": Split([Recording("r", [], 8000, 8000, 1.0)], [supervision])})
    assert read_split(tmp_path, "train").supervisions[0].text == COMPOSED
    features = {"num_frames": 9, "num_features": 2, "storage_type": "t", "storage_path": "p", "storage_key": "k"}
    cut = {"id": "a", "features": features, "supervisions": [{"text": DECOMPOSED}]}
    with gzip.open(tmp_path / "cuts.jsonl.gz", "wt") as f:
        f.write(json.dumps(cut))
    assert read_cuts(tmp_path / "cuts.jsonl.gz")[0].text == COMPOSED


def test_references_and_hypotheses_meet(tmp_path):
    (tmp_path / "ref.trn").write_text(f"{COMPOSED} (a-1)\n", encoding="utf-8")
    (tmp_path / "hyp").write_text(f"a-1 {DECOMPOSED}\n", encoding="utf-8")
    assert score(read_transcripts(tmp_path / "ref.trn"), read_transcripts(tmp_path / "hyp")).total.errors == 0


def test_case_mapping_leaves_text_composed():
    # The capital of this letter is three characters, of which two have one of their own.
    assert upper_words("\u0390", r"\w\u0301") == "\u03aa\u0301"


def test_compatibility_forms_stay_as_they_are(tmp_path):
    (tmp_path / "t").write_text("a-1 Ａ ﬁ ①\n", encoding="utf-8")
    assert read_transcripts(tmp_path / "t") == {"a-1": ["Ａ", "ﬁ", "①"]}
