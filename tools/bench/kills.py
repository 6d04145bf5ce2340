"""Kill each kind of process of a run, at random moments, and see what is left of the run and how it goes on.

    python tools/bench/kills.py --kills 20 --output kills.json

A training of egs/mini's run.sh on two learners is started, one of its processes ends by SIGKILL some random time later,
and 10 seconds after that no process, shared memory, temporary file or lock of it may be there. The same command then
goes on, is killed again, and so on, four times at most, until it is let come to its end. A lockstep strategy must then
have the weights of a run that nobody disturbed, bit for bit; any other must have used all frames of each epoch once.
Beside trainings, stage 2 is killed while it computes features: its files must become those of an undisturbed run.

With --steps SIGKILL comes at exact steps instead: a rank of a training dies at each step from two before to two after
a checkpoint, a dev set and the end of the first epoch, and the training goes on each time.

Moments and processes follow from --seed, as far as a machine takes the same time for the same thing. Exits 1 if
anything was wrong.
"""

import argparse
import filecmp
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from left_behind import Job

from asrpar.feats import BatchLoader
from asrpar.feats.config import BatchConfig
from asrpar.files.json_files import read_json, write_json
from asrpar.files.lock import busy, try_lock
from asrpar.info import versions
from asrpar.parallel.strategies import STRATEGIES

