"""How many batches and frames a second the loader makes by itself, without a trainer; prints JSON.

    python tools/bench/loader.py FEATS [--split train] [--epochs 3] [--learners 2] [--set size=40000]

The first epoch reads from disk and fills the cache; the others tell what training sees.
"""

import argparse
import json
import time

from asrpar.config import load_config
from asrpar.feats.batches import BatchLoader
from asrpar.feats.config import BatchConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("feats")
    parser.add_argument("--split", default="train")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learners", type=int, default=1, help="measure rank 0 of so many learners")
    parser.add_argument("--no-augment", action="store_true")
    parser.add_argument("--config", help="BatchConfig in YAML")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    config = load_config(BatchConfig, args.config, args.overrides)
    begin = time.perf_counter()
    loader = BatchLoader(args.feats, args.split, config, 0, args.learners, 0, augment=not args.no_augment)
    result = {"feats": args.feats, "split": args.split, "learners": args.learners, "augment": not args.no_augment}
    result["open_seconds"] = round(time.perf_counter() - begin, 3)
    result["epochs"] = []
    for epoch in range(args.epochs):
        begin = time.perf_counter()
        batches = frames = padded = 0
        for batch in loader.epoch(epoch):
            batches += 1
            frames += batch.num_frames
            padded += batch.features.shape[0] * batch.features.shape[1]
        seconds = time.perf_counter() - begin
        result["epochs"].append(
            {
                "seconds": round(seconds, 3),
                "batches_per_second": round(batches / seconds, 1),
                "frames_per_second": round(frames / seconds),
                "padding": round(1 - frames / padded, 4),
            }
        )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
