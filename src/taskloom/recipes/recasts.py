"""A task said in other words: the recipe of a recast, its id, and label names that a text can be asked about.

A recast is a task of its own, `ID+FORM`, made of the canonical rows of another: it has its own place in results and
mixture, and reads the head of its new kind. Label names are what a recast consists of, so a task whose labels say
nothing (digits, yes and no, LABEL_0) is refused with the reason. The price: such a task needs better `names` first.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from taskloom.errors import RecastError, RecipeError, UnknownTaskError, did_you_mean, nearest, some_of_names
from taskloom.recipes.generators.base import NLI_LABELS
from taskloom.recipes.labels import is_generic, normalize_label
from taskloom.recipes.recipe import (
    RECASTS,
    Classification,
    Kind,
    Multilabel,
    MultipleChoice,
    Recast,
    Task,
    TokenClassification,
)

MARK = "+"
"""Stands between a task's id and the form: no character of globs, selectors, versions or paths."""
ENTAILMENT = (*NLI_LABELS, "not_entailment")
OPTION_LABELS = ("does not fit", "fits")
"""What the head of one-pass recasts says of each label."""
ONE_PASS_HEAD = "one-pass"
EMPTY_WORDS = frozenset(
    {"yes", "no", "maybe", "true", "false", "none", "other", "others", "unknown", "misc", "miscellaneous", "n/a", "na",
     "nan", "null", "label", "class", "other_label", "no_label"}
)  # fmt: skip
"""Normalized names that mean something beside their question only: "This example is other." teaches nothing."""
NUMBERED = re.compile(
    r"[\W\d_]*|[a-z]\W*\d*|(label|class|category|cat|option|choice|answer|type|group|level|score|grade|rating)"
    r"[\W_]*(\d+|[a-z])"
)
WORDS_RUN_TOGETHER = re.compile(r"[A-Z]?[a-z]{3,}([A-Z][a-z]+)+")


def split_recast(pattern: str) -> tuple[str, str | None]:
    """Return ("glue/*", "label-nli") for "glue/*+label-nli", and (pattern, None) for what names no recast.

    Raises UnknownTaskError for a form that is spelled almost right.
    """
    base, mark, form = pattern.rpartition(MARK)
    if mark and base and form in RECASTS:
        return base, form
    if mark and base and nearest(form, RECASTS):
        raise UnknownTaskError(
            f"{pattern!r}: there is no recast {form!r}.{did_you_mean(form, RECASTS)} Allowed: {', '.join(RECASTS)}."
        )
    return pattern, None


def can_recast(task: Task) -> bool:
    """Tell whether a task is of a kind that can be recast; its labels may still say nothing."""
    return isinstance(task.kind, (Classification, Multilabel)) and task.recast is None


def recast_task(task: Task, form: str) -> Task:
    """Return the recipe of a task as `form`; raises RecipeError for another kind or an unknown form.

    It keeps source, splits, license, role, weight and family of the task. The fields of its kind name columns of the
    recast rows, since no column of the source holds them.
    """
    if form not in RECASTS:
        raise RecipeError(f"There is no recast {form!r}.{did_you_mean(form, RECASTS)} Allowed: {', '.join(RECASTS)}.")
    if not can_recast(task):
        what = f"a recast of {task.recast.of.id}" if task.recast else f"of kind {task.kind.name}"
        raise RecipeError(
            f"Task {task.id} is {what} and cannot be recast as {form}. Allowed: tasks of kind classification and "
            "multilabel."
        )
    kind: Kind = MultipleChoice(prompt="prompt", choices="choices", label="label")
    if form == "label-nli":
        kind = Classification(text="text", pair="pair", label="label", names=NLI_LABELS)
    if form == "one-pass":
        kind = TokenClassification(tokens="tokens", labels="labels", names=OPTION_LABELS)
    head = ONE_PASS_HEAD if form == "one-pass" else None
    return dataclasses.replace(
        task, id=f"{task.id}{MARK}{form}", kind=kind, head=head, where=(), row_weight=None, recast=Recast(form, task)
    )


def check_known_names(task: Task) -> None:
    """Raise RecastError, before any row is read, for a recast whose recipe alone tells that its labels say nothing."""
    if task.recast is not None and (given := getattr(task.recast.of.kind, "names", None)) is not None:
        ours = (name if isinstance(name, str) else name[1] for name in given)
        readable_labels(task, tuple(dict.fromkeys(name for name in ours if name is not None)))


def readable_labels(task: Task, labels: Sequence[str]) -> tuple[str | None, ...]:
    """Return each label of what `task` is a recast of in plain words, None for one that says nothing by itself.

    Raises RecastError when fewer than two are left, when two read alike, or for label-nli and matching of entailment.
    """
    readable = tuple(None if _is_empty(name) else said for name, said in zip(labels, _said(labels), strict=True))
    told = [name for name in readable if name is not None]
    shown = some_of_names([*map(repr, labels)], 8)
    if len(told) < 2 or is_generic(labels):
        raise RecastError(
            f"Task {task.id}: the labels {shown} say nothing without their question. Give the task `names` that do, "
            "or exclude the recast."
        )
    folded = [name.casefold() for name in told]
    if alike := sorted({name for name in folded if folded.count(name) > 1}):
        raise RecastError(f"Task {task.id}: several of the labels {shown} read {alike[0]!r}. Give it other `names`.")
    if _form(task) in ("label-nli", "matching") and {normalize_label(name) for name in labels} <= set(ENTAILMENT):
        raise RecastError(f"Task {task.id}: the labels {shown} are those of entailment; train the task itself.")
    return readable


def _form(task: Task) -> str:
    return task.recast.form if task.recast else ""


def _is_empty(name: str) -> bool:
    return normalize_label(name) in EMPTY_WORDS or NUMBERED.fullmatch(name.strip().casefold()) is not None


def _said(labels: Sequence[str]) -> list[str]:
    """Return names with blanks for underscores, dots and run-together words; capitals go if all names are in them."""
    shouted = all(name.upper() == name for name in labels)
    return [_spaced(name.lower() if shouted else name) for name in labels]


def _spaced(name: str) -> str:
    if WORDS_RUN_TOGETHER.fullmatch(name):
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r"(\s|_|(?<=\w)[.:]+(?=\w))+", " ", name).strip()
