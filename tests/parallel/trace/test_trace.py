"""What is recorded of the time: totals, events, the file that trace viewers open."""

import json
import threading
import time

import pytest

from asrpar.parallel.comm import LocalComm
from asrpar.parallel.comm.clocks import common_origin
from asrpar.parallel.trace import LAST_CLASS, RecordingTrace, Trace, timed
from asrpar.parallel.trace.file import TraceFile


class Clock:
    """Nanoseconds that pass when told."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def events(path):
    """A trace file as the viewers read it: the closing bracket may be missing."""
    text = path.read_text().rstrip()
    found = json.loads(text if text.endswith("]") else text + "]")
    return [e for e in found if e["ph"] != "M"], {
        e["tid"]: e["args"]["name"] for e in found if e["name"] == "thread_name"
    }


def test_the_null_trace_takes_everything_and_keeps_nothing():
    trace = Trace()
    with trace.span("exchange", peer=1, bytes=8):
        trace.count("staleness", 3)
    assert vars(trace) == {}


def test_a_span_counts_for_its_own_time_only(clock):
    trace = RecordingTrace(clock=clock)
    with trace.span("wait"):
        clock.now += 5
        with trace.span("allreduce", bytes=8, sent=12):
            clock.now += 7
            assert trace.doing() == "allreduce"
        assert trace.doing() == "wait"
    assert trace.doing() == ""
    assert trace.totals() == {
        "learner/allreduce": [1, pytest.approx(7e-9), 12],
        "learner/wait": [1, pytest.approx(5e-9), 0],
    }


def test_a_span_ends_with_an_error_too(clock):
    trace = RecordingTrace(clock=clock)
    with pytest.raises(ValueError, match="x"), trace.span("compute"):
        raise ValueError("x")
    assert trace.totals()["learner/compute"][0] == 1
    assert trace.doing() == ""


def test_what_other_threads_do_is_hidden(clock):
    trace = RecordingTrace(10, clock)

    def activity():
        with trace.span("exchange", sent=4):
            trace.count("staleness", 2)

    with trace.span("compute"):
        for name in ("one", "two"):
            thread = threading.Thread(target=activity, name=name)
            thread.start()
            thread.join()
    assert trace.totals() == {"learner/compute": [1, 0.0, 0], "hidden/exchange": [2, 0.0, 8]}
    assert [t.name for t in trace.tracks] == ["learner", "one", "two"]
    # The next thread of an activity goes on where its last one ended.
    thread = threading.Thread(target=activity, name="two")
    thread.start()
    thread.join()
    assert [t.totals.get("exchange", [0])[0] for t in trace.tracks] == [0, 1, 2]
    assert [c.number for c in trace.counts()["staleness"]] == [1, 2]


def test_counts(clock):
    trace = RecordingTrace(clock=clock)
    for value in (0, 1, 1, 3, 1000):
        trace.count("staleness", value)
    trace.count("consensus_distance", 0.25)
    [staleness] = trace.counts()["staleness"]
    assert staleness.histogram == {0: 1, 1: 2, 3: 1, LAST_CLASS: 1}
    assert (staleness.number, staleness.total, staleness.greatest, staleness.last) == (5, 1005, 1000, 1000)
    [distance] = trace.counts()["consensus_distance"]
    assert (distance.total, distance.histogram) == (0.25, {})


def test_a_method_as_a_span(clock):
    class Thing:
        trace = RecordingTrace(clock=clock)

        @timed("apply")
        def double(self, x, *, plus):
            """Doubles."""
            return 2 * x + plus

    assert Thing().double(3, plus=1) == 7
    assert Thing.trace.totals()["learner/apply"][0] == 1
    assert Thing.double.__doc__ == "Doubles."


def test_the_file(tmp_path, clock):
    trace = RecordingTrace(100, clock)
    clock.now = 5_000
    file = TraceFile(tmp_path / "trace" / "rank-3.json", trace, rank=3, origin=1_000)
    with trace.span("exchange", peer=1, bytes=8):
        clock.now += 2_500
    file.flush()
    # As a killed run leaves it, and again after more.
    found, names = events(file.path)
    assert found == [
        {"name": "exchange", "ph": "X", "pid": 3, "tid": 0, "ts": 4.0, "dur": 2.5, "args": {"peer": 1, "bytes": 8}}
    ]
    assert names == {0: "learner"}
    trace.count("staleness", 2)
    file.close()
    file.close()
    assert file.path.read_text().endswith("]\n")
    found, _ = events(file.path)
    assert found[1:] == [{"name": "staleness", "ph": "C", "pid": 3, "tid": 0, "ts": 6.5, "args": {"staleness": 2}}]


def test_a_full_file_says_so_and_the_totals_go_on(tmp_path, clock, caplog):
    trace = RecordingTrace(3, clock)
    file = TraceFile(tmp_path / "rank-0.json", trace, rank=0, origin=0)
    for _ in range(5):
        with trace.span("compute"):
            clock.now += 1
    with caplog.at_level("WARNING", logger="asrpar"):
        file.flush()
        file.close()
    found, _ = events(file.path)
    assert [e["name"] for e in found] == ["compute"] * 3 + ["trace.max_events reached: no events from here on"]
    assert trace.totals()["learner/compute"][0] == 5


def test_a_flush_loses_nothing_while_others_record(tmp_path):
    trace = RecordingTrace(10**6)
    file = TraceFile(tmp_path / "rank-0.json", trace, rank=0, origin=0)
    written = 3000

    def activity():
        for _ in range(written):
            with trace.span("send"):
                pass

    threads = [threading.Thread(target=activity) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(t.is_alive() for t in threads):
        file.flush()
    for thread in threads:
        thread.join()
    file.close()
    assert len(events(file.path)[0]) == 2 * written == trace.totals()["hidden/send"][0]


def test_twenty_spans_take_less_than_a_hundredth_of_a_step_of_50_ms(tmp_path):
    trace = RecordingTrace(10**6)
    file = TraceFile(tmp_path / "rank-0.json", trace, rank=0, origin=0)
    seconds = []
    for _ in range(10):
        before = time.thread_time()
        for _ in range(500):
            with trace.span("exchange", peer=1, bytes=4000, sent=4000):
                pass
        file.flush()
        seconds.append((time.thread_time() - before) / 500)
    assert 20 * min(seconds) < 0.01 * 0.05


def test_one_learner_begins_at_its_own_time(clock):
    assert common_origin(LocalComm(), clock) == 0


PROGRAM = """
import sys
import time
from pathlib import Path

