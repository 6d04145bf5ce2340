"""What a learner's time goes to: spans and counts of each thread, and the file that shows them."""

from asrpar.parallel.trace.spans import LAST_CLASS, Count, RecordingTrace, Span, Trace, Track, timed

__all__ = ["LAST_CLASS", "Count", "RecordingTrace", "Span", "Trace", "Track", "timed"]
