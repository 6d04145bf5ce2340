"""A trace as a file that chrome://tracing and ui.perfetto.dev open.

One JSON array of events, one event a line, without the closing bracket until the run ends: both viewers read such a
file, so that the trace of a run that was killed can be looked at. For all ranks in one view:
``jq -s add exp/NAME/trace/rank-*.json > all.json`` (of complete files; times have one origin on all ranks).
"""

import json
from pathlib import Path

from asrpar.files.paths import naming
from asrpar.log import get_logger
from asrpar.parallel.trace.spans import RecordingTrace

log = get_logger(__name__)


class TraceFile:
    """Writes the events of one rank.

    Args:
        path: replaced if it exists.
        trace: whose events are taken.
        rank: becomes the process of the viewer; activities are its threads.
        origin: `asrpar.parallel.comm.clocks.common_origin`.
    """

    def __init__(self, path: Path, trace: RecordingTrace, rank: int, origin: int) -> None:
        self.path, self.trace, self.rank, self.origin = path, trace, rank, origin
        self._named: set[int] = set()
        self._full = False
        path.parent.mkdir(parents=True, exist_ok=True)
        with naming(path):
            self._file = path.open("w", encoding="utf-8")
            self._file.write("[\n" + self._event("process_name", "M", 0, args={"name": f"rank {rank}"}))
            self._file.write(",\n" + self._event("process_sort_index", "M", 0, args={"sort_index": rank}))
            self._file.flush()

    def flush(self) -> None:
        """Write what has been recorded since the last call."""
        lines = []
        for track in list(self.trace.tracks):
            if track.number not in self._named:
                self._named.add(track.number)
                lines.append(self._event("thread_name", "M", track.number, args={"name": track.name}))
            # The thread goes on appending; what is taken away are the events that were copied.
            events = track.events[:]
            del track.events[: len(events)]
            for name, begin, nanoseconds, what in events:
                ts = round((begin - self.origin) * 1e-3, 3)
                if nanoseconds < 0:
                    lines.append(self._event(name, "C", track.number, ts=ts, args={name: what}))
                else:
                    times = {"ts": ts, "dur": round(nanoseconds * 1e-3, 3)}
                    lines.append(self._event(name, "X", track.number, **times, args=what))
        if self.trace.capacity <= 0 and not self._full:
            self._full = True
            note = "trace.max_events reached: no events from here on"
            ts = round((self.trace.clock() - self.origin) * 1e-3, 3)
            lines.append(self._event(note, "i", 0, ts=ts, s="p"))
            log.warning("%s is full (trace.max_events); totals are still kept", self.path)
        with naming(self.path):
            self._file.write("".join(",\n" + line for line in lines))
            self._file.flush()

    def close(self) -> None:
        """Write the rest and the end."""
        if self._file.closed:
            return
        self.flush()
        with naming(self.path):
            self._file.write("\n]\n")
            self._file.close()

    def _event(self, name: str, kind: str, thread: int, **more: object) -> str:
        event = {"name": name, "ph": kind, "pid": self.rank, "tid": thread, **more}
        return json.dumps(event, separators=(",", ":"))
