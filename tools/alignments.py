"""How well an alignment agrees with another one, with true times, or with the spikes of a CTC model; prints JSON.

    python tools/alignments.py ALI --with ALI2 [--set train]
    python tools/alignments.py ALI --true CORPUS/utterances.jsonl          (of asrpar synthesize)
    python tools/alignments.py ALI --exp EXP --feats FEATS --lang LANG     (EXP trained with ctc)

Bounds are begins and ends of words; copies at other speeds are left out unless --copies is given.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from asrpar.align.agreement import agreement, spikes_inside, word_times
from asrpar.align.config import AlignConfig
from asrpar.align.contract import Given
from asrpar.align.data import AlignSet
from asrpar.align.spikes import find_spikes
from asrpar.align.trained import ModelScorer, load_model
from asrpar.errors import ConfigError
from asrpar.feats.store import FeatureStore
from asrpar.graph.utterance import UtteranceHmms
from asrpar.hmm.alignments import Alignments
from asrpar.lang.lang import Lang

TOLERANCES = (0.02, 0.05, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ali", metavar="ALI")
    parser.add_argument("--with", dest="other", metavar="ALI2")
    parser.add_argument("--true", metavar="FILE", help="utterances.jsonl of a synthetic corpus")
    parser.add_argument("--exp", metavar="EXP")
    parser.add_argument("--feats", metavar="FEATS")
    parser.add_argument("--lang", metavar="LANG")
    parser.add_argument("--set", dest="split", default="train")
    parser.add_argument("--copies", action="store_true")
    args = parser.parse_args()
    ali = Alignments.open(args.ali)
    found = {"ali": args.ali, "set": args.split, "method": ali.info.method}
    mine = {u: t for u, t in word_times(ali, args.split).items() if args.copies or not u.startswith("sp")}
    if args.other:
        found["with"] = args.other
        found |= compared(mine, word_times(Alignments.open(args.other), args.split))
    if args.true:
        lines = map(json.loads, Path(args.true).read_text(encoding="utf-8").splitlines())
        found |= compared(mine, {u["id"]: np.array(u["times"]) for u in lines})
    if args.exp:
        found |= inside(ali, args)
    print(json.dumps(found, indent=1))


def compared(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, object]:
    """Figures of two alignments."""
    both = agreement(first, second)
    begin, end = both.medians
    return {
        "words": both.words,
        **{f"bounds within {1000 * t:.0f} ms": round(both.within(t), 4) for t in TOLERANCES},
        **{f"words with both within {1000 * t:.0f} ms": round(both.both_within(t), 4) for t in TOLERANCES},
        "median error ms": round(1000 * both.median_error, 1),
        "median difference of begins, ends ms": [round(1000 * begin, 1), round(1000 * end, 1)],
    }


def inside(ali: Alignments, args: argparse.Namespace) -> dict[str, object]:
    """Figures of spikes."""
    exp = Path(args.exp)
    given = Given(AlignConfig(method="ctc"), Lang.load(args.lang), Path(args.feats), "cpu", exp, exp / "final.pt")
    module, facts = load_model(given)
    if facts["blank"] is None:
        raise ConfigError(f"{exp} was trained with {facts['loss']}, which has no spikes: give a model trained with ctc")
    identity = facts["identity"]
    store = FeatureStore(args.feats, args.split, 0, identity and identity.mean_std)
    hmms = UtteranceHmms(given.lang, ali.tree)
    one = AlignSet(store, hmms)
    items = one.items if args.copies else one.originals()
    spikes = find_spikes(store, items, hmms, ModelScorer(module, "cpu"), given.config.max_frames)
    counts = {t: spikes_inside(ali, args.split, spikes, t) for t in (0.0, 0.03)}
    return {
        "exp": args.exp,
        "spikes": counts[0.0][1],
        **{f"spikes inside, tolerance {1000 * t:.0f} ms": round(good / n, 4) for t, (good, n) in counts.items()},
    }


if __name__ == "__main__":
    main()
