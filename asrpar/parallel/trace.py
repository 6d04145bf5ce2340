"""What the time of a learner went to."""

from collections.abc import Iterator
from contextlib import contextmanager


class Trace:
    """Records spans of time and counts; this one forgets everything.

    Spans are named by what they are: ``compute`` (gradient), ``apply`` (local optimizer), ``data`` (waiting for a
    batch), and for messages the operation, such as ``allreduce``. Activities record into the same trace as the learner
    that they belong to; what they do is hidden behind its computing.
    """

    @contextmanager
    def span(self, name: str, **arguments: float) -> Iterator[None]:
        """Time what is done inside; ``arguments`` such as peer, bytes and staleness go with it."""
        yield

    def count(self, name: str, value: float) -> None:
        """Record one value of a quantity, such as ``staleness``."""
