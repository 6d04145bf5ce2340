"""The papers' BLSTM on windows: frames/s and memory of our trainer against a loop written by hand.

The model is that of Zhang et al. 2019 and Cui et al. 2020 (``egs/papers/models/cui2020_blstm.yaml``: 260 features, 6
layers of 512 cells a direction, bottleneck 256, 32,000 classes), trained with cross-entropy on made-up windows of 21
frames. By hand: one ``nn.LSTM`` of all layers and both directions, which cuDNN takes whole, torch's cross-entropy, SGD
on the module's own parameters; no flat vectors, no logs, no checks. Ours: `asrpar.train.trainer.Trainer` as
``asrpar train --strategy single`` runs it, but for reading features. Both run in this process in alternation, on CPUs
in seconds of the processor, so that the machine's moods meet both alike; the ratio is the median over the repeats.
Memory is the highest of a process of its own (on GPUs: of what torch had allocated), a first step and two more.

    python tools/bench/blstm.py --windows 32 --windows 128 --output blstm.json
    python tools/bench/blstm.py --device cuda --autocast bf16 --windows 128 --windows 512 --windows 2048 --windows 4096
"""

import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from asrpar.config import load_config
from asrpar.feats import Batch
from asrpar.info import versions
from asrpar.nn.losses.frame_ce import Loss, Settings
from asrpar.nn.objective import FrameLabels, Sources
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.strategies import STRATEGIES
from asrpar.train.build import Parts
from asrpar.train.config import TrainConfig
from asrpar.train.trainer import Trainer

REPO = Path(__file__).resolve().parents[2]
MODEL = REPO / "egs/papers/models/cui2020_blstm.yaml"


class Windows:
    """A few batches of windows in memory, in the place of a `BatchLoader`, again and again."""

    num_learners = 1

    def __init__(self, args):
        g = torch.Generator().manual_seed(0)
        self.steps, self.num_features = args.steps, args.features
        frames = args.windows * args.frames
        self.frames_per_epoch = self.steps * frames
        self.made = []
        for k in range(min(4, self.steps)):
            x = torch.randn(args.windows, args.frames, args.features, generator=g)
            labels = torch.randint(args.classes, (args.windows, args.frames), generator=g).numpy()
            lens, ids = torch.full((args.windows,), args.frames), [f"{k}-{n}" for n in range(args.windows)]
            batch = Batch(x, lens, list(labels), ids, frames, frames, 0, k)
            self.made.append(batch if args.device == "cpu" else pinned(batch))

    def epoch(self, epoch, start_step=0):
        for step in range(start_step, self.steps):
            yield self.made[step % len(self.made)]


def pinned(batch):
    batch.features = batch.features.pin_memory()
    return batch


class WindowParts(Parts):
    """A trainer's parts without folders of data."""

    def __init__(self, config, args, windows):
        super().__init__(config)
        self.windows = windows
        self.__dict__["objective"] = Loss(Settings(), Sources(labels=FrameLabels(args.classes, {})))

    def loader(self, workers, rank):
        return self.windows

    def examine(self, loader, comm):
        return SimpleNamespace(state=dict)


class ByHand:
    """Forward, cross-entropy, backward, SGD."""

    def __init__(self, args, windows):
        torch.manual_seed(0)
        self.device, self.windows = torch.device(args.device), windows
        self.autocast = partial(torch.autocast, self.device.type, torch.bfloat16, enabled=args.autocast == "bf16")
        lstm = nn.LSTM(args.features, args.cells, args.layers, batch_first=True, bidirectional=True)
        bottleneck, output = nn.Linear(2 * args.cells, args.bottleneck), nn.Linear(args.bottleneck, args.classes)
        self.module = nn.ModuleList([lstm, bottleneck, output]).to(self.device)
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=0.1, fused=True)
        self.labels = [torch.from_numpy(np.concatenate(b.targets)).to(self.device) for b in windows.made]

    def run(self):
        lstm, bottleneck, output = self.module
        for batch in self.windows.epoch(0):
            x = batch.features.to(self.device, non_blocking=True)
            with self.autocast():
                scores = output(bottleneck(lstm(x)[0]))
                loss = F.cross_entropy(scores.flatten(0, 1), self.labels[batch.step])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


