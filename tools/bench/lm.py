"""Memory and time of n-gram models of large text: text that is made (Zipf), counting, ARPA, pruning, graph.

    .venv/bin/python tools/bench/lm.py --words 80_000_000 --vocabulary 200_000 --min-counts 1,1,2 --work FOLDER
    .venv/bin/python tools/bench/lm.py --ngrams 20_000_000 --work FOLDER

The text is drawn from a bigram source: half of the words depend on the word before, so that n-grams repeat as they do
in text. Each step runs in a process of its own, of which CPU seconds, the largest resident memory (mapped files count),
the largest own memory (they do not), and the disk that is taken are told. With ``--ngrams`` models are made up, not
trained: two of half as many n-grams are mixed, and the mixture is pruned.
"""

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

BLOCK = 4_000_000
FOLLOWERS = 24  # words that often stand behind one


def make_text(path: Path, words: int, vocabulary: int, seed: int = 1) -> None:
    """Write gzipped text of about ``words`` words, with sentences of 20 words on the average."""
    rng = np.random.default_rng(seed)
    names = np.array([f"{_name(i)} " for i in range(vocabulary)], object)
    chance = 1.0 / (np.arange(vocabulary) + 2.7)
    cumulated = np.cumsum(chance / chance.sum())
    after = np.searchsorted(cumulated, rng.random((vocabulary, FOLLOWERS))).astype(np.int32)
    with gzip.open(path, "wb", 1) as file:
        for at in range(0, words, BLOCK):
            size = min(BLOCK, words - at)
            drawn = np.minimum(np.searchsorted(cumulated, rng.random(size)), vocabulary - 1)
            for _ in range(2):
                # A second time, so that chains of three and four words repeat, too.
                follows = np.flatnonzero(rng.random(size) < 0.5)
                follows = follows[follows > 0]
                which = (FOLLOWERS * rng.random(len(follows)) ** 3).astype(int)
                drawn[follows] = after[drawn[follows - 1], which]
            text = names[drawn]
            text[rng.random(size) < 0.05] += "\n"
            file.write("".join(text.tolist()).replace(" \n", "\n").encode())
        file.write(b"\n")


