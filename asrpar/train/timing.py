"""What the training time went to: fractions by rank, bytes, staleness; for the log, ``train.json`` and TensorBoard.

Training time is that of the epochs, without dev sets and checkpoints. A rank's own thread computes (gradient, local
optimizer), waits for data, or waits for others (exposed communication); what its activities send meanwhile is hidden
communication.
"""

from pathlib import Path
from typing import Any

from asrpar.log import get_logger
from asrpar.numbers import ratio
from asrpar.parallel.comm import Comm
from asrpar.parallel.comm.clocks import common_origin
from asrpar.parallel.trace import Count
from asrpar.parallel.trace.file import TraceFile
from asrpar.train.config import TraceConfig

log = get_logger(__name__)

# Spans that are no communication, and the fraction that they belong to.
SHARES = {"compute": "compute", "straggle": "compute", "apply": "apply", "data": "data"}
# An activity that waits to be called is idle.
IDLE = "hidden/wait"
# Ranks that the log shows one by one.
SHOWN = 16

Spans = dict[str, list[float]]
Counts = dict[str, dict[str, Any]]


def combine(a: Spans, b: Spans, sign: int = 1) -> Spans:
    """Sum (or difference) of [number, seconds, bytes] by name."""
    zero = [0, 0.0, 0]
    return {k: [x + sign * y for x, y in zip(a.get(k, zero), b.get(k, zero), strict=True)] for k in a.keys() | b.keys()}


def count_values(counts: list[Count]) -> dict[str, Any]:
    """Several `Count` of one quantity as one set of plain values."""
    parts = [{name: getattr(c, name) for name in Count.__slots__} for c in counts]
    return combine_counts(parts)


