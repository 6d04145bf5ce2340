"""egs/mini from features to scores under a real Slurm, its training stopped by the time limit and queued again.

    python tools/bench/slurm_requeue.py --output slurm.json

Starts a Slurm of two nodes on this machine (as root; Debian: apt-get install slurm-wlm munge). For each strategy run.sh
submits features and decoding as arrays, and a training whose jobs have so many minutes (Slurm knows no smaller limit,
and looks every 30 s); it waits until the training has come to its end in several jobs. The same training is then run
without Slurm: its weights must be the same, bit for bit. Exits 1 if anything was wrong.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from asrpar.info import versions

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "tests" / "support"))
from slurm import cluster  # noqa: E402

RUN = REPO / "egs/mini/s5/run.sh"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", default="ssgd,bmuf")
    parser.add_argument("--minutes", type=int, default=1, help="time limit of a job (%(default)s)")
    parser.add_argument("--warning", type=int, default=10, help="seconds before it at which it stops (%(default)s)")
    parser.add_argument("--requeue", type=int, default=20, help="how often at most (%(default)s)")
    parser.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE")
    parser.add_argument("--work", help="folder for everything (a temporary one)")
    parser.add_argument("--output", help="JSON file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as place:
        work = Path(args.work or place)
        work.mkdir(exist_ok=True)
        (work / "slurm").mkdir()
        with cluster(work / "slurm", dict.fromkeys(("one", "two"), "CPUs=4 RealMemory=500")) as slurm:
            runs = [one(slurm.env, work / "exp", strategy, args) for strategy in args.strategies.split(",")]
    record = {"runs": runs, "settings": vars(args), "versions": versions()}
    text = json.dumps(record, indent=1)
    print(text)
    if args.output:
        Path(args.output).write_text(text + "\n", encoding="utf-8")
    return 0 if all(run["starts"] > 1 and run["same_weights"] for run in runs) else 1


def one(env: dict[str, str], exp: Path, strategy: str, args: argparse.Namespace) -> dict[str, object]:
    """A recipe under Slurm, its training once more without, and what came of both."""
    slurm = f"{REPO}/utils/slurm.sh"
    limit = f"--time {args.minutes} --requeue {args.requeue} --submit-args --signal=B:USR1@{args.warning}"
    commands = {
        "ASRPAR_FEATS_CMD": slurm,
        "ASRPAR_TRAIN_CMD": f"{slurm} --num-tasks 2 {limit}",
        "ASRPAR_DECODE_CMD": f"{slurm} --max-jobs-run 2",
    }
    sets = [word for item in args.sets for word in ("--set", item)]
    shared = [RUN, "--exp-dir", exp, "--strategy", strategy, *sets]
    parts = ["--feats-parts", 3, "--decode-parts", 3]
    began = time.monotonic()
    run([*shared, *parts, "--stage", 2 if (exp / "data/manifests").exists() else 0], env | commands)
    took = time.monotonic() - began
    run([*shared, "--stage", 6, "--stop-stage", 6, "--name", f"{strategy}_undisturbed"], dict(os.environ))
    here, there = exp / f"{strategy}_n2_seed0", exp / f"{strategy}_undisturbed"
    a, b = (torch.load(folder / "final.pt", weights_only=True)["weights"] for folder in (here, there))
    log = (here / "log/launch.log").read_text(encoding="utf-8")
    return {
        "strategy": strategy,
        "starts": log.count("# started: "),
        "requeues": log.count("; queued again, "),
        "same_weights": a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a),
        "wer": json.loads((here / "decode_test/wer.json").read_text())["wer"],
        "seconds": round(took, 1),
    }


def run(words: list[object], env: dict[str, str]) -> None:
    """A run.sh, to its end."""
    subprocess.run([str(word) for word in words], env=env, check=True)


if __name__ == "__main__":
    sys.exit(main())
