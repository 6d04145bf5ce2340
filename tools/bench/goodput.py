"""Kill a random learner every so many seconds, and see how many frames a training still gets done.

    python tools/bench/goodput.py --corpus-dir AN4 --minutes 20 --every 15 --score --output goodput.json

Each strategy trains a recipe's model on --learners ranks: undisturbed, half of --reference-minutes before and half
after what is measured, since a machine is not always equally fast; and --runs times for --minutes with SIGKILL of a
random rank each --every seconds, started with --launch (`asrpar launch --rejoin`). Then it is stopped by SIGTERM. Its
share is that of its frames per second in the undisturbed one's, dev sets, checkpoints and all waiting included. Frames
are those of train.json: what a dead learner had computed and others computed again counts once.

A training of which no learner takes a step for --hang seconds has stopped for ever: its ranks write their stacks into
their logs, it is ended, and counted. With --score all trainings go on, in peace, to the end of their --epochs, and are
decoded: the same frames on the same schedule, so that their word errors can be compared.

Exits 1 if a share is below --least, a learner was not back within --back seconds, one that came back has moved the mean
of all weights, a training hung or failed, something of it was left behind, or word error rates differ by more than
--wer percent absolute.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import goodput_logs as logs
from goodput_run import Kills, Run

from asrpar.files.json_files import read_json_if_any, write_json
from asrpar.info import versions

REPO = Path(__file__).resolve().parents[2]


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--strategies", default="adpsgd,asgd", help="%(default)s")
    add("--minutes", type=float, default=20.0, help="of a run with kills (%(default)s)")
    add("--every", type=float, default=15.0, help="seconds from kill to kill (%(default)s)")
    add("--runs", type=int, default=1, help="with kills, of each strategy (%(default)s)")
    add("--kills", type=int, default=10**6, help="in a run, at most")
    add("--newcomers", action="store_true", help="kill those, too, that are being started")
    add("--reference-minutes", type=float, default=6.0, help="of the undisturbed run (%(default)s)")
    add("--learners", type=int, default=4)
    add("--launch", default="--rejoin", help="options of asrpar launch for runs with kills (%(default)s)")
    add("--recipe", type=Path, default=REPO / "egs/an4/s5", help="folder of a recipe (egs/an4/s5)")
    add("--corpus-dir", type=Path, help="its corpus, where --data has not been made")
    add("--data", type=Path, help="its folder of data after stage 5; made in --work if not given")
    add("--model", default="dnn")
    add("--loss", default="frame_ce")
    add("--tree", default="cd", help="of frame_ce (%(default)s)")
    add("--epochs", type=int, default=20)
    add("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE", help="more settings of the training")
    add("--score", action="store_true", help="compare word error rates, too")
    add("--decode-config", type=Path, help="settings of the decoding, if not the recipe's")
    add("--hang", type=float, default=60.0, help="seconds without a step (%(default)s)")
    add("--least", type=float, default=0.8, help="share of the undisturbed frames (%(default)s)")
    add("--back", type=float, default=10.0, help="seconds until a learner is back, at most (%(default)s)")
    add("--wer", type=float, default=1.5, help="percent absolute (%(default)s)")
    add("--seed", type=int, default=0, help="of who is killed")
    add("--work", type=Path, help="folder for everything, kept (a temporary one)")
    add("--output", type=Path, help="JSON file, written anew after each run")
    return parser.parse_args(words)


class Training:
    """One training of the recipe, in its folder ``work/name``.

    Args:
        args: the command line.
        strategy: its algorithm.
        name: of its folder.
        options: of `asrpar launch`.
    """

    def __init__(self, args: argparse.Namespace, strategy: str, name: str, options: list[str]) -> None:
        self.args, self.strategy, self.name, self.options = args, strategy, name, options
        self.exp = args.work / name

    def command(self) -> list[object]:
        """Stage 6 of the recipe, with other options of the launcher."""
        a, conf = self.args, self.args.recipe / "conf"
        files = [conf / "train.yaml"]
        files += [f for f in (conf / f"models/{a.model}.yaml", conf / f"losses/{a.loss}.yaml") if f.exists()]
        files += [f for f in [conf / f"strategies/{self.strategy}.yaml"] if f.exists()]
        sets = [f"model={a.model}", f"loss={a.loss}", f"epochs={a.epochs}", *a.sets]
        sets += [f"exp={self.exp}", f"data.feats={a.data / 'feats'}", f"data.lang={a.data / 'lang'}"]
        sets += [f"data.ali={a.data / f'ali_{a.tree}'}"] if a.loss == "frame_ce" else []
        launch = ["--learners", a.learners, *self.options, "--log-dir", self.exp / "log"]
        train = ["--strategy", self.strategy, "--allow-learner-change"]
        train += [word for file in files for word in ("--config", file)]
        train += [word for item in sets for word in ("--set", item)]
        return [sys.executable, "-P", "-m", "asrpar", "launch", *launch, "--", "train", *train]

    def summary(self) -> dict[str, Any]:
        """``train.json``; empty without one."""
        return read_json_if_any(self.exp / "train.json")

    def run(self, seconds: float = 0.0, kills: Kills | None = None) -> dict[str, Any]:
        """Train for so many seconds of training, 0 for to the end, while some are killed; what came of it."""
        before = self.summary().get("frames", 0)
        run = Run(self.command(), self.exp, seconds, kills, self.args.hang)
        try:
            run.watch()
        finally:
            run.end()
        return run.found(before, self.args.learners)

    def dev_losses(self) -> dict[int, float]:
        """By epoch, as far as it has come."""
        return logs.dev_losses(logs.read(self.exp / "log"))

    def score(self) -> float | None:
        """Decode, and return the word error rate of test in percent; None if the training has not come to its end."""
        a = self.args
        if not self.summary().get("complete"):
            return None
        options = ["--exp-dir", a.work, "--data-dir", a.data, "--name", self.name, "--learners", a.learners]
        options += ["--strategy", self.strategy, "--model", a.model, "--loss", a.loss]
        options += ["--tree", a.tree] if a.loss == "frame_ce" else []
        options += ["--decode-config", a.decode_config] if a.decode_config else []
        recipe(a, *options, "--stage", 7, "--stop-stage", 8)
        return read_json_if_any(self.exp / "decode_test/wer.json").get("wer")


def recipe(args: argparse.Namespace, *options: object) -> None:
    """The recipe's run.sh."""
    subprocess.run(["bash", *map(str, (args.recipe / "run.sh", *options))], check=True, stdout=sys.stderr)


