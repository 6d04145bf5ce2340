"""Run under mpirun: every strategy trains, stops within an epoch, and goes on.

    every_strategy.py FEATS LANG EXP [--set=KEY=VALUE]... STRATEGY[:KEY=VALUE...]...

Where learners go in lockstep the resumed run must end bit-identically; where they do not, it must use all data and end
with one model on all ranks. Exits 1 on the first failure.
"""

import json
import shutil
import sys
from pathlib import Path

from asrpar.config import load_config
from asrpar.parallel.comm import world
from asrpar.parallel.strategies import STRATEGIES
from asrpar.train.config import TrainConfig
from asrpar.train.experiment import train

feats, lang, out = sys.argv[1:4]
given = [a.removeprefix("--set=") for a in sys.argv[4:] if a.startswith("--set=")]
names = [a for a in sys.argv[4:] if not a.startswith("--set=")]
comm = world()


def run(spec: str, exp: Path, *sets: str) -> dict:
    name, *own = spec.split(":")
    sets = (*sets, *(f"strategies.{name}.{setting}" for setting in own))
    settings = [
        f"exp={exp}", f"data.feats={feats}", f"data.lang={lang}", f"strategy={name}", "threads=1", "epochs=2",
        "device=cpu", "models.tdnn.channels=16", "models.tdnn.dilations=[1]", "models.tdnn.conv_maps=4",
        "batch.size=1000", "checkpoint.every_steps=3", "optimizers.adamw.lr=0.01", "checkpoint.keep=100",
        "ema.enabled=true", "watchdog.timeout_seconds=60", *given, *sets,
    ]  # fmt: skip
    assert train(load_config(TrainConfig, None, settings), comm) == 0
    comm.barrier()
    return json.loads((exp / "train.json").read_text())


for name in names:
    whole = run(name, Path(out) / f"{name}-whole")
    exp = Path(out) / f"{name}-parts"
    run(name, exp, "stop_after_epochs=1")
    checkpoints = sorted((exp / "checkpoints").iterdir())
    within = [c for c in checkpoints if c.name.startswith("epoch-0000-")][-1]
    comm.barrier()
    if comm.rank == 0:
        for folder in checkpoints:
            if folder > within:
                shutil.rmtree(folder)
    comm.barrier()
    resumed = run(name, exp)
    assert resumed["frames"] == whole["frames"], f"{name}: {resumed['frames']} frames, not {whole['frames']}"
    taken = sum(rank["frames"] for rank in resumed["time"]["ranks"])
    assert taken == resumed["frames"], f"{name}: {taken} frames used, not {resumed['frames']}"
    lockstep = STRATEGIES.load(name.split(":")[0]).lockstep
    if lockstep and resumed["checksum"] != whole["checksum"]:
        print(f"{name}: the resumed run ended with other weights", flush=True)
        sys.exit(1)
    first, last = whole["history"][0]["train_loss"], whole["history"][-1]["train_loss"]
    assert last < first, f"{name}: training loss {first} -> {last}"
    if comm.rank == 0:
        print(f"ok {name} {'bit-exact' if lockstep else 'resumed'}, train loss {first:.3f} -> {last:.3f}", flush=True)
print(f"rank {comm.rank} passed", flush=True)
