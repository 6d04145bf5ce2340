"""Memory and time of stage 1 of Switchboard with Fisher: a tree of made-up calls, of as many lines as the real ones.

    .venv/bin/python tools/bench/calls.py --folder FOLDER --share 0.1 --output calls.json

With ``--share 1`` there are 2,435 calls of Switchboard and 11,699 of Fisher with some 2.4 million lines; less makes
fewer calls. Text is drawn from a small vocabulary; audio files are headers of Sphere with a hole behind them, which
takes no disk. `asrpar prepare-manifests swbd --partial` and `asrpar validate-data` run in processes of their own.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from lm import WATCH

RATE, SECONDS = 8000, 600
CALLS = {"switchboard": (2435, 110), "fisher": (11699, 190)}  # calls, and lines of both sides together
WORDS = ["yeah", "right", "uh-huh", "so", "i", "think", "we", "were", "to", "the", "house", "with", "a", "dog", "no"]


def sphere(path: Path) -> None:
    """A header of two mu-law channels, and a hole."""
    fields = f"sample_count -i {RATE * SECONDS}\nsample_n_bytes -i 1\nchannel_count -i 2\nsample_rate -i {RATE}\n"
    head = f"NIST_1A\n   1024\n{fields}sample_coding -s4 ulaw\nend_head\n".encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(head.ljust(1024))
        file.truncate(1024 + 2 * RATE * SECONDS)


def lines(rng: np.random.Generator, count: int) -> list[tuple[float, float, str]]:
    """Times and words of one side."""
    ends = np.sort(rng.uniform(1, SECONDS - 1, 2 * count)).round(2).reshape(-1, 2)
    words = rng.integers(0, len(WORDS), (count, 30))
    sizes = rng.integers(1, 30, count)
    return [
        # Nobody says more than three words a second.
        (start, end, " ".join(WORDS[w] for w in row[: max(1, min(n, int(3 * (end - start))))]))
        for (start, end), row, n in zip(ends.tolist(), words.tolist(), sizes.tolist(), strict=True)
        if end - start > 0.1
    ]


def make(folder: Path, share: float) -> None:
    """The tree."""
    rng = np.random.default_rng(0)
    calls, turns = CALLS["switchboard"]
    for number in range(2001, 2001 + int(share * calls)):
        sphere(folder / f"swb1/sw0{number}.sph")
        for side in "AB":
            name = f"sw{number}{side}-ms98-a"
            rows = enumerate(lines(rng, turns // 2), 1)
            path = folder / f"swb_ms98_transcriptions/{number // 100}/{number}/{name}-trans.text"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{name}-{i:04d} {a:.6f} {b:.6f} {text}\n" for i, (a, b, text) in rows))
    entries = "".join(f"{word} {' '.join('ah' for _ in word)}\n" for word in sorted(WORDS))
    (folder / "swb_ms98_transcriptions/sw-ms98-dict.text").write_text(f"A lexicon of nothing\n{entries}")
    calls, turns = CALLS["fisher"]
    for number in range(1, 1 + int(share * calls)):
        sphere(folder / f"fisher/audio/{number // 100:03d}/fe_03_{number:05d}.sph")
        rows = sorted((a, b, side, text) for side in "AB" for a, b, text in lines(rng, turns // 2))
        path = folder / f"fisher/trans/{number // 100:03d}/fe_03_{number:05d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# x\n\n" + "".join(f"{a:.2f} {b:.2f} {side}: {text} \n" for a, b, side, text in rows))


def measured(what: str, command: list[str]) -> dict:
    """What a command took."""
    began = time.perf_counter()
    watched = [sys.executable, "-c", WATCH, sys.executable, "-m", "asrpar", *command]
    done = subprocess.run(watched, stdout=subprocess.PIPE, text=True)
    told = next(x.split()[1:] for x in done.stdout.splitlines() if x.startswith("MAXRSS"))
    row = {"step": what, "exit": done.returncode, "seconds": round(time.perf_counter() - began, 1)}
    row |= {"memory_mb": round(int(told[0]) / 1024), "cpu_seconds": float(told[2])}
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="gets the tree, which is used again")
    parser.add_argument("--share", type=float, default=1.0, help="of the calls")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    tree, manifests = args.folder / f"tree_{args.share:g}", args.folder / f"manifests_{args.share:g}"
    if not (tree / "made").exists():
        make(tree, args.share)
        (tree / "made").touch()
    options = ["--corpus-dir", str(tree), "--output", str(manifests), "--partial", "--set", "size=swb2000"]
    options += ["--set", f"dev_size={int(4000 * args.share)}"]
    rows = [measured("prepare-manifests", ["prepare-manifests", "swbd", *options])]
    rows.append(measured("validate-data", ["validate-data", str(manifests), "--sampling-rate", "8000"]))
    if args.output:
        args.output.write_text(json.dumps({"share": args.share, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
