"""Rows for an int8 export: some to find ranges with, others to compare decisions on.

From a task, a random part of its train rows and its validation or test rows; from a file, every second row each, with
what is right where there is a column for it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.store import TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError
from taskloom.evaluation.evaluator import TOKENS_PER_MICRO_BATCH, Answering, answer, chosen_places
from taskloom.evaluation.predictions import Predictions
from taskloom.inference.inputs import read_rows
from taskloom.inference.prepared_rows import SPLIT, prepare_rows
from taskloom.modeling.head_table import Head
from taskloom.modeling.model import Model
from taskloom.recipes.labels import normalize_label

Array = NDArray[Any]
TO_CALIBRATE = 300
TO_CHECK = 2000
CALIBRATION_BATCH = 1024
"""Tokens of a batch to find ranges with: all activations of a batch are held at a time."""
LEAST = 20
"""Rows below which neither ranges nor shares mean anything."""
LABEL = {"multilabel": "labels", "regression": "score", "token_classification": "labels"}


@dataclass(frozen=True)
class CheckRows:
    """Prepared rows: the split and places of those to calibrate with and of those to check on.

    `gold` is what is right for the latter, flat as predictions have it, or None.
    """

    store: TaskStore
    calibrate: tuple[str, Array]
    check: tuple[str, Array]
    gold: Array | None = None
    labeled: bool = True

    def ask(
        self, model: Model, head: Head, tokenizer: Tokenizer, *, vector: bool, calibrate: bool = False
    ) -> Predictions:
        """Return the answers of a model's head to the rows to check, or to those to calibrate with."""
        import torch

        tokens = CALIBRATION_BATCH if calibrate else TOKENS_PER_MICRO_BATCH
        how = Answering(
            tokenizer=tokenizer, device=torch.device("cpu"), use_task_embedding=vector, tokens_per_micro_batch=tokens
        )
        split, places = self.calibrate if calibrate else self.check
        found = answer(model, self.store, split, how=how, head=head.task, places=places)
        return found if self.gold is None or calibrate else dataclasses.replace(found, gold=self.gold)


def rows_of_task(store: TaskStore) -> CheckRows:
    """Return rows of a prepared task; raises DataError when it has too few."""
    splits = [name for name in ("train", "validation", "test") if name in store.splits]
    train = splits[0]
    calibrate = chosen_places(len(store.splits[train]), TO_CALIBRATE, seed=0, task=store.task)
    other = next((name for name in ("validation", "test") if name in splits and name != train), None)
    if other is None:
        left = np.setdiff1d(np.arange(len(store.splits[train])), calibrate)
        check = (train, left[:TO_CHECK])
    else:
        check = (other, chosen_places(len(store.splits[other]), TO_CHECK, seed=0, task=store.task))
    return _enough(CheckRows(store, (train, calibrate), check), store.task)


def rows_of_file(path: Path, head: Head, tokenizer: Tokenizer, *, max_length: int) -> CheckRows:
    """Return rows of a csv, JSON lines or plain file of the head's kind; raises DataError when they do not fit."""
    rows = [row for _, row in zip(range(2 * TO_CHECK), read_rows(path), strict=False)]
    store = prepare_rows(rows, head, tokenizer, max_length=max_length)
    places = np.arange(len(rows))
    gold = _gold(rows[1::2], head) if rows and all(_answer(row, head) is not None for row in rows) else None
    found = CheckRows(store, (SPLIT, places[::2][:TO_CALIBRATE]), (SPLIT, places[1::2]), gold, gold is not None)
    return _enough(found, str(path))


def _enough(rows: CheckRows, name: str) -> CheckRows:
    if min(len(rows.calibrate[1]), len(rows.check[1])) < LEAST:
        raise DataError(
            f"{name} has {len(rows.calibrate[1])} rows to calibrate with and {len(rows.check[1])} to check on; at "
            f"least {LEAST} of each are needed. Give a task or a file with more."
        )
    return rows


def _answer(row: Mapping[str, Any], head: Head) -> Any:
    value = row.get(LABEL.get(head.kind, "label"))
    return None if value in ("", None) else value


def _gold(rows: list[dict[str, Any]], head: Head) -> Array:
    """Return what is right for each row, shaped as predictions are."""
    places = {normalize_label(label): place for place, label in enumerate(head.labels)}

    def place(name: Any, number: int) -> int:
        if normalize_label(str(name)) not in places:
            raise DataError(
                f"Row {2 * number + 1}: {name!r} is no label of {head.id}. It has: {', '.join(head.labels)}."
            )
        return places[normalize_label(str(name))]

    values = [_answer(row, head) for row in rows]
    if head.kind in LABEL and head.kind != "regression":
        lists = [json.loads(value) if isinstance(value, str) else value for value in values]
        named = [[place(name, number) for name in names] for number, names in enumerate(lists)]
        if head.kind == "multilabel":
            return np.array([np.isin(np.arange(len(places)), names) for names in named], np.uint8)
        return np.array([tag for tags in named for tag in tags], np.int64)
    if head.kind == "classification":
        return np.array([place(name, number) for number, name in enumerate(values)], np.int64)
    try:
        return np.array(values, np.float32 if head.kind == "regression" else np.int64)
    except ValueError as error:
        raise DataError(f"A {LABEL.get(head.kind, 'label')} of {head.id} is no number: {error}") from error