def combine_counts(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The values of one quantity from several places; the last place's last value is the last."""
    histogram: dict[int, int] = {}
    for part in parts:
        for at, number in part["histogram"].items():
            histogram[at] = histogram.get(at, 0) + number
    return {
        "number": sum(p["number"] for p in parts),
        "total": sum(p["total"] for p in parts),
        "greatest": max(p["greatest"] for p in parts),
        "last": parts[-1]["last"],
        "histogram": histogram,
    }


def fractions(spans: Spans, seconds: float, frames: float) -> dict[str, float]:
    """What one rank did in ``seconds`` of training: fractions of that time, and rates."""
    parts = dict.fromkeys(("compute", "apply", "data", "waiting", "hidden"), 0.0)
    messages = sent = 0
    for key, (number, duration, size) in spans.items():
        where, _, name = key.partition("/")
        if key != IDLE:
            parts["hidden" if where == "hidden" and name not in SHARES else SHARES.get(name, "waiting")] += duration
        sent += size
        messages += number if size else 0
    own = sum(parts.values()) - parts["hidden"]
    # Of no time there are no fractions: NaN, which stays the greater of itself and 0.
    found = {"frames_per_second": ratio(frames, seconds)} | {k: ratio(v, seconds) for k, v in parts.items()}
    found["other"] = max(1.0 - ratio(own, seconds), 0.0)
    return found | {"bytes_sent": float(sent), "messages": float(messages)}


def mean(ranks: list[dict[str, float]]) -> dict[str, float]:
    """The mean over ranks, by name."""
    return {k: sum(r[k] for r in ranks) / len(ranks) for k in ranks[0]}


class Timing:
    """Measures one rank, and combines all; puts its trace into ``comm``, which what is made from it later inherits.

    Args:
        comm: all learners. Collective.
        folder: of the trace files, ``EXP/trace``.
        config: whether to write them.

    Attributes:
        trace: everybody's on this rank.
        frames: that this rank has been given in the training time; to be added to by the caller.
    """

    def __init__(self, comm: Comm, folder: Path, config: TraceConfig) -> None:
        self.comm, self.rank = comm, comm.seat
        comm.trace = self.trace = comm.recording(config.max_events if config.enabled else 0)
        self.seconds = 0.0
        self.frames = 0.0
        self._spans: Spans = {}
        self._earlier: Counts = {}
        self._clock, self._mark = comm.clock(), self.trace.totals()
        self._epoch: tuple[Spans, float, float, Counts] = ({}, 0.0, 0.0, {})
        self._file: TraceFile | None = None
        if config.enabled:
            origin = common_origin(comm, self.trace.clock)
            self._file = TraceFile(folder / f"rank-{self.rank}.json", self.trace, self.rank, origin)

    def regroup(self, comm: Comm) -> None:
        """Go on among the learners of ``comm`` after others were lost."""
        self.comm, comm.trace = comm, self.trace

    def begin(self) -> None:
        """Training time begins to count."""
        self._clock, self._mark = self.comm.clock(), self.trace.totals()

    def lap(self) -> float:
        """Seconds since `begin` or the last `lap`, which are now counted."""
        now, mark = self.comm.clock(), self.trace.totals()
        seconds = now - self._clock
        self.seconds += seconds
        self._spans = combine(self._spans, combine(mark, self._mark, -1))
        self._clock, self._mark = now, mark
        self.flush()
        return seconds

    def elapsed(self) -> float:
        """Seconds of training so far, those since the last `lap` included."""
        return self.seconds + self.comm.clock() - self._clock

    def flush(self) -> None:
        """Write the events so far to the trace file."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """End the trace file."""
        if self._file is not None:
            self._file.close()

    def counts(self) -> Counts:
        """This rank's quantities, by name."""
        here = {name: count_values(counts) for name, counts in self.trace.counts().items()}
        both = self._earlier.keys() | here.keys()
        return {n: combine_counts([c[n] for c in (self._earlier, here) if n in c]) for n in both}

    def end_epoch(self) -> dict[str, float]:
        """Scalars about the training time since the last call, means over all ranks. Collective."""
        spans, seconds, frames, counts = self._epoch
        now = self.counts()
        found = fractions(combine(self._spans, spans, -1), self.seconds - seconds, self.frames - frames)
        new = {n: (c["number"], c["total"]) for n, c in now.items()}
        before = {n: (c["number"], c["total"]) for n, c in counts.items()}
        changes = {n: (a - before.get(n, (0, 0))[0], b - before.get(n, (0, 0))[1]) for n, (a, b) in new.items()}
        self._epoch = (self._spans, self.seconds, self.frames, now)
        everyone = self.comm.allgather_object((found, changes))
        scalars = mean([f for f, _ in everyone])
        for name in sorted({n for _, c in everyone for n in c}):
            number = sum(c[name][0] for _, c in everyone if name in c)
            if number:
                scalars[name] = sum(c[name][1] for _, c in everyone if name in c) / number
        return {f"time/{k}": v for k, v in scalars.items()}

    def summary(self) -> dict[str, Any]:
        """All ranks and their mean, and each quantity over all ranks; for ``train.json``. Collective."""
        spans = {k: {"number": n, "seconds": t, "sent": b} for k, (n, t, b) in sorted(self._spans.items()) if n}
        own = {"rank": self.rank, "seconds": self.seconds, "frames": self.frames}
        own |= fractions(self._spans, self.seconds, self.frames)
        everyone = self.comm.allgather_object((own, spans, self.counts()))
        found: dict[str, Any] = {
            "mean": {k: v for k, v in mean([own for own, _, _ in everyone]).items() if k != "rank"}
        }
        found["ranks"] = [own | {"spans": spans} for own, spans, _ in everyone]
        for name in sorted({n for *_, c in everyone for n in c}):
            values = combine_counts([c[name] for *_, c in everyone if name in c])
            found[name] = {
                "number": values["number"],
                "mean": ratio(values["total"], values["number"]),
                "max": values["greatest"],
                "last": values["last"],
                "histogram": {str(at): n for at, n in sorted(values["histogram"].items())},
            }
        return found

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run adds to."""
        return {
            "seconds": self.seconds,
            "frames": self.frames,
            "spans": self._spans,
            "counts": self.counts(),
            "epoch": self._epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Add to an earlier run's."""
        self.seconds, self.frames = state["seconds"], state["frames"]
        self._spans, self._earlier = state["spans"], state["counts"]
        # Earlier versions did not save it.
        self._epoch = state.get("epoch") or (self._spans, self.seconds, self.frames, self.counts())


def table(summary: dict[str, Any]) -> str:
    """`Timing.summary` for people: fractions in percent of the training time."""
    columns = ("compute", "apply", "data", "waiting", "other", "hidden")
    lines = [f"{'rank':>5} {'frames/s':>10}" + "".join(f"{c:>9}" for c in columns) + f"{'MB sent':>10}{'messages':>10}"]
    ranks = summary["ranks"]
    if len(ranks) > SHOWN:
        ranks = sorted(ranks, key=lambda r: r["waiting"])
        ranks = ranks[: SHOWN // 2] + ranks[-SHOWN // 2 :]
    for r in [*ranks, {"rank": "mean"} | summary["mean"]]:
        row = f"{r['rank']:>5} {r['frames_per_second']:>10.0f}" + "".join(f"{100 * r[c]:>9.1f}" for c in columns)
        lines.append(row + f"{r['bytes_sent'] / 1e6:>10.1f}{r['messages']:>10.0f}")
    for name, value in summary.items():
        if name in ("ranks", "mean"):
            continue
        line = (
            f"{name.replace('_', ' ')}: mean {value['mean']:.4g}, greatest {value['max']:.4g}, last {value['last']:.4g}"
        )
        if name == "staleness":
            line += "; " + ", ".join(f"{at}: {n}" for at, n in value["histogram"].items())
        lines.append(line)
    return "\n".join(lines)
