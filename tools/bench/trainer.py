"""What the trainer costs: frames per second of `asrpar train --strategy single` against a minimal torch loop.

The minimal loop is what one writes by hand: the same model, the same batches (made beforehand), torch's CTC and AdamW
on the module's own parameters; no flat vectors, no logging, no loader thread, no checkpoints. Both run in this process
in alternation, so that the machine's moods meet both alike; the ratio is the median over the repeats.

    python tools/bench/trainer.py --feats FEATS --lang LANG --config egs/an4/s5/conf/train.yaml --output trainer.json
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from asrpar.config import load_config
from asrpar.info import versions
from asrpar.lang.lang import Lang
from asrpar.nn.models import MODELS, build_model
from asrpar.parallel.comm import LocalComm
from asrpar.parallel.strategies import STRATEGIES
from asrpar.train.build import make_loader
from asrpar.train.config import TrainConfig
from asrpar.train.objective import make_objective
from asrpar.train.optimizers import OPTIMIZERS
from asrpar.train.precision import decide_autocast
from asrpar.train.trainer import Trainer


class MinimalLoop:
    """Forward, CTC, backward, AdamW."""

    def __init__(self, config, num_features, objective):
        torch.manual_seed(config.seed)
        self.autocast = config.autocast == "bf16"
        settings = MODELS.of(config)
        self.module = build_model(config.model, settings, num_features, objective.num_classes).train()
        self.objective = objective
        o = OPTIMIZERS.of(config)
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=o.lr, betas=tuple(o.betas), eps=o.eps, weight_decay=o.weight_decay, fused=True
        )

    def run(self, batches):
        for batch in batches:
            self.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                model = self.module.scores if self.objective.of_scores else self.module
                output, lens = model(batch.features, batch.feature_lens)
            loss, _ = self.objective.loss(output, lens, batch.targets)
            (loss / (self.objective.frames_in(batch.targets) or batch.num_frames)).backward()
            self.optimizer.step()
        return sum(batch.num_frames for batch in batches)


class TrainerLoop:
    """The real trainer, epoch by epoch: loader thread, strategy, EMA, schedule, stop checks, logs, progress."""

    def __init__(self, config):
        self.trainer = Trainer(config, STRATEGIES.of(config), LocalComm())
        self.trainer.begin()

    def run(self, epoch):
        before = self.trainer.position.frames
        self.trainer.position.epoch, self.trainer.position.step = epoch, 0
        self.trainer.train_epoch()
        return self.trainer.position.frames - before


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feats", required=True)
    parser.add_argument("--lang", required=True)
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    exp = tempfile.TemporaryDirectory()
    sets = [*args.sets, f"exp={exp.name}", f"data.feats={args.feats}", f"data.lang={args.lang}", "epochs=1000"]
    config = load_config(TrainConfig, args.config, sets)
    decide_autocast(config, LocalComm())
    objective = make_objective(config, Lang.load(config.data.lang))
    loader = make_loader(config, objective, 1, 0)
    minimal = MinimalLoop(config, loader.num_features, objective)
    real = TrainerLoop(config)

    frames = loader.frames_per_epoch
    rates = {"minimal": [], "trainer": []}
    for repeat in range(args.repeats + 1):
        batches = list(loader.epoch(repeat))
        runs = {"minimal": lambda batches=batches: minimal.run(batches), "trainer": lambda at=repeat: real.run(at)}
        seconds = dict.fromkeys(runs, 0.0)
        # There and back: oneDNN makes a program for each new shape of a batch, and who comes first pays for it.
        order = list(runs) if repeat % 2 else list(reversed(runs))
        for name in [*order, *reversed(order)]:
            started = time.perf_counter()
            assert runs[name]() == frames, "both must see the whole epoch"
            seconds[name] += time.perf_counter() - started
        if repeat:  # the first is for warming up: caches, and the loader's first pass over the disk
            for name in rates:
                rates[name].append(2 * frames / seconds[name])
            print(f"repeat {repeat}: minimal {rates['minimal'][-1]:.0f}, trainer {rates['trainer'][-1]:.0f} frames/s")
    ratios = [t / m for t, m in zip(rates["trainer"], rates["minimal"], strict=True)]
    result = {
        "what": "frames/s of asrpar train --strategy single over a minimal torch loop",
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        **rates,
        "frames_per_repeat": 2 * frames,
        "threads": args.threads,
        "config": args.config,
        "versions": versions(),
    }
    print(f"trainer / minimal loop, median of {args.repeats}: {result['ratio']:.3f}")
    if args.output:
        Path(args.output).write_text(json.dumps(result, indent=2) + "\n")
    exp.cleanup()


if __name__ == "__main__":
    main()
