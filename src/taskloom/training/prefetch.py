"""Batches made ahead of their step, in a thread: tokens are ready when the arithmetic asks for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from taskloom.training.gradients import StepBatch, Totals


def batches_with_clock(batches: Iterator[StepBatch], totals: Totals) -> Iterator[StepBatch]:
    """Pass batches on, counting the time spent waiting for them as "data"."""
    while True:
        with totals.clock("data"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextmanager
def prefetch(
    batch_of: Callable[[int], StepBatch], first: int, last: int, *, ahead: int = 3
) -> Iterator[Iterator[StepBatch]]:
    """Make the batches of steps `first` to `last` in a thread, at most `ahead` early; errors reach the reader."""
    ready: queue.Queue[StepBatch | BaseException | None] = queue.Queue(ahead)
    leave = threading.Event()

    def put(item: StepBatch | BaseException | None) -> None:
        while not leave.is_set():
            try:
                ready.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in range(first, last + 1):
                put(batch_of(step))
                if leave.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001  handed to the reader, which raises it
            put(error)

    def read() -> Iterator[StepBatch]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=work, daemon=True, name="batches")
    thread.start()
    try:
        yield read()
    finally:
        leave.set()
        thread.join()