def prepare(args: argparse.Namespace) -> None:
    """Absolute paths, and the recipe's stages 0 to 5 where nobody has made them."""
    args.work.mkdir(parents=True, exist_ok=True)
    if there := [path.name for s in args.strategies.split(",") for path in args.work.glob(f"{s}_*")]:
        raise SystemExit(f"goodput.py: {args.work} holds {there[0]} of another time: give an empty folder as --work")
    for name in ("work", "recipe", "data", "corpus_dir", "decode_config"):
        if getattr(args, name) is not None:
            setattr(args, name, getattr(args, name).resolve())
    if args.data is None:
        args.data = args.work / "data"
        options = ["--exp-dir", args.work, "--model", args.model, "--loss", args.loss, "--stop-stage", 5]
        options += ["--tree", args.tree] if args.loss == "frame_ce" else []
        recipe(args, *options, *(["--corpus-dir", args.corpus_dir] if args.corpus_dir else []))


def rate(parts: list[dict[str, Any]]) -> float:
    """Frames per second."""
    return sum(p["frames"] for p in parts) / max(sum(p["seconds"] for p in parts), 1e-9)


def measure(args: argparse.Namespace, strategy: str, tell: Callable[[dict[str, Any]], None]) -> None:
    """All runs of a strategy; ``tell`` is given what is known, again and again."""
    calm = Training(args, strategy, f"{strategy}_undisturbed", [])
    half = 30.0 * args.reference_minutes
    row: dict[str, Any] = {"undisturbed": [calm.run(half)], "runs": [], "finished": []}
    tell(row)
    trainings = []
    for number in range(args.runs):
        training = Training(args, strategy, f"{strategy}_killed{number}", args.launch.split())
        kills = Kills(args.every, args.kills, f"{args.seed} {strategy} {number}", newcomers=args.newcomers)
        row["runs"].append(training.run(60.0 * args.minutes, kills))
        trainings.append(training)
        tell(row)
    row["undisturbed"].append(calm.run(half))
    for run in row["runs"]:
        run["share"] = round(rate([run]) / max(rate(row["undisturbed"]), 1e-9), 4)
    tell(row)
    if args.score:
        for training in (calm, *trainings):
            row["finished"].append(training.run())
            tell(row)
    row["wer"] = calm.score() if args.score else None
    for run, training in zip(row["runs"], trainings, strict=True):
        run["wer"] = training.score() if args.score else None
        run["dev_loss"] = compared(training.dev_losses(), calm.dev_losses())
        tell(row)


