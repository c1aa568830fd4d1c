"""Every error a user can cause, one class a cause.

A `UserError` says in one message what was given, what is allowed and what to type next; the command line prints it
without a traceback and exits with 2. Anything else is our fault and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class TaskloomError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line exits with."""

    exit_code = 1


class TrainingFailed(TaskloomError):
    """Training cannot go on (a non-finite loss, nothing left to train on)."""


class Interrupted(TaskloomError):
    """A signal ended the run after its state was saved; exits as shells expect, 128 plus the signal's number."""

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class UserError(TaskloomError):
    """Something that the user can mend: the message says how."""

    exit_code = 2


class ConfigError(UserError):
    """A RUN.toml or an override is wrong."""


class UnknownTaskError(UserError):
    """A task, pattern or collection that nothing matches."""


class RecipeError(UserError):
    """A recipe contradicts itself or the schema of its data set."""


class SourceError(UserError):
    """Rows cannot be read: no file, no mirror and no network, an unreadable format."""


class DataError(UserError):
    """Rows were read and are not what the recipe says."""


class RecastError(DataError):
    """A task's labels cannot be said in words, so that it cannot be recast; the task itself is as usable as before."""


class StoreError(UserError):
    """A prepared store is damaged or belongs to something else."""


class CheckpointError(UserError):
    """A run folder or a checkpoint is damaged or belongs to something else."""


class ModelError(UserError):
    """A model folder cannot be used for what was asked."""


def nearest(word: str, allowed: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` allowed names that look like `word`, best first."""
    by_folded = {name.casefold(): name for name in allowed}
    return [by_folded[found] for found in difflib.get_close_matches(word.casefold(), by_folded, n=count, cutoff=0.6)]


def some_of_names(names: Sequence[str], most: int) -> str:
    """Return "a, b, c and 4 more": the first names, and how many others there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return " Did you mean 'x' or 'y'?", or an empty string when nothing is near."""
    names = [repr(name) for name in nearest(word, allowed)]
    return f" Did you mean {' or '.join(names)}?" if names else ""