RECIPE = Path(__file__).resolve().parents[2] / "egs/mini/s5/run.sh"
# Of a training; of stage 2 in one job, and in an array of two.
OF_TRAINING = ("rank", "mpirun", "launcher", "guard", "script")
OF_STAGE_2 = ("worker", "command", "script")
OF_ARRAY = ("local", "job", "script")
# A small training with all that is random: dropout, SpecAugment, shuffling.
TRAINING = (
    "epochs=4", "autocast=none", "models.tdnn.channels=16", "models.tdnn.dilations=[1,2]", "batch.size=1000",
    "batch.augment.time_masks=1",
)  # fmt: skip
# Steps from one checkpoint, and from one dev set, to the next.
SAVE, DEV = 3, 4
# Kills before a run is let come to its end.
CHAIN = 4


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each kind of process (%(default)s)")
    parser.add_argument("--strategies", default="ssgd,adpsgd", help="trainings (%(default)s)")
    parser.add_argument("--kinds", default=",".join(OF_TRAINING), help="of processes of a training (%(default)s)")
    parser.add_argument("--features", default=",".join(OF_STAGE_2), help="of stage 2 (%(default)s)")
    parser.add_argument("--array", default=",".join(OF_ARRAY), help="of stage 2 in two jobs (%(default)s)")
    parser.add_argument("--steps", action="store_true", help="kill ranks at exact steps, and nothing else")
    parser.add_argument("--learners", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder of manifests, feats and lang; made if not given")
    parser.add_argument("--seconds", type=float, default=10.0, help="within which all must be gone (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", help="JSON file")
    return parser.parse_args(words)


class Work:
    """What is killed and goes on: a command, and what it must have come to.

    Args:
        name: for the table.
        command: of run.sh, for a folder of results.
        check: what is wrong with a finished folder, beside that of an undisturbed run.
        held: folder that is locked meanwhile, within that of results.
    """

    def __init__(
        self, name: str, command: Callable[[Path], list[object]], check: Callable[[Path, Path], str], held: str
    ) -> None:
        self.name, self.command, self.check, self.held = name, command, check, held
        self.whole: Path | None = None
        self.lasts = 0.0

    def undisturbed(self, folder: Path) -> None:
        """Run it once as it is; how long that takes is the time in which it is killed."""
        if self.whole is None:
            self.whole, begin = folder / f"{self.name} whole", time.monotonic()
            self.finish(self.whole)
            self.lasts = time.monotonic() - begin

    def finish(self, results: Path) -> None:
        """Let it come to its end."""
        job = Job(self.command(results), results.with_name(f"{results.name}.job"))
        if job.top.wait():
            raise RuntimeError(f"{self.name} in {results} ended with {job.top.returncode}:\n{job.output.read_text()}")


def training(strategy: str, learners: int, data: Path) -> Work:
    """Stage 6 of egs/mini."""
    lockstep = STRATEGIES.load(strategy).lockstep

    def command(results: Path) -> list[object]:
        options = ["--data-dir", data, "--exp-dir", results, "--name", "run", "--strategy", strategy]
        settings = (*TRAINING, f"checkpoint.every_steps={SAVE}", f"dev_every_steps={DEV}")
        sets = [word for setting in settings for word in ("--set", setting)]
        return ["bash", RECIPE, "--stage", 6, "--stop-stage", 6, *options, "--learners", learners, *sets]

    def check(results: Path, whole: Path) -> str:
        found, other = (read_json(folder / "run/train.json") for folder in (results, whole))
        half = [path.name for path in (results / "run").rglob("*.tmp")]
        epoch = BatchLoader(data / "feats", "train", BatchConfig(), 0).frames_per_epoch
        frames = [entry["frames"] for entry in found["history"]]
        if not found["complete"]:
            return "not complete"
        if lockstep and found["checksum"] != other["checksum"]:
            return "other weights than those of an undisturbed run"
        if frames != [epoch * (i + 1) for i in range(len(other["history"]))]:
            return f"frames after its epochs: {frames}"
        return f"half-written: {half}" if half else ""

    return Work(strategy, command, check, "run")


def features(parts: int, data: Path) -> Work:
    """Stage 2 of egs/mini, in one job or in so many."""

    def command(results: Path) -> list[object]:
        results.mkdir(parents=True, exist_ok=True)
        if not (results / "manifests").exists():
            (results / "manifests").symlink_to(data / "manifests")
        options = ["--data-dir", results, "--exp-dir", results, *(["--feats-parts", parts] if parts else [])]
        return ["bash", RECIPE, "--stage", 2, "--stop-stage", 2, *options]

    def check(results: Path, whole: Path) -> str:
        found, other = ([p.relative_to(d) for p in sorted((d / "feats").rglob("*"))] for d in (results, whole))
        if found != other:
            return f"other files: {sorted(set(map(str, found)) ^ set(map(str, other)))}"
        names = [str(path) for path in found if path.suffix not in (".gz", ".json", ".npz")]  # which name the folder
        names = [name for name in names if (results / name).is_file()]
        _, changed, unread = filecmp.cmpfiles(results, whole, names, shallow=False)
        return f"other contents: {changed + unread}" if changed or unread else ""

    return Work(f"stage 2 in {parts} jobs" if parts else "stage 2", command, check, "feats")


def kill_one(
    work: Work, kind: str, results: Path, moment: float, draw: random.Random, seconds: float
) -> dict[str, Any]:
    """Start or go on, and kill after ``moment`` seconds; what was found. Empty if the run had ended before."""
    job = Job(work.command(results), results.with_name(f"{results.name}.job"))
    begin = time.monotonic()
    while job.top.poll() is None:
        job.remember()
        passed = time.monotonic() - begin
        if passed >= moment and (found := job.find_all(kind)):
            with suppress(OSError):  # it has just ended
                os.kill(draw.choice(found), signal.SIGKILL)
                return what_is_left(work, kind, results, job, seconds) | {"moment": round(passed, 2)}
        time.sleep(0.05)
    if job.top.returncode:
        raise RuntimeError(f"{work.name} in {results} could not go on:\n{job.output.read_text()}")
    return {}


def what_is_left(work: Work, kind: str, results: Path, job: Job, seconds: float) -> dict[str, Any]:
    """After a kill: how long anything was there, and what still is."""
    if kind == "guard":  # which is replaced
        job.top.wait()
    passed, left = job.wait(seconds)
    if (results / work.held).is_dir():
        lock = try_lock(results / work.held)
        if lock is None:
            left.append(busy(results / work.held))
        else:
            lock.close()
    return {"work": work.name, "kind": kind, "seconds": round(passed, 2), "left": left}


def campaign(work: Work, kinds: Iterable[str], args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """All kills of a work; each yields what was found, with what is ``wrong`` of a run that came to its end."""
    for kind in kinds:
        draw = random.Random(f"{args.seed} {work.name} {kind}")
        done = runs = 0
        while done < args.kills:
            results, found = folder / f"{work.name} {kind} {runs}", {}
            runs += 1
            for _ in range(min(CHAIN, args.kills - done)):
                work.undisturbed(folder)
                found = kill_one(work, kind, results, draw.uniform(0, work.lasts), draw, args.seconds)
                if not found:
                    break
                done += 1
                yield found
            if found:
                work.finish(results)
            yield {"work": work.name, "kind": kind, "wrong": work.check(results, work.whole)}


def at_steps(work: Work, args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """A training's last rank dies at the steps around what happens between steps; what was found, as of `campaign`."""
    work.undisturbed(folder)
    done = read_json(work.whole / "run/train.json")
    epoch = done["steps"] // len(done["history"])
    results = folder / f"{work.name} steps"
    for step in around(SAVE, DEV, epoch):
        job = Job(
            [*work.command(results), "--set", f"faults.die_rank=[{args.learners - 1}]",
             "--set", f"faults.die_step=[{step - steps_saved(results / 'run')}]"],
            results.with_name(f"{results.name}.job"),
        )  # fmt: skip
        while job.top.poll() is None:
            job.remember()
            time.sleep(0.05)
        if not job.top.returncode:
            raise RuntimeError(f"{work.name} did not die at step {step}:\n{job.output.read_text()}")
        yield what_is_left(work, "steps", results, job, args.seconds) | {"step": step}
    work.finish(results)
    yield {"work": work.name, "kind": "steps", "wrong": work.check(results, work.whole)}


def around(*steps: int) -> list[int]:
    """These, and two before and two after each."""
    return sorted({max(1, step + more) for step in steps for more in range(-2, 3)})


def steps_saved(exp: Path) -> int:
    """Of the newest checkpoint, 0 without one."""
    return max((int(path.name.split("-")[3]) for path in exp.glob("checkpoints/epoch-*-step-????????")), default=0)


def table(found: list[dict[str, Any]]) -> dict[str, Any]:
    """By work and kind: kills, what was left, the longest time until nothing was, runs that ended, what was wrong."""
    rows: dict[str, Any] = {}
    for one in found:
        row = rows.setdefault(f"{one['work']}: {one['kind']}", dict(kills=0, longest=0.0, left=[], runs=0, wrong=[]))
        if "wrong" in one:
            row["runs"] += 1
            row["wrong"] += [one["wrong"]] if one["wrong"] else []
        else:
            row["kills"] += 1
            row["longest"] = max(row["longest"], one["seconds"])
            row["left"] += [one["left"]] if one["left"] else []
    return rows


def prepared(data: Path) -> Path:
    """Stages 0 to 3 of egs/mini."""
    if not (data / "lang").is_dir():
        subprocess.run(["bash", RECIPE, "--data-dir", data, "--exp-dir", data, "--stop-stage", "3"], check=True)
    return data.resolve()


def main() -> None:
    """All of it."""
    args = parse()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        data = prepared(args.data or folder / "data")
        trainings = [training(s, args.learners, data) for s in args.strategies.split(",") if s]
        works = [(work, args.kinds) for work in trainings]
        works += [(features(0, data), args.features), (features(2, data), args.array)]
        found, facts = [], {"seed": args.seed, "seconds": args.seconds, "versions": versions()}
        kills = [at_steps(work, args, folder) for work in trainings if args.steps]
        kills = kills or [campaign(work, filter(None, kinds.split(",")), args, folder) for work, kinds in works]
        for one in chain.from_iterable(kills):
            print(json.dumps(one), file=sys.stderr, flush=True)
            found.append(one)
            if args.output:  # each time, for it takes hours
                write_json(args.output, facts | {"table": table(found), "kills": found})
    rows = table(found)
    for key, row in rows.items():
        left = f"{len(row['left'])} with something left, {len(row['wrong'])} of {row['runs']} runs wrong"
        print(f"{key}: {row['kills']} kills, {left}; longest {row['longest']:.1f} s", *row["left"], *row["wrong"])
    sys.exit(any(row["left"] or row["wrong"] for row in rows.values()))


if __name__ == "__main__":
    main()