def make_arpa(path: Path, ngrams: int, vocabulary: int, seed: int) -> None:
    """Write a trigram model of about so many n-grams: each word is followed by some random ones, each pair by three."""
    rng = np.random.default_rng(seed)
    names = np.array(sorted(["<s>", "</s>", *map(_name, range(vocabulary))]), object)
    size, after = len(names), max(1, ngrams // 4 // vocabulary)
    begins = np.arange(size)[(names != "</s>")]
    last = np.flatnonzero(names != "<s>")
    pairs = np.unique(np.repeat(begins, after) * size + rng.choice(last, after * len(begins)))
    longer = pairs[names[pairs % size] != "</s>"]
    triples = np.unique(np.repeat(longer, 3) * size + rng.choice(last, 3 * len(longer)))
    with path.open("w", encoding="utf-8") as file:
        file.write(f"\\data\\\nngram 1={size}\nngram 2={len(pairs)}\nngram 3={len(triples)}\n\n\\1-grams:\n")
        file.writelines(f"{-99 if name == '<s>' else -np.log10(size):.5g}\t{name}\t-0.5\n" for name in names)
        for k, keys in ((2, pairs), (3, triples)):
            file.write(f"\n\\{k}-grams:\n")
            for at in range(0, len(keys), 1 << 18):
                piece, columns = keys[at : at + (1 << 18)], []
                probs = np.log10(rng.uniform(0.001, 0.9, len(piece)) / (after if k == 2 else 3))
                for _ in range(k):
                    piece, word = np.divmod(piece, size)
                    columns.insert(0, names[word])
                rows = zip(np.char.mod("%.5g", probs).tolist(), *columns, strict=True)
                end = "\t-0.5\n" if k == 2 else "\n"
                file.writelines(f"{prob}\t{' '.join(words)}{end}" for prob, *words in rows)
        file.write("\n\\end\\\n")


def _name(number: int) -> str:
    letters = ""
    number += 26
    while number:
        number, letter = divmod(number, 26)
        letters += chr(97 + letter)
    return letters


# GNU time would do, but is not everywhere, and does not tell mapped files from own memory.
WATCH = """
import resource, subprocess, sys
process, own = subprocess.Popen(sys.argv[1:]), 0
while True:
    try:
        process.wait(0.2)
        break
    except subprocess.TimeoutExpired:
        status = open(f"/proc/{process.pid}/status").read()
        own = max(own, int((status.partition("RssAnon:")[2] or "0").split()[0]))  # none of one that has just ended
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("MAXRSS", used.ru_maxrss, own, used.ru_utime + used.ru_stime, flush=True)
sys.exit(process.returncode)
"""


class Disk(threading.Thread):
    """Watches how much a folder takes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.most, self.done = folder, 0, threading.Event()

    def run(self) -> None:
        while not self.done.wait(2.0):
            total = 0
            for path, _, files in os.walk(self.folder):
                for name in files:
                    try:
                        total += os.stat(os.path.join(path, name)).st_size
                    except OSError:
                        continue
            self.most = max(self.most, total)


def measured(what: str, command: list[str], folder: Path) -> None:
    """Run a command, and print what it took."""
    disk = Disk(folder)
    disk.start()
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", WATCH, *command], stdout=subprocess.PIPE, text=True)
    disk.done.set()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak, own = next(map(int, x.split()[1:3]) for x in done.stdout.splitlines() if x.startswith("MAXRSS"))
    row = {
        "step": what,
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "wall_seconds": round(time.perf_counter() - began, 1),
        "memory_GB": round(peak / 1e6, 2),
        "own_GB": round(own / 1e6, 2),
        "folder_GB": round(disk.most / 1e9, 2),
        "exit": done.returncode,
    }
    print(json.dumps(row), flush=True)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=8_000_000)
    parser.add_argument("--vocabulary", type=int, default=200_000)
    parser.add_argument("--order", type=int, default=3)
    parser.add_argument("--min-counts", default="1,1,2")
    parser.add_argument("--memory", default="1.0")
    parser.add_argument("--ngrams", type=int, default=0, help="make models of so many n-grams up, in place of training")
    parser.add_argument("--prune", default="1e-8", help="0: no pruning")
    parser.add_argument("--graph", action="store_true", help="make the decoding graph of the pruned model, too")
    parser.add_argument("--work", required=True, help="folder for text and models; the text in it is used again")
    args = parser.parse_args()
    folder = Path(args.work)
    folder.mkdir(parents=True, exist_ok=True)
    asrpar = [sys.executable, "-m", "asrpar"]
    if args.ngrams:
        made_up(folder, args, asrpar)
        return
    text = folder / f"text.{args.words}.{args.vocabulary}.txt.gz"
    if not text.exists():
        began = time.process_time()
        make_text(text, args.words, args.vocabulary)
        print(json.dumps({"step": "text", "cpu_seconds": round(time.process_time() - began, 1)}), flush=True)
    print(json.dumps({"text_GB": round(text.stat().st_size / 1e9, 3), **vars(args)}), flush=True)
    train = [*asrpar, "train-lm", "--text", str(text), "--order", str(args.order), "--memory", args.memory]
    model = folder / "lm.arpa.gz"
    measured("train-lm", [*train, "--min-counts", args.min_counts, "--output", str(model)], folder)
    if float(args.prune):
        pruned = folder / "pruned.arpa.gz"
        measured(
            "prune-lm", [*asrpar, "prune-lm", "--lm", str(model), "--threshold", args.prune, "--output", str(pruned)],
            folder,
        )  # fmt: skip
    if args.graph:
        measured_graph(folder, pruned if float(args.prune) else model, args.vocabulary, asrpar)


def made_up(folder: Path, args: argparse.Namespace, asrpar: list[str]) -> None:
    """Mix and prune models that no text made."""
    models, mixed = [folder / f"{n}.{args.ngrams}.arpa" for n in range(2)], folder / "mixed.arpa"
    for number, path in enumerate(models):
        if not path.exists():
            make_arpa(path, args.ngrams // 2, args.vocabulary, number)
    given = [part for path in models for part in ("--lm", str(path))]
    measured("mix-lm", [*asrpar, "mix-lm", *given, "--weights", "0.4,0.6", "--output", str(mixed)], folder)
    pruned = ["--threshold", args.prune, "--output", str(folder / "pruned.arpa")]
    measured("prune-lm", [*asrpar, "prune-lm", "--lm", str(mixed), *pruned], folder)


def measured_graph(folder: Path, model: Path, vocabulary: int, asrpar: list[str]) -> None:
    """A language of letters, so that no lexicon is needed, and its decoding graph."""
    manifests = folder / "manifests"
    manifests.mkdir(exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    text = " ".join(letter + letters for letter in letters)
    said = {"id": "a", "recording_id": "a", "start": 0.0, "duration": 1.0, "channel": 0, "text": text}
    with gzip.open(manifests / "supervisions_train.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps(said) + "\n")
    (folder / "words").write_text("".join(f"{_name(i)}\n" for i in range(vocabulary)), encoding="utf-8")
    given = {"units": "characters", "lm.arpa": model.absolute(), "vocabulary.word_list": (folder / "words").absolute()}
    sets = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
    lang, graph = str(folder / "lang"), str(folder / "graph")
    measured("prepare-lang", [*asrpar, "prepare-lang", *sets, "--manifests", str(manifests), "--output", lang], folder)
    measured("make-graph", [*asrpar, "make-graph", "--lang", lang, "--output", graph], folder)


if __name__ == "__main__":
    main()
