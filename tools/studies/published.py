"""Times of published trainings, as the virtual cluster predicts them; prints a table in Markdown.

python tools/studies/published.py --config studies/conf/published.yaml [--steps 100] [--set ...]
"""

import argparse
import time
from dataclasses import dataclass, field
from typing import Any

from asrpar.config import load_config
from asrpar.parallel.virtual.presets import load_cluster
from asrpar.parallel.virtual.timing import simulate_timing

FRAMES_PER_HOUR = 3600 * 100
# Of the single learner that speed-ups refer to.
REFERENCE_BATCH = 256


@dataclass
class Run:
    """One training: published hours (0: none), global batch in samples, how much slower than a V100 it computes."""

    system: str = ""
    strategy: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    cluster: str = "v100_ethernet"
    slower: float = 1.0
    learners: int = 1
    batch: int = 256
    hours: float = 0.0


@dataclass
class Rate:
    """See `asrpar.parallel.virtual.cluster.Compute`."""

    overhead_seconds: float = 0.0
    frames_per_second: float = 0.0


@dataclass
class Study:
    """All of them."""

    corpus_hours: float = 0.0
    epochs: int = 0
    window: int = 1
    parameters: float = 0.0
    compute: dict[str, Rate] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)


def predict(study: Study, run: Run, rate: Rate, steps: int, seed: int) -> dict[str, Any]:
    """One training with one dependence on the batch."""
    cluster = load_cluster(run.cluster)
    cluster.nodes = max(1, -(-run.learners // cluster.devices_per_node))
    cluster.compute.overhead_seconds = rate.overhead_seconds * run.slower
    cluster.compute.frames_per_second = rate.frames_per_second / run.slower
    return simulate_timing(
        cluster,
        run.strategy,
        run.settings,
        learners=run.learners,
        batch_frames=run.batch / run.learners * study.window,
        parameters=study.parameters,
        steps=steps,
        frames=study.corpus_hours * FRAMES_PER_HOUR * study.epochs,
        reference_batch_frames=REFERENCE_BATCH * study.window,
        seed=seed,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="studies/conf/published.yaml")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    study = load_config(Study, args.config, args.sets)
    begin = time.perf_counter()
    names = list(study.compute)
    head = ["system", "strategy", "batch", "published h", *(f"{n} h" for n in names), "off by", "exposed", "speed-up"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for run in study.runs:
        found = {n: predict(study, run, study.compute[n], args.steps, args.seed) for n in names}
        main = found["lstm"]
        more = ", ".join(f"{k} {v}" for k, v in run.settings.items())
        cells = [run.system, run.strategy + (f" ({more})" if more else ""), f"{run.batch} = {run.learners} · "]
        cells[-1] += f"{run.batch // run.learners}"
        cells += [f"{run.hours:g}" if run.hours else "", *(f"{found[n]['hours']:.2f}" for n in names)]
        cells += [f"{main['hours'] / run.hours - 1:+.0%}" if run.hours else "", f"{main['exposed_share']:.1%}"]
        print("| " + " | ".join([*cells, f"{main['speedup']:.1f}"]) + " |", flush=True)
    print(f"\n{args.steps} steps of each learner, seed {args.seed}; {time.perf_counter() - begin:.0f} s.")


if __name__ == "__main__":
    main()
