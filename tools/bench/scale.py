"""What millions of cuts cost a training: memory of each rank, seconds to the first step, and to go on in mid-epoch.

It makes a FEATS folder of synthetic cuts that are as long as real ones (SWB-2000: a million utterances at three speeds,
7 s on average, 4,876 speakers, 30,000 words) but share few matrices, so that the disk bears it, and trains a small
model on them with `asrpar.train`'s own trainer, in processes of their own:

    python tools/bench/scale.py --cuts 3000000 --folder FOLDER --output scale.json
    python tools/bench/scale.py --cuts 3000000 --folder FOLDER --ranks 2 --output scale_2.json
    python tools/bench/scale.py --cuts 3000000 --folder FOLDER --loss frame_ce --output scale_ce.json

`start` begins an epoch and takes some steps, then stops by SIGUSR1 as a scheduler's time limit would make it; `resume`
goes on from there after the checkpoint's position has been moved to the middle of the epoch; `without_index` starts as
a folder of an earlier version does. ``--loss frame_ce`` leaves that out, and makes an ALI folder with a label for each
frame. Seconds count from the start of the process to the end of its first step. Peaks are the kernel's (VmHWM), which
count the pages of mapped files that processes share; `anonymous_mb` is a process's own.
Folders that are there already are used again.
"""

import argparse
import gzip
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from strategies import launch

from asrpar.config import load_config, save_config
from asrpar.feats.config import FeatureConfig
from asrpar.feats.stats import Moments, save_stats
from asrpar.feats.storages.shards import ShardWriter
from asrpar.feats.utterances import index_of, open_utterances, read_cuts
from asrpar.hmm.alignment_files import Aligned, writing_alignments
from asrpar.hmm.alignments import AlignmentInfo
from asrpar.hmm.phones import Phones
from asrpar.hmm.topologies.three_state import Settings, Topology
from asrpar.hmm.tree import Tree
from asrpar.info import versions
from asrpar.lang.lang import Lang
from asrpar.train.identity import summary

SPEEDS, DIMENSIONS, MATRICES, SPEAKERS, WORDS = (0.9, 1.0, 1.1), 40, 3000, 4876, 30000
STEPS = 5
SETTINGS = [
    "model=tdnn", "models.tdnn.channels=16", "models.tdnn.dilations=[1]", "autocast=none", "epochs=2",
    "batch.size=20000", "batch.cache_mb=100", "watchdog.timeout_seconds=0", "max_misfit_fraction=1",
]  # fmt: skip


def words(count: int = WORDS) -> list[str]:
    """Made-up words of two to four syllables."""
    rng = np.random.default_rng(0)
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(syllables, rng.integers(2, 5)))] = None
    return list(found)


def make_lang(folder: Path, vocabulary: list[str]) -> None:
    """LANG of phones, one a letter, through stage 3."""
    (folder / "manifests").mkdir(parents=True, exist_ok=True)
    (folder / "lexicon.txt").write_text("".join(f"{word} {' '.join(word)}\n" for word in vocabulary))
    with gzip.open(folder / "manifests" / "supervisions_train.jsonl.gz", "wt") as file:
        for first in range(0, len(vocabulary), 10):
            text = " ".join(vocabulary[first : first + 10])
            known = {"id": f"u{first}", "recording_id": "r", "start": 0.0, "duration": 5.0, "channel": 0, "text": text}
            file.write(json.dumps(known) + "\n")
    command = [
        sys.executable,
        "-m",
        "asrpar",
        "prepare-lang",
        "--set",
        f"unit_settings.phones.lexicon={folder}/lexicon.txt",
    ]
    command += ["--set", "lm.order=1", "--manifests", str(folder / "manifests"), "--output", str(folder / "lang")]
    subprocess.run(command, check=True)


def make_feats(folder: Path, cuts: int, vocabulary: list[str]) -> None:
    """FEATS with so many cuts in train, and 300 in dev."""
    (folder / "storage").mkdir(parents=True, exist_ok=True)
    config = FeatureConfig(
        fbank={"num_filters": DIMENSIONS, "sampling_rate": 8000}, storages={"shards": {"dtype": "float16"}}
    )
    save_config(config, folder / "feats.yaml")
    rng = np.random.default_rng(1)
    # Gamma: many short ones ("uh-huh"), few of more than 20 s.
    lengths = np.clip(rng.gamma(1.6, 450, MATRICES), 40, 3000).astype(int)
    for split in ("train", "dev"):
        shard = folder / "storage" / split / "00000.npy"
        shard.parent.mkdir(exist_ok=True)
        keys, moments = [], []
        with ShardWriter(shard, "float16") as writer:
            for number, frames in enumerate(lengths.tolist()):
                matrix = rng.standard_normal((frames, DIMENSIONS), np.float32)
                keys.append(writer.write(str(number), matrix))
                moments.append(Moments.of(matrix))
        save_stats(folder / "stats.pt", split, {"": sum(moments[1:], start=moments[0])})
        path = folder / f"cuts_{split}.jsonl.gz"
        with path.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, 0) as file:
            block = []
            for line in cut_lines(cuts if split == "train" else 300, vocabulary, lengths.tolist(), keys, str(shard)):
                block.append(line)
                if len(block) == 10000:
                    file.write("".join(block).encode())
                    block.clear()
            file.write("".join(block).encode())


