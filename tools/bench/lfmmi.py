"""Seconds and memory that LF-MMI takes for a batch, and how well torch and k2 agree; prints JSON.

    python tools/bench/lfmmi.py FEATS LANG [--utterances 32] [--repeat 3] [--set lm_order=3] [--tree FILE] [--check-k2]
        [--device cuda]

The batch is the first utterances of a set, with their lengths and transcripts; scores are drawn. Seconds are CPU
seconds of the process on CPUs, and wall time on GPUs; the network is not among them. ``--check-k2`` compares losses and
gradients, without a leak, which k2 does not have.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from asrpar.config import from_values
from asrpar.feats.store import StoredFeatures
from asrpar.lang.lang import Lang
from asrpar.nn.frontend import output_frames
from asrpar.nn.log_sum import OwnHmms
from asrpar.nn.losses.lfmmi import Loss, Settings
from asrpar.nn.objective import Sources
from asrpar.train.config import DataConfig
from asrpar.train.objective import LangTranscripts
from asrpar.train.phone_graphs import graphs_of


def peak_mb(device: str) -> float:
    """Most memory so far: of the process, or on the GPU."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return torch.cuda.max_memory_allocated() / 2**20


def measured(what: Callable[[], Tensor], scores: Tensor, device: str, repeat: int) -> dict[str, float]:
    """Forward and backward: the median of seconds after a first time, and how much the peak of memory rises."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    before, seconds = peak_mb(device), []
    for _ in range(repeat + 1):
        scores.grad = None
        begin = clock()
        what().sum().backward()
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(clock() - begin)
    middle = sorted(seconds[1:])[repeat // 2]
    return {"seconds": round(middle, 4), "peak_mb_more": round(peak_mb(device) - before, 1)}


def difference(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((a - b).abs().max() / b.abs().max())


def compare(loss: Loss, sources: Sources, scores: Tensor, lens: Tensor, targets: list) -> dict[str, float]:
    """How k2's loss and gradient differ from torch's, and torch's in float32 from float64."""
    found = {}
    for name, kind, dtype in (
        ("double", "torch", torch.float64),
        ("torch", "torch", torch.float32),
        ("k2", "k2", torch.float32),
    ):
        loss = Loss(replace(loss.settings, implementation=kind, leak=0.0), sources)
        x = scores.detach().to(dtype).requires_grad_()
        begin = time.process_time()
        value, used = loss.loss(x, lens, targets)
        value.backward()
        found[name] = value.detach().double(), x.grad.double(), time.process_time() - begin
    pairs = {
        "k2_and_torch": ("k2", "torch"),
        "k2_and_double": ("k2", "double"),
        "torch_and_double": ("torch", "double"),
    }
    return {
        **{f"{key}_{what}": difference(found[a][i], found[b][i])
           for key, (a, b) in pairs.items() for i, what in enumerate(("loss", "gradient"))},
        "utterances": sum(used),
        "cpu_seconds": {name: round(seconds, 3) for name, (_, _, seconds) in found.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("feats")
    parser.add_argument("lang")
    parser.add_argument("--split", default="train")
    parser.add_argument("--utterances", type=int, default=32)
    parser.add_argument("--subsampling", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tree", default="", help="tree.txt or its folder")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--check-k2", action="store_true")
    args = parser.parse_args()
    values = {key: json.loads(value) for key, _, value in (text.partition("=") for text in args.overrides)}
    settings = from_values(Settings, values, "")
    lang, data = Lang.load(args.lang), DataConfig(feats=args.feats, lang=args.lang, train=args.split, tree=args.tree)
    sources = Sources(LangTranscripts(lang), graphs=graphs_of(data, lang))
    begin = time.process_time()
    loss = Loss(settings, sources)
    result = {"graphs_cpu_seconds": round(time.process_time() - begin, 3)}
    graph = loss.graphs.denominator
    result["denominator"] = {"nodes": len(graph.pdfs), "arcs": len(graph.sources), "classes": loss.num_classes}
    utterances = StoredFeatures(args.feats, args.split).utterances[: args.utterances]
    begin = time.process_time()
    targets = [loss.targets(u) for u in utterances]
    lens = torch.tensor([output_frames(u.num_frames, args.subsampling) for u in utterances])
    result["numerators"] = {
        "cpu_seconds_each": round((time.process_time() - begin) / len(utterances), 5),
        "nodes_each": round(sum(len(t.hmm.pdfs) for t in targets) / len(targets), 1),
    }
    result["batch"] = {"utterances": len(utterances), "frames": int(lens.sum()), "longest": int(lens.max())}
    torch.manual_seed(0)
    scores = torch.randn(len(lens), int(lens.max()), loss.num_classes, device=args.device).requires_grad_()
    lens, hmms = lens.to(args.device), [t.hmm for t in targets]
    if settings.implementation == "torch":
        parts = {
            "denominator": lambda: loss.denominator(scores).log_sum(scores, lens),
            "numerators": lambda: OwnHmms(hmms, loss.num_classes, args.device).log_sum(scores, lens),
        }
        for name, part in parts.items():
            result[name] |= measured(part, scores, args.device, args.repeat)
    result["loss"] = measured(lambda: loss.loss(scores, lens, targets)[0], scores, args.device, args.repeat)
    if args.check_k2:
        result["check"] = compare(loss, sources, scores, lens, targets)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
