"""Small languages for tests: manifests with nothing but transcripts, and LANG folders made of them."""

import gzip
import json
import re

from asrpar.config import load_config
from asrpar.lang.config import LangConfig
from asrpar.lang.lang import Lang
from asrpar.lang.places import Places
from asrpar.lang.units import UNITS
from asrpar.lm.prepare import prepare_lang

LEXICON = "A AH\nCAT K AE T\nDOG D AO G\nTHE DH AH\nTHE DH IY\nX EH K S\nZEBRA Z IY B R AH\n"


def write_manifests(folder, splits):
    """MANIFESTS of one split per item: a list of transcripts."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, texts in splits.items():
        with gzip.open(folder / f"supervisions_{split}.jsonl.gz", "wt", encoding="utf-8") as f:
            for i, text in enumerate(texts):
                times = {"start": 0.0, "duration": 1.0, "channel": 0}
                f.write(json.dumps({"id": f"{split}-{i}", "recording_id": f"r{i}", **times, "text": text}) + "\n")
    return folder


def make_lang(folder, texts, dev=(), **settings):
    """FOLDER/lang of these transcripts and `LEXICON`; settings as 'section__key', those of units as 'phones__key'."""
    (folder / "lexicon.txt").write_text(LEXICON)
    manifests = write_manifests(folder / "manifests", {"train": texts, "dev": dev})
    given = {"phones__lexicon": "lexicon.txt", **settings}
    dots = [f"{'unit_settings.' * (k.split('__')[0] in UNITS)}{k.replace('__', '.')}={v}" for k, v in given.items()]
    prepare_lang(load_config(LangConfig, None, dots), manifests, folder / "lang", Places(str(folder)))
    return Lang.load(folder / "lang")


def an4_texts(corpora, split):
    """(speaker-prefixed id, text) of AN4's transcripts, sorted by id."""
    rows = []
    for line in (corpora / f"an4/etc/an4_{split}.transcription").read_text().splitlines():
        text, name = re.fullmatch(r"(.*) \((\S+)\)", line.strip()).groups()
        words = [w for w in text.split() if w not in ("<s>", "</s>")]
        rows.append((f"{name.split('-')[1]}-{name}", " ".join(words)))
    return sorted(rows)