def cut_lines(cuts, vocabulary, lengths, keys, shard):
    """Lines of a manifest as stage 2 writes them, sorted by id."""
    originals = -(-cuts // len(SPEEDS))
    rng = np.random.default_rng(2)
    counts = np.clip(rng.poisson(20, originals), 1, None).astype(np.int32)
    # Few words make most of a text.
    chosen = np.minimum(rng.zipf(1.3, int(counts.sum())) - 1, len(vocabulary) - 1).astype(np.int32)
    ends = np.cumsum(counts)
    left = cuts
    for speed in sorted(SPEEDS, key=lambda s: (s == 1.0, s)):
        prefix = "" if speed == 1.0 else f"sp{speed:g}-"
        for i in range(originals if left >= originals else left):
            left -= 1
            side = f"sw{i * SPEAKERS // originals // 2:05d}-{'AB'[i * SPEAKERS // originals % 2]}"
            name = f"{prefix}{side}_{i:07d}-{i + 700:07d}"
            place = (i * 7 + int(10 * speed)) % len(keys)
            frames = lengths[place]
            text = " ".join(
                [vocabulary[w] for w in chosen[ends[i] - counts[i] : ends[i]].tolist()][: max(1, frames // 40)]
            )
            seconds = round(frames / 100, 4)
            yield (
                f'{{"id": "{name}", "start": 12.34, "duration": {seconds}, "channel": 0, "supervisions": [{{"id": '
                f'"{name}", "recording_id": "{side[:-2]}", "start": 0.0, "duration": {seconds}, "channel": 0, "text": '
                f'"{text}", "speaker": "{side}"}}], "features": {{"type": "kaldi-fbank", "num_frames": {frames}, '
                f'"num_features": {DIMENSIONS}, "frame_shift": 0.01, "sampling_rate": 8000, "start": 12.34, '
                f'"duration": {seconds}, "storage_type": "asrpar_shard", "storage_path": "{shard}", '
                f'"storage_key": "{keys[place]}", '
                f'"recording_id": "{side[:-2]}", "channels": 0}}, "recording": {{"id": "{side[:-2]}", "sources": '
                f'[{{"type": "file", "channels": [0, 1], "source": "swb1/{side[:-2]}.sph"}}], "sampling_rate": '
                f'8000, "num_samples": 2400000, "duration": 300.0, "channel_ids": [0, 1]}}, "type": "MonoCut"}}\n'
            )


def make_ali(folder: Path) -> None:
    """ALI with labels of all cuts, each its own: pieces of one long row of random numbers."""
    lang = Lang.load(folder / "lang")
    tree = Tree.monophone(Phones.with_silence(lang.tokens[1:]), Topology(Settings()))
    labels = np.random.default_rng(3).integers(0, tree.num_pdfs, 1 << 22, np.int32)
    with writing_alignments(folder / "ali", tree, AlignmentInfo("made up")) as writer:
        for split in ("train", "dev"):
            utterances = open_utterances(folder / "feats" / f"cuts_{split}.jsonl.gz")
            with writer.split(split, summary(utterances)) as made:
                for number, (name, frames) in enumerate(zip(utterances.ids, utterances.num_frames, strict=True)):
                    first = number * 7919 % (len(labels) - int(frames))
                    made.add(Aligned(name, labels[first : first + int(frames)]))


def memory() -> dict[str, float]:
    """Of this process, in MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    kib = {name: int(lines[name].split()[0]) for name in ("VmHWM", "RssAnon")}
    return {"peak_mb": round(kib["VmHWM"] / 1024), "anonymous_mb": round(kib["RssAnon"] / 1024)}


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def train(args) -> None:
    """What one rank does: some steps, then a stop within the epoch; its figures go to ``args.train``.RANK."""
    from asrpar.parallel.comm import world
    from asrpar.parallel.strategies import STRATEGIES
    from asrpar.train.config import TrainConfig
    from asrpar.train.trainer import Trainer

    torch.set_num_threads(1)
    told = {"imports_seconds": time.time() - args.begun}
    folder, comm = args.folder, world()
    strategy = "single" if comm.size == 1 else "ssgd"
    places = [
        f"exp={folder}/exp_{comm.size}",
        f"data.feats={folder}/feats",
        f"data.lang={folder}/lang",
        f"strategy={strategy}",
    ]
    if args.loss == "frame_ce":
        places += ["loss=frame_ce", f"data.ali={folder}/ali"]
    config = load_config(TrainConfig, None, [*SETTINGS, *places])
    (Path(config.exp) / "log").mkdir(parents=True, exist_ok=True)

    class Some(Trainer):
        """Stops after some steps."""

        first_steps = 0

        def count(self, batch):
            super().count(batch)
            self.first_steps += 1
            if self.first_steps == 1:
                told.update(first_step_seconds=time.time() - args.begun, first_step_cpu=cpu_seconds(), step=batch.step)
                told.update(steps_of_epoch=self.loader.steps(0))
            if self.first_steps == STEPS:
                os.kill(os.getpid(), signal.SIGUSR1)

    trainer = Some(config, STRATEGIES.of(config), comm)
    told.update(opened_seconds=time.time() - args.begun, opened_cpu=cpu_seconds())
    with trainer.watchdog:
        trainer.begin()
        result = trainer.run()
    told.update(utterances=len(trainer.loader.store.utterances), stopped=result.stopped, **memory())
    args.train.with_name(f"{args.train.name}.{comm.rank}").write_text(json.dumps(told))


def to_the_middle(exp: Path) -> int:
    """Move the newest checkpoint's position to the middle of its epoch; returns the step."""
    newest = max((exp / "checkpoints").glob("epoch-*"))
    for path in newest.glob("rank-*.pt"):
        state = torch.load(path, weights_only=True)
        steps = json.loads((exp / "steps").read_text())
        state["position"]["step"] = state["position"]["steps"] = steps // 2
        torch.save(state, path)
    newest.rename(newest.with_name(f"epoch-0000-step-{steps // 2:08d}"))
    return steps // 2


def measured(args, name: str) -> list[dict]:
    """Figures of each rank of one training."""
    told = args.folder / f"told_{name}"
    command = [sys.executable, "-m", "mpi4py", __file__, "--folder", str(args.folder), "--ranks", str(args.ranks)]
    command += ["--loss", args.loss]
    for old in args.folder.glob(f"{told.name}.*"):
        old.unlink()
    subprocess.run([*command, "--train", str(told)], check=True)
    found = [json.loads(path.read_text()) for path in sorted(args.folder.glob(f"{told.name}.*"))]
    for rank, one in enumerate(found):
        print(f"{name}, rank {rank}: {json.dumps(one)}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=3000000)
    parser.add_argument("--words", type=int, default=WORDS, help="of the vocabulary (%(default)s)")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--loss", choices=["ctc", "frame_ce"], default="ctc")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--begun", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.folder = args.folder.resolve()
    if args.train is not None:
        if args.begun is None:
            sys.argv += ["--begun", str(time.time())]
            if args.ranks > 1:
                sys.exit(launch(args.ranks, __file__))
            os.execv(sys.executable, [sys.executable, "-m", "mpi4py", *sys.argv])
        train(args)
        return
    feats, told = args.folder / "feats", {name: getattr(args, name) for name in ("cuts", "ranks", "loss")}
    told["versions"] = versions()
    begun = time.time(), cpu_seconds()
    if not (feats / "made").exists():
        vocabulary = words(args.words)
        make_lang(args.folder, vocabulary)
        make_feats(feats, args.cuts, vocabulary)
        (feats / "made").touch()
        told["making_seconds"] = time.time() - begun[0]
    for split in ("dev", "train"):
        cuts = feats / f"cuts_{split}.jsonl.gz"
        if not index_of(cuts).exists():
            begun = time.time(), cpu_seconds()
            read_cuts(cuts).write(index_of(cuts), cuts)
            told["index"] = {"seconds": time.time() - begun[0], "cpu": cpu_seconds() - begun[1], **memory()}
            print(f"index of {split}: {told['index']}", flush=True)
    if args.loss == "frame_ce" and not (args.folder / "ali").exists():
        begun = time.time(), cpu_seconds()
        make_ali(args.folder)
        told["ali"] = {"seconds": time.time() - begun[0], "cpu": cpu_seconds() - begun[1], **memory()}
        print(f"labels: {told['ali']}", flush=True)
    told["cuts_mb"] = round((feats / "cuts_train.jsonl.gz").stat().st_size / 2**20)
    told["index_mb"] = round(index_of(feats / "cuts_train.jsonl.gz").stat().st_size / 2**20)
    exp = args.folder / f"exp_{args.ranks}"
    shutil.rmtree(exp, ignore_errors=True)
    told["start"] = measured(args, "start")
    (exp / "steps").write_text(str(told["start"][0]["steps_of_epoch"]))
    told["middle"] = to_the_middle(exp)
    told["resume"] = measured(args, "resume")
    if args.loss == "ctc":
        told["without_index"] = without_index(args, feats, exp)
    if args.output:
        args.output.write_text(json.dumps(told, indent=2) + "\n")


def without_index(args, feats: Path, exp: Path) -> list[dict]:
    """Figures of a training that reads the cuts."""
    index, aside = index_of(feats / "cuts_train.jsonl.gz"), feats / "index_aside.npz"
    index.rename(aside)
    shutil.rmtree(exp)
    try:
        return measured(args, "without_index")
    finally:
        aside.rename(index)


if __name__ == "__main__":
    main()
