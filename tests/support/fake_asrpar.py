"""Stands for `asrpar simulate`, `decode` and `score` where a study needs many results and no training.

Results follow a formula of the settings. Run as a program; seed 13 fails, seed 99 takes a minute, and every call is
noted in the file $FAKE_CALLS.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

SETS = {"dev": 12, "test": 20}


def options(arguments):
    found = {"set": {}, "set-cluster": {}, "config": []}
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        if name in ("set", "set-cluster") and "=" in value:
            key, _, value = value.partition("=")
            found[name][key] = value
        elif name == "config":
            found["config"].append(value)
        else:
            found[name] = value
    return found


def simulate(given):
    train, learners = given["set"], int(given["learners"])
    exp, seed, strategy = Path(train["exp"]), int(train.get("seed", 0)), train.get("strategy", "single")
    print("one line\n\nlast line of", exp.name, flush=True)
    if seed == 13:
        sys.exit("asrpar: error: thirteen learners\n")
    if seed == 99:
        time.sleep(60)
    batch, epochs = int(train.get("batch.size", 8000)), int(train.get("epochs", 4))
    rng = random.Random(f"{seed} {strategy}")
    slow = 5.0 if "factor" in given["set-cluster"].get("compute.stragglers", "") else 1.0
    asynchronous = strategy in ("adpsgd", "asgd")
    speed = 1000.0 * (1 if learners == 1 else learners * (0.9 if asynchronous else 0.8 / slow))
    final = 0.02 * (1 + 0.3 * (batch / 32000) ** 2 * (0.5 if asynchronous else 1)) * (1 + 0.02 * rng.random())
    history = []
    for epoch in range(1, epochs + 1):
        frames = 600000.0 * epoch
        entry = {"epoch": epoch, "frames": frames, "seconds": frames / speed, "train_loss": 0.1}
        entry["dev_loss"] = final * (1 + 3 / epoch**2 - 3 / epochs**2)
        if asynchronous:
            entry |= {"consensus_distance": 0.1 / epoch, "staleness": 1.5}
        history.append(entry)
    time_of = {"compute": 0.7, "waiting": 0.1 if asynchronous else 0.2, "bytes_sent": 1e6}
    times = {"mean": time_of, "ranks": [time_of] * learners}
    if asynchronous:
        times["staleness"] = {"mean": 1.5, "max": 4.0, "last": 1.0, "histogram": {"0": 10, "1": 30, "2": 15, "4": 2}}
        times["consensus_distance"] = {"mean": 0.1, "max": 0.2, "last": 0.05}
    value = {"complete": True, "frames": frames, "train_seconds": frames / speed, "dev_loss": final, "time": times}
    value |= {"history": history, "virtual": True, "cluster": given["cluster"], "wall_seconds": 2.5 + seed}
    value |= {"versions": {"torch": "1"}, "git": "abc", "command": "asrpar " + " ".join(sys.argv[1:])}
    (exp / "final.pt").write_bytes(b"")
    (exp / "cluster.yaml").write_text("name: fake\n")
    data = {key: train[f"data.{key}"] for key in ("feats", "lang")}
    (exp / "config.yaml").write_text(json.dumps({"exp": str(exp), "data": data}))
    if train.get("trace.enabled") == "true":
        trace(exp / "trace", learners, slow)
    (exp / "train.json").write_text(json.dumps(value))


def trace(folder, learners, slow):
    folder.mkdir()
    for rank in range(learners):
        events, at = [], 0.0
        for _ in range(20):
            length = 10000.0 * (slow if rank == 1 else 1.0)
            for name, tid, begin, dur in [
                ("compute", 0, at, length),
                ("apply", 0, at + length, 500.0),
                ("wait", 0, at + length + 500, 1000.0),
                ("send", 1, at + 2000, 3000.0),
                ("wait", 1, at + 5000, 5000.0),
            ]:
                events.append({"name": name, "ph": "X", "pid": rank, "tid": tid, "ts": begin, "dur": dur, "args": {}})
            at += length + 1500
        # As of a run that was killed: no closing bracket.
        (folder / f"rank-{rank}.json").write_text("[\n" + ",\n".join(map(json.dumps, events)))


def decode(given):
    exp = Path(given["exp"])
    for name in (given["dev"], given["test"]):
        folder = exp / f"decode_{name}"
        folder.mkdir(exist_ok=True)
        rng = random.Random(exp.name + name)
        for file, wrong in (("ref.trn", 0.0), ("hyp.trn", 0.1)):
            lines = (
                " ".join("x" if rng.random() < wrong else w for w in ["a", "b", "c", "d", "e"])
                for _ in range(SETS[name])
            )
            (folder / file).write_text("".join(f"{line} (s-{i})\n" for i, line in enumerate(lines)))


def score(given):
    for name in given["set_names"].split(","):
        (Path(given["exp"]) / f"decode_{name}" / "wer.json").write_text(json.dumps({"wer": 10.0, "ci95": [8, 12]}))


if __name__ == "__main__":
    with open(os.environ["FAKE_CALLS"], "a") as f:
        f.write(" ".join(sys.argv[1:]) + "\n")
    command, *arguments = sys.argv[1:]
    if command == "score":
        arguments = [a.replace("--set=", "--set_names=") for a in arguments]
    {"simulate": simulate, "decode": decode, "score": score}[command](options(arguments))
