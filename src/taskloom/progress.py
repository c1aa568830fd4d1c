"""How long work speaks: bars on a terminal, plain lines otherwise, nothing when used as a library.

Everything goes to standard error, so that standard output stays free for results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Rich
    from rich.progress import TaskID


class Bar(Protocol):
    """A piece of work with a known length."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count `amount` as done; `note` is shown beside the bar."""


class Progress:
    """The silent one: the base of the others and the default of every function."""

    def say(self, message: str) -> None:
        """Tell the user one line."""

    @contextmanager
    def bar(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        """Show work of `total` units, `done` of which are done already."""
        yield _NoBar()


class _NoBar:
    def advance(self, amount: int = 1, note: str = "") -> None:
        """Show nothing."""


class LineProgress(Progress):
    """Plain lines for logs: one when work starts and then at most one every `every` seconds."""

    def __init__(self, *, every: float = 10.0) -> None:
        self.every = every

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    @contextmanager
    def bar(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        self.say(f"{title}: {done} of {total}")
        line = _LineBar(title, total, done, every=self.every, say=self.say)
        yield line
        if line.done != line.told:
            line.tell()


class _LineBar:
    def __init__(self, title: str, total: int, done: int, *, every: float, say: Callable[[str], None]) -> None:
        self.title, self.total, self.done, self.told = title, total, done, done
        self._every, self._say, self._last, self._note = every, say, time.monotonic(), ""

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self._note = note
        if time.monotonic() - self._last >= self._every:
            self.tell()

    def tell(self) -> None:
        self._last, self.told = time.monotonic(), self.done
        self._say(f"{self.title}: {self.done} of {self.total}" + (f", {self._note}" if self._note else ""))


class TerminalProgress(Progress):
    """Bars drawn by rich."""

    def say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    @contextmanager
    def bar(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with RichProgress(*columns, console=Console(stderr=True)) as rich:
            yield _RichBar(rich, rich.add_task(title, total=total, completed=done, note=""))


class _RichBar:
    def __init__(self, rich: Rich, task: TaskID) -> None:
        self._rich, self._task = rich, task

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._rich.update(self._task, advance=amount, note=note)


def for_stream() -> Progress:
    """Return bars when standard error is a terminal, and plain lines otherwise."""
    return TerminalProgress() if sys.stderr.isatty() else LineProgress()
