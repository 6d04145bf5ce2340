"""The table of docs/choosing.md: how much of N learners' speed a strategy keeps on a cluster, predicted.

Efficiency is frames per second over N times those of one device of the cluster with the same batch, in timing-only
mode: what waiting and messages cost, not what the algorithm costs in convergence.

    python tools/studies/efficiency.py --learners 64
"""

import argparse

from asrpar.parallel.strategies import settings_class
from asrpar.parallel.virtual.presets import load_cluster
from asrpar.parallel.virtual.timing import simulate_timing

# How often those exchange that do not do it in each step: as in studies, and as seldom as the papers do.
STRATEGIES: list[tuple[str, dict[str, int]]] = [
    ("ssgd", {}),
    ("model_averaging", {"sync_steps": 4}),
    ("model_averaging", {"sync_steps": 4, "overlap_steps": 1}),
    ("model_averaging", {"sync_steps": 4, "overlap_steps": 2}),
    ("model_averaging", {"sync_steps": 4, "overlap_steps": 4}),
    ("model_averaging", {"sync_steps": 16}),
    ("model_averaging", {"sync_steps": 16, "overlap_steps": 4}),
    ("bmuf", {"sync_steps": 4}),
    ("bmuf", {"sync_steps": 16}),
    ("delayed", {}),
    ("adpsgd", {}),
    ("hadpsgd", {}),
    ("easgd_async", {"sync_steps": 1}),
    ("easgd_async", {"sync_steps": 4}),
    ("asgd", {"sync_steps": 1}),
]
SYMBOLS = {"sync_steps": "τ", "overlap_steps": "d"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", default="h200,v100_ethernet,cpu_10gbe", help="presets or files")
    parser.add_argument("--learners", type=int, default=64)
    parser.add_argument("--parameters", type=float, default=41e6)
    parser.add_argument("--batch-frames", type=float, default=2048.0, help="of one learner")
    parser.add_argument("--straggler", type=float, default=3.0, help="learner 1 is so many times slower")
    parser.add_argument("--steps", type=int, default=64)
    a = parser.parse_args()
    clusters = a.clusters.split(",")
    print("| strategy | " + " | ".join(f"{c} | with a straggler" for c in clusters) + " | MB a learner and step |")
    print("|---" * (2 * len(clusters) + 2) + "|")
    for name, changes in STRATEGIES:
        cells, sent = [], 0.0
        for cluster in clusters:
            for slow in (None, f"compute.stragglers=[{{rank: 1, factor: {a.straggler}}}]"):
                description = load_cluster(cluster, [f"nodes={a.learners}", *([slow] if slow else [])])
                found = simulate_timing(
                    description,
                    name,
                    settings_class(name)(**changes),
                    learners=a.learners,
                    batch_frames=a.batch_frames,
                    parameters=a.parameters,
                    steps=a.steps,
                )
                cells.append(f"{found['efficiency']:.2f}")
                # On the first cluster, all learners alike: who waits for a slow network sends less often.
                sent = sent or found["bytes_per_step"] / 1e6
        label = ", ".join([name, *(f"{SYMBOLS[key]} = {steps}" for key, steps in changes.items())])
        print(f"| {label} | {' | '.join(cells)} | {sent:.0f} |", flush=True)


if __name__ == "__main__":
    main()
