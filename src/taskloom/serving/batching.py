"""Requests that wait, and the one thread that answers them, many at a time.

Torch runs in a thread of its own, so that the server goes on listening. The oldest request decides what is computed
next; others that ask the same of the model join it, and it waits a few milliseconds for them. A turn is at most TURN
forwards: what is left of a large request goes to the end of the line, so that it cannot make the others wait for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from taskloom.serving.works import Work

TURN = 256
"""Forwards that are computed before the next in line has its turn. With a 22M encoder on two cores that is 0.3 s."""
LONGEST_RETRY = 60


Compute = Callable[[Any, list[Any]], Sequence[Any]]
"""(work, rows) -> an answer for each row."""


class QueueFull(Exception):
    """Too many requests wait; `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many requests wait. Try again in {retry_after} s.")
        self.retry_after = retry_after


class Stopping(Exception):
    """The server is about to end and takes nothing new."""


class Job:
    """One request in the line: what it asks, how many of its rows are `taken`, and who is `told`.

    `waiting` counts the forwards that have not begun.
    """

    def __init__(self, work: Work, rows: Sequence[Any], told: asyncio.Future[list[Any]]) -> None:
        self.work = work
        self.rows = rows
        self.told = told
        self.taken = 0
        self.waiting = sum(map(work.cost, rows))
        self.answers: list[Any] = []
        self.arrived = time.monotonic()

    def take(self, room: int) -> list[Any]:
        """Return the next rows that fit into `room` forwards, at least one if there is any room at all."""
        start = self.taken
        while self.taken < len(self.rows) and room > 0:
            cost = self.work.cost(self.rows[self.taken])
            if cost > room and self.taken > start:
                break
            room -= cost
            self.waiting -= cost
            self.taken += 1
        return list(self.rows[start : self.taken])


Turn = list[tuple[Job, list[Any]]]


class Batcher:
    """A line of jobs and a thread that works on it, begun with the first job.

    `seen` is called in the thread after each turn with the work, the number of jobs, of rows, and the seconds it took.
    """

    def __init__(
        self,
        compute: Compute,
        *,
        most_queued: int,
        gather_seconds: float,
        turn: int = TURN,
        seen: Callable[[Any, int, int, float], None] | None = None,
    ) -> None:
        self._compute = compute
        self._most_queued = most_queued
        self._gather_seconds = gather_seconds
        self._turn = turn
        self._seen = seen
        self._line: deque[Job] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._closed = False
        self._seconds_a_forward = 0.002
        self.stopping = False
        self._thread: threading.Thread | None = None

    @property
    def queued(self) -> int:
        """The number of requests that wait, those begun in part included."""
        return len(self._line)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being computed."""
        with self._changed:
            return not self._line and not self._busy

    def open(self) -> None:
        """Take requests, again if it was closed."""
        self.stopping = self._closed = False

    def refuse(self) -> None:
        """Take nothing new; what waits is still answered. Safe in a signal handler: it takes no lock."""
        self.stopping = True

    async def answer(self, work: Work, rows: Sequence[Any]) -> list[Any]:
        """Return the answers to `rows`, in order; when the caller is cancelled, its job leaves the line.

        Raises Stopping, QueueFull, or what computing these very rows raised.
        """
        if not rows:
            return []
        job = self._enter(work, rows)
        try:
            return await job.told
        finally:
            self._leave(job)

    def close(self, *, wait: float = 10.0) -> None:
        """End the thread after the turn that it is in; jobs that still wait are cancelled."""
        self.stopping = True
        with self._changed:
            self._closed = True
            left, self._line = self._line, deque()
            self._changed.notify_all()
        for job in left:
            job.told.cancel()
        if self._thread is not None:
            self._thread.join(wait)
            self._thread = None

    def _enter(self, work: Work, rows: Sequence[Any]) -> Job:
        if self.stopping:
            raise Stopping
        job = Job(work, rows, asyncio.get_running_loop().create_future())
        with self._changed:
            if len(self._line) >= self._most_queued:
                raise QueueFull(self._retry_after())
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="taskloom-model", daemon=True)
                self._thread.start()
            self._line.append(job)
            self._changed.notify_all()
        return job

    def _leave(self, job: Job) -> None:
        with self._changed, contextlib.suppress(ValueError):  # an answered job stands in the line no longer
            self._line.remove(job)

    def _retry_after(self) -> int:
        seconds = self._seconds_a_forward * sum(job.waiting for job in self._line)
        return min(LONGEST_RETRY, max(1, math.ceil(seconds)))

    def _work(self) -> None:
        while (turn := self._next_turn()) is not None:
            started = time.monotonic()
            work = turn[0][0].work
            rows = [row for _, some in turn for row in some]
            done = self._answer_turn(turn)
            seconds = time.monotonic() - started
            rate = seconds / max(1, sum(map(work.cost, rows)))
            self._seconds_a_forward += 0.2 * (rate - self._seconds_a_forward)
            if self._seen is not None:
                self._seen(work, len(turn), len(rows), seconds)
            for job, error in done:
                _tell(job, error)
            with self._changed:
                self._busy = False

    def _next_turn(self) -> Turn | None:
        """Wait for work and return the next turn, or None when closed."""
        with self._changed:
            while not self._closed:
                if not self._line:
                    self._changed.wait()
                    continue
                rest = self._line[0].arrived + self._gather_seconds - time.monotonic()
                if rest <= 0 or self.stopping or self._is_full(self._line[0].work):
                    self._busy = True
                    return self._take_turn()
                self._changed.wait(rest)
        return None

    def _is_full(self, work: Work) -> bool:
        return sum(job.waiting for job in self._line if job.work == work) >= self._turn

    def _take_turn(self) -> Turn:
        work, room, turn = self._line[0].work, self._turn, []
        for job in [job for job in self._line if job.work == work]:
            if room <= 0:
                break
            some = job.take(room)
            room -= sum(map(work.cost, some))
            turn.append((job, some))
        begun = {id(job) for job, _ in turn}
        unfinished = [job for job, _ in turn if job.taken < len(job.rows)]
        self._line = deque([*(job for job in self._line if id(job) not in begun), *unfinished])
        return turn

    def _answer_turn(self, turn: Turn) -> list[tuple[Job, Exception | None]]:
        """Compute a turn and return the jobs that are done, with what went wrong.

        When a turn fails, each of its jobs is computed by itself, so that one cannot spoil the others' answers.
        """
        try:
            answers = self._compute(turn[0][0].work, [row for _, some in turn for row in some])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the job's answer, and the thread goes on
            if len(turn) == 1:
                self._leave(turn[0][0])
                return [(turn[0][0], error)]
            return [done for part in turn for done in self._answer_turn([part])]
        start = 0
        for job, some in turn:
            job.answers += answers[start : start + len(some)]
            start += len(some)
        return [(job, None) for job, _ in turn if len(job.answers) == len(job.rows)]


def _tell(job: Job, error: Exception | None) -> None:
    def tell() -> None:
        if job.told.done():
            return
        if error is None:
            job.told.set_result(job.answers)
        else:
            job.told.set_exception(error)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
        job.told.get_loop().call_soon_threadsafe(tell)
