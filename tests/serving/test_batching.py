"""The line of requests: what is computed together, in which order, and what happens when something goes away."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from taskloom.serving.batching import Batcher, QueueFull, Stopping


@dataclass(frozen=True)
class Double:
    """Doubles numbers; a row costs `each` forwards."""

    each: int = 1

    def cost(self, _row: Any) -> int:
        return self.each


class Model:
    """Computes when it is let, and remembers its turns."""

    def __init__(self) -> None:
        self.turns: list[tuple[Double, list[int]]] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.begun = threading.Event()

    def __call__(self, work: Double, rows: list[int]) -> list[int]:
        self.begun.set()
        assert self.may_go.wait(30)
        self.turns.append((work, rows))
        if -1 in rows:
            raise ValueError("minus one")
        return [2 * row for row in rows]


def batcher(model: Model, **options: Any) -> Batcher:
    """Return a line with small limits."""
    return Batcher(model, **{"most_queued": 8, "gather_seconds": 0.0, "turn": 4} | options)


async def begin(line: Batcher, model: Model, work: Double, rows: list[int]) -> asyncio.Task[list[int]]:
    """Ask, and come back when the model is computing it."""
    model.begun.clear()
    model.may_go.clear()
    task = asyncio.create_task(line.answer(work, rows))
    assert await asyncio.to_thread(model.begun.wait, 30)
    return task


async def asked(line: Batcher, work: Double, rows: list[int]) -> asyncio.Task[list[int]]:
    """Ask, and come back when it stands in the line."""
    task = asyncio.create_task(line.answer(work, rows))
    await asyncio.sleep(0)
    return task


def test_equal_works_are_computed_together() -> None:
    """While the model computes, requests gather; those of equal work make one turn, each gets its own answers."""

    async def run() -> None:
        model = Model()
        line = batcher(model)
        first = await begin(line, model, Double(), [1])
        others = [await asked(line, Double(), [row, row + 1]) for row in (10, 20)]
        model.may_go.set()
        assert await asyncio.gather(first, *others) == [[2], [20, 22], [40, 42]]
        assert model.turns == [(Double(), [1]), (Double(), [10, 11, 20, 21])]
        line.close()

    asyncio.run(run())


def test_a_request_waits_for_others_only_so_long() -> None:
    """One alone is answered after the gathering time; two that come within it make one turn."""

    async def run() -> None:
        model = Model()
        line = batcher(model, gather_seconds=0.2)
        assert await line.answer(Double(), [3]) == [6]
        assert await asyncio.gather(line.answer(Double(), [1]), line.answer(Double(), [2])) == [[2], [4]]
        assert model.turns == [(Double(), [3]), (Double(), [1, 2])]
        line.close()

    asyncio.run(run())


def test_a_large_request_takes_turns_with_others() -> None:
    """A request of many turns goes to the end of the line after each, so the small one behind it waits for one."""

    async def run() -> None:
        model = Model()
        line = batcher(model)
        large = await begin(line, model, Double(), list(range(10)))
        small = await asked(line, Double(2), [100])
        model.may_go.set()
        assert await small == [200]
        assert await large == [2 * row for row in range(10)]
        assert [len(rows) for _, rows in model.turns] == [4, 4, 1, 2]
        line.close()

    asyncio.run(run())


def test_turns_count_forwards() -> None:
    """Rows that cost more make smaller turns, and a row dearer than a turn is still computed."""

    async def run() -> None:
        model = Model()
        line = batcher(model)
        assert await line.answer(Double(2), [1, 2, 3]) == [2, 4, 6]
        assert await line.answer(Double(9), [4, 5]) == [8, 10]
        assert [len(rows) for _, rows in model.turns] == [2, 1, 1, 1]
        line.close()

    asyncio.run(run())


def test_one_request_cannot_spoil_the_others() -> None:
    """When a turn fails, its requests are computed one by one, and only the culprit gets the error."""

    async def run() -> None:
        model = Model()
        line = batcher(model, gather_seconds=0.2)
        found = await asyncio.gather(
            line.answer(Double(), [1]), line.answer(Double(), [-1]), line.answer(Double(), [3]), return_exceptions=True
        )
        assert (found[0], found[2]) == ([2], [6])
        assert isinstance(found[1], ValueError)
        assert await line.answer(Double(), [5]) == [10]
        line.close()

    asyncio.run(run())


def test_who_goes_away_leaves_the_line() -> None:
    """A cancelled request is never computed and makes room for another."""

    async def run() -> None:
        model = Model()
        line = batcher(model, most_queued=1)
        first = await begin(line, model, Double(), [1])
        waiting = await asked(line, Double(), [2])
        with pytest.raises(QueueFull) as full:
            await line.answer(Double(), [3])
        assert 1 <= full.value.retry_after <= 60
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert line.queued == 0
        last = await asked(line, Double(), [4])
        model.may_go.set()
        assert [await first, await last] == [[2], [8]]
        assert model.turns == [(Double(), [1]), (Double(), [4])]
        line.close()

    asyncio.run(run())


def test_what_was_begun_is_answered_when_stopping() -> None:
    """After `refuse` what waits is answered, nothing new is taken, and the line becomes idle."""

    async def run() -> None:
        model = Model()
        line = batcher(model)
        first = await begin(line, model, Double(), [1])
        waiting = await asked(line, Double(2), [2])
        line.refuse()
        with pytest.raises(Stopping):
            await line.answer(Double(), [3])
        assert not line.idle
        model.may_go.set()
        assert [await first, await waiting] == [[2], [4]]
        line.close()
        assert line.idle

    asyncio.run(run())


def test_no_rows_need_no_model() -> None:
    """An empty request has an empty answer, and no turn."""
    model = Model()
    assert asyncio.run(batcher(model).answer(Double(), [])) == []
    assert model.turns == []
