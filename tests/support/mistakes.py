"""Command lines with a mistake in them, and ways to spoil a file; see `bad_input`."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import soundfile
import torch
from minidata import asrpar

PICKLE = "cos\nsystem\n(S'touch ran'\ntR."


def cut_off(path: Path, share: float = 0.5) -> Path:
    """Leave the first part of a file, as a full disk does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def spoil(path: Path) -> Path:
    """Turn some bytes in the middle of a file round, as a bad disk does; it keeps its length."""
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 100):
        data[at] ^= 0xFF
    path.write_bytes(data)
    return path


def edit(path: Path, change: Callable[[dict], object]) -> Path:
    """Change every record of a .jsonl.gz file in place."""
    records = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    for record in records:
        change(record)
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in records).encode()))
    return path


def first_lines(path: Path, count: int) -> Path:
    """Leave the first records of a .jsonl.gz file."""
    path.write_bytes(gzip.compress(b"".join(gzip.decompress(path.read_bytes()).splitlines(True)[:count])))
    return path


def synthesize(w, *settings):
    return ["synthesize", "--output", w.out, "--jobs", 1, *(f"--set={s}" for s in settings)]


def manifests(w, corpus, folder, output=None):
    return ["prepare-manifests", corpus, "--corpus-dir", folder, "--output", output or w.out]


def import_kaldi(w, folder, split="train"):
    return ["import-kaldi", folder, "--split", split, "--output", w.out]


def export_kaldi(w, split):
    made = w.here / "manifests"
    return ["export-kaldi", made if made.exists() else w.manifests, "--split", split, "--output", w.out]


def graph(w, lang, *settings):
    return ["make-graph", "--lang", lang, "--output", w.out, *(f"--set={s}" for s in settings)]


def score(w, **files):
    return ["score", "--exp", w.scored("exp", **files)]


def compared(w):
    for name in ("a", "b"):
        asrpar("score", "--exp", w.scored(name))
    return ["compare", w.here / "a", w.here / "b"]


def spoilt(w, change):
    """The corpus with one wav spoilt."""
    change(sorted(w.copy("corpus").glob("wav/train/*/*.wav"))[0])
    return w.here / "corpus"


def unlink(path):
    path.unlink()
    return path


def empty(path, instead=""):
    path.write_text(instead)
    return path


def without_last_line(path):
    return empty(path, "".join(path.read_text().splitlines(keepends=True)[:-1]))


def halve(path):
    samples, rate = soundfile.read(path)
    soundfile.write(path, samples[::2], rate // 2)


def copy(path, name):
    path.with_name(name).write_bytes(path.read_bytes())


def checkpoint(w):
    """The newest checkpoint of rank 0, in a copy of the experiment."""
    return max(w.copy("exp").glob("checkpoints/*/rank-0.pt"))


def keep_lines(w, count):
    return first_lines(w.copy("feats") / "cuts_train.jsonl.gz", count).parent


def short_arpa(w):
    return w.file("l.arpa", "\\data\\\nngram 1=2\n\\1-grams:\n-1 ONE\n")


def lose_audio(cut):
    cut["recording"]["sources"][0]["source"] = "nowhere.wav"


def be_a_command(cut):
    cut["recording"]["sources"][0].update(type="command", source="echo")


def mute(supervision):
    supervision["text"] = ""


def rare_word(cut):
    cut["supervisions"][0]["text"] = "XYLOPHONE"


def one_token_more(w):
    tokens = w.copy("graph") / "tokens.txt"
    tokens.write_text(tokens.read_text() + f"NEW {len(tokens.read_text().splitlines())}\n")
    return tokens.parent


def wide_features(w):
    asrpar(*w.features("--set", "fbank.num_filters=40", "--set", "speeds=[1.0]", "--splits", "train,dev,test"))
    return w.out


def on_fewer_utterances(w):
    """`asrpar train` goes on after its features were made anew, in the same place, of fewer utterances."""
    settings, feats = w.copy("exp") / "config.yaml", keep_lines(w, 3)
    settings.write_text(settings.read_text().replace(str(w.feats), str(feats)))
    return w.resume(data__feats=feats)


def all_too_long(w):
    """Features whose dev transcripts are too long for them."""
    return edit(w.copy("feats") / "cuts_dev.jsonl.gz", many_words).parent


def many_words(cut):
    cut["supervisions"][0]["text"] = "SEVEN " * 100


def renamed_unit(w):
    """The graph with its last unit under another name, as of a lexicon that was changed."""
    tokens = w.copy("graph") / "tokens.txt"
    units = [line.split()[0] for line in tokens.read_text().splitlines() if not line.startswith("#")]
    tokens.write_text(tokens.read_text().replace(f"{units[-1]} ", "QQ "))
    (tokens.parent / "files.sha256").unlink(missing_ok=True)
    return tokens.parent


def transcribe(w, audio, *options):
    return ["transcribe", "--exp", w.exp, "--output", w.out, "--set", "lm_scales=[1.0]", audio, *options]


def halved(w):
    """A recording at half of its sampling rate."""
    copied = spoilt(w, halve)
    return sorted(copied.glob("wav/train/*/*.wav"))[0]


def other_file(path):
    """Something else that torch has written."""
    torch.save({"x": torch.zeros(3)}, path)
    return path