import torch
from asrpar.parallel.comm import world
from asrpar.parallel.trace import RecordingTrace
from asrpar.parallel.comm.clocks import common_origin
from asrpar.parallel.trace.file import TraceFile

comm = world()
comm.trace = trace = RecordingTrace(1000)
file = TraceFile(Path(sys.argv[1]) / f"rank-{comm.rank}.json", trace, comm.rank, common_origin(comm))
channel = comm.channel()
other = 1 - comm.rank

def swap():
    for _ in range(3):
        channel.exchange(torch.ones(10), torch.zeros(10), other)
    channel.send(other, 1, (1.0,), torch.ones(4))
    channel.receive(torch.zeros(4))

activity = comm.spawn(swap, "swap")
for _ in range(3):
    comm.allreduce(torch.ones(6))
activity.join()
comm.barrier()
file.close()
sent = {name: total[2] for name, total in trace.totals().items()}
assert sent["learner/allreduce"] == 3 * 24, sent  # 2 (N - 1) / N of 24 bytes, three times
assert sent["hidden/exchange"] == 3 * 40, sent
assert sent["hidden/send"] == 16 + 64, sent  # payload and header
print("passed", flush=True)
"""


@pytest.mark.mpi
def test_ranks_share_one_time_and_tell_hidden_from_exposed(mpirun, tmp_path):
    assert mpirun(2, PROGRAM, tmp_path, timeout=180).stdout.count("passed") == 2
    both = [events(tmp_path / f"rank-{rank}.json") for rank in (0, 1)]
    for rank, (found, names) in enumerate(both):
        assert {e["pid"] for e in found} == {rank}
        assert {names[e["tid"]] for e in found if e["name"] == "exchange"} == {"swap"}
        assert all(e["args"]["peer"] == 1 - rank for e in found if e["name"] in ("exchange", "send", "receive"))
    for name in ("allreduce", "barrier"):
        spans = [[(e["ts"], e["ts"] + e["dur"]) for e in found if e["name"] == name] for found, _ in both]
        assert len(spans[0]) == len(spans[1]) > 0
        for (begin, end), (others_begin, others_end) in zip(*spans, strict=True):
            # Nobody leaves before everybody has come: only on one clock does that hold.
            assert max(begin, others_begin) <= min(end, others_end)
