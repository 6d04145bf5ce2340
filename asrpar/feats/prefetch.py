"""An iterator that runs ahead in a background thread."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

_END = object()


def prefetch(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    """Yield ``items`` in order, making up to ``depth`` of them ahead of the consumer, 0 for none.

    An exception of ``items`` is raised in the consumer, after the items before it. When the consumer stops early
    (closes or forgets the generator), the thread ends before its current item is handed over.
    """
    if depth == 0:
        yield from items
        return
    ready: queue.Queue = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(what: object) -> bool:
        while not stop.is_set():
            try:
                ready.put(what, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as e:  # raised again in the consumer
            put((_END, e))

    thread = threading.Thread(target=work, name="asrpar-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        # The garbage collector may close a forgotten generator, and it may do so in this very thread.
        if thread is not threading.current_thread():
            thread.join()