class Ours:
    """The trainer, epoch by epoch: strategy, schedule, stop checks, logs, progress."""

    def __init__(self, args, windows):
        self.exp = tempfile.TemporaryDirectory()
        sizes = {"cells": args.cells, "num_layers": args.layers, "bottleneck": args.bottleneck}
        sets = [f"models.blstm.{key}={value}" for key, value in sizes.items()]
        sets += [f"exp={self.exp.name}", "optimizer=sgd", "optimizers.sgd.lr=0.1", "optimizers.sgd.momentum=0.0"]
        sets += ["optimizers.sgd.weight_decay=0.0", "schedule=constant", "epochs=1000", f"device={args.device}"]
        sets += [f"autocast={args.autocast}", *args.sets]
        config = load_config(TrainConfig, [str(MODEL)], sets)
        self.trainer = Trainer(config, STRATEGIES.of(config), LocalComm(), WindowParts(config, args, windows))
        self.trainer.begin()
        self.epoch = 0

    def run(self):
        self.trainer.position.epoch, self.trainer.position.step = self.epoch, 0
        self.epoch += 1
        self.trainer.train_epoch()


LOOPS = {"by_hand": ByHand, "trainer": Ours}


def seconds(args, loop):
    """Of all steps: of the processor, or of the clock where a GPU computes."""
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    begun = clock()
    loop.run()
    if args.device != "cpu":
        torch.cuda.synchronize()
    return clock() - begun


def highest():
    """MiB that this process has had at most. Not of getrusage, which counts the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def peak(args):
    """Of this process, in MiB: before the one loop of ``--only``, and once it has run."""
    args.steps = 3
    windows = Windows(args)
    loop, before = LOOPS[args.only](args, windows), highest()
    loop.run()
    if args.device != "cpu":
        return {"allocated_mib": torch.cuda.max_memory_allocated() / 2**20}
    return {"peak_mib": highest(), "before_the_first_step_mib": before}


def memory(name, windows):
    """What `peak` says in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", name, "--only-windows", str(windows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(args, windows):
    """Frames/s of both loops with so many windows in a batch, their ratio and their memory."""
    args.windows = windows
    made = Windows(args)
    loops = {name: loop(args, made) for name, loop in LOOPS.items()}
    rates = {name: [] for name in loops}
    for repeat in range(args.repeats + 1):
        order = list(loops) if repeat % 2 else list(reversed(loops))
        took = dict.fromkeys(loops, 0.0)
        for name in [*order, *reversed(order)]:
            took[name] += seconds(args, loops[name])
        if repeat:  # the first warms up
            for name, each in rates.items():
                each.append(2 * made.frames_per_epoch / took[name])
    # A multiplication and an addition for each weight of a matrix, and twice as many backward.
    flop = 6 * sum(p.numel() for p in loops["by_hand"].module.parameters() if p.dim() > 1)
    ratios = [t / h for t, h in zip(rates["trainer"], rates["by_hand"], strict=True)]
    found = {"windows": windows, "ratio": statistics.median(ratios), "ratios": ratios}
    for name in loops:
        rate = statistics.median(rates[name])
        found[name] = {"frames_per_second": rate, "tflops": rate * flop / 1e12, **memory(name, windows)}
    print(json.dumps(found))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, action="append", help="in a batch; may be given again (default 32)")
    for name, value in {"frames": 21, "features": 260, "classes": 32000}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in {"layers": 6, "cells": 512, "bottleneck": 256}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--autocast", choices=("none", "bf16"), default="none")
    parser.add_argument("--tf32", action="store_true", help="let float32 products use TF32")
    parser.add_argument("--set", action="append", default=[], dest="sets", help="of the trainer, such as compile=true")
    parser.add_argument("--steps", type=int, default=4, help="of a run; a repeat is two runs of each loop")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output")
    parser.add_argument("--only", choices=tuple(LOOPS), help=argparse.SUPPRESS)
    parser.add_argument("--only-windows", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.tf32:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    if args.only:
        args.windows = args.only_windows
        with contextlib.redirect_stdout(sys.stderr):
            found = peak(args)
        print(json.dumps(found))
        return
    result = {
        "what": "training steps of the papers' BLSTM: our trainer against a loop written by hand",
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "measured": [measure(args, windows) for windows in args.windows or [32]],
        "settings": {key: value for key, value in vars(args).items() if key not in ("only", "only_windows", "windows")},
        "versions": versions(),
    }
    if args.output:
        Path(args.output).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