def compared(killed: dict[int, float], calm: dict[int, float]) -> dict[str, float]:
    """The dev losses after the last epoch that both have come to, that is after the same frames."""
    epoch = max(killed.keys() & calm.keys(), default=None)
    return {} if epoch is None else {"epoch": epoch, "killed": killed[epoch], "undisturbed": calm[epoch]}


def wrong(args: argparse.Namespace, strategy: str, row: dict[str, Any]) -> list[str]:
    """What is not as it should be, a line each."""
    found = []
    for run in (*row["undisturbed"], *row["runs"], *row["finished"]):
        found += [f"it {run['hung']}"] * bool(run["hung"]) + [run["failed"]] * bool(run["failed"])
        found += [f"left behind: {', '.join(run['left'])}"] * bool(run["left"])
    for run in row["runs"]:
        if run["share"] < args.least:
            found.append(f"a share of {run['share']:.3f}")
        if "rejoin" in args.launch and run["back"].get("max", args.back + 1) > args.back and run["kills"]:
            found.append(f"back after {run['back'] or 'never'}")
        if not (run["mean_moved"] or 0.0) < 1e-5:
            found.append(f"the mean moved by {run['mean_moved']}")
        if args.score and (None in (run["wer"], row["wer"]) or abs(run["wer"] - row["wer"]) > args.wer):
            found.append(f"word error rates {row['wer']} and {run['wer']}")
    return [f"{strategy}: {what}" for what in found]


def told(run: dict[str, Any]) -> str:
    """Of a run, in a few words, beside its share."""
    losses = run["dev_loss"]
    at = f"dev loss {losses['killed']} and {losses['undisturbed']} after epoch {losses['epoch']}" if losses else ""
    return ", ".join(filter(None, [at, f"mean moved by {run['mean_moved']}", f"WER {run['wer']}"]))


def main() -> int:
    """All of it."""
    args = parse()
    with tempfile.TemporaryDirectory(prefix="goodput-", ignore_cleanup_errors=True) as place:
        args.work = args.work or Path(place)
        prepare(args)
        facts = {"settings": {k: v if isinstance(v, int | float | list) else str(v) for k, v in vars(args).items()}}
        facts["versions"] = versions()
        rows: dict[str, Any] = {}

        def tell(strategy: str, row: dict[str, Any]) -> None:
            rows[strategy] = row
            if args.output:
                write_json(args.output, facts | {"strategies": rows})

        for strategy in args.strategies.split(","):
            measure(args, strategy, partial(tell, strategy))
    said = [line for strategy, row in rows.items() for line in wrong(args, strategy, row)]
    for strategy, row in rows.items():
        print(f"{strategy}: undisturbed {rate(row['undisturbed']):.0f} frames/s, WER {row['wer']}")
        for run in row["runs"]:
            back = ", ".join(f"{k} {v:.1f} s" for k, v in run["back"].items()) or "-"
            print(f"  share {run['share']:.3f}; {run['kills']} kills, back after {back}; {told(run)}")
    print("\n".join(said) or "all is well")
    return bool(said)


if __name__ == "__main__":
    sys.exit(main())
