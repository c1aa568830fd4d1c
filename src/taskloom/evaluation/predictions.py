"""What a model answered, row by row, beside what was right: the value that scores are computed from, and its file.

Metrics can be computed again from the file without the model. One Parquet file a task and split, named by the
percent-encoded task id; the price against JSON lines is that a person needs a reader, the gain is a tenth of the size
for tasks with a hundred labels.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from taskloom.data.ragged import offsets_of, ragged
from taskloom.errors import DataError

Array = NDArray[Any]
THRESHOLD = 0.5


@dataclass(frozen=True)
class Predictions:
    """Answers of one task on one split.

    `row` int64 (rows,) is the row number in the source split. By kind, with `offsets` int64 (rows + 1,) where rows have
    several entries:
    classification: gold int (rows,), scores float32 (rows, labels), probabilities
    multilabel: gold uint8 (rows, labels), scores float32 (rows, labels), a probability a label
    regression: gold float32 (rows,), scores float32 (rows,), both in original units
    multiple_choice: gold int (rows,), scores float32 (choices of all rows,), offsets
    token_classification: gold int (words of all rows,), scores int (words of all rows,): label ids, offsets
    `threshold` is the probability from which on a label of multilabel is a yes.
    """

    task: str
    kind: str
    labels: tuple[str, ...]
    split: str
    row: Array
    gold: Array
    scores: Array
    offsets: Array | None = None
    threshold: float = THRESHOLD

    def __len__(self) -> int:
        return len(self.row)

    def answers(self, threshold: float | None = None) -> Array:
        """Return the decisions, shaped as `gold`: best class or choice (ties: the lowest), labels over `threshold`.

        None is the task's own threshold.
        """
        if self.kind == "classification":
            return np.asarray(self.scores.argmax(1))
        if self.kind == "multilabel":
            return np.asarray(self.scores >= (self.threshold if threshold is None else threshold))
        if self.kind == "multiple_choice":
            return best_choices(self.scores, self.word_offsets)
        return self.scores

    @property
    def word_offsets(self) -> Array:
        """Where each row's words or choices begin, int64 (rows + 1,)."""
        if self.offsets is None:
            raise ValueError(f"{self.kind} predictions have no offsets.")
        return self.offsets


def best_choices(scores: Array, offsets: Array) -> Array:
    """Return the position of each row's best choice, int64 (rows,); ties take the lowest. No row may be empty."""
    sizes = np.diff(offsets)
    if len(sizes) == 0:
        return np.zeros(0, dtype=np.int64)
    best = np.repeat(np.maximum.reduceat(scores, offsets[:-1]), sizes)
    position = np.arange(len(scores)) - np.repeat(offsets[:-1], sizes)
    return np.asarray(np.minimum.reduceat(np.where(scores == best, position, len(scores)), offsets[:-1]))


def concatenate(parts: list[Predictions]) -> Predictions:
    """Return the rows of all parts of one task and split, in their order."""
    first = parts[0]
    offsets = None
    if first.offsets is not None:
        sizes = np.concatenate([np.diff(part.word_offsets) for part in parts])
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    row, gold, scores = (np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "gold", "scores"))
    return dataclasses.replace(first, row=row, gold=gold, scores=scores, offsets=offsets)


def rows_at(predictions: Predictions, places: Array) -> Predictions:
    """Return the rows at some places (rows,), in that order."""
    offsets, gold, scores = None, predictions.gold, predictions.scores
    if predictions.offsets is not None:
        sizes = np.diff(predictions.offsets)[places]
        offsets = offsets_of(sizes)
        inside = ragged(predictions.offsets[places], sizes)
        scores = scores[inside]
        gold = gold[inside] if predictions.kind == "token_classification" else gold[places]
    else:
        gold, scores = gold[places], scores[places]
    return dataclasses.replace(predictions, row=predictions.row[places], gold=gold, scores=scores, offsets=offsets)


def predictions_file(folder: Path, task: str, split: str) -> Path:
    """Return the path of a task's predictions: "glue/rte@1" on validation -> glue%2Frte.validation.parquet."""
    return folder / f"{quote(task.partition('@')[0], safe='')}.{split}.parquet"


def write_predictions(predictions: Predictions, folder: Path, *, key: str = "") -> Path:
    """Write one Parquet file into `folder` and return its path; a file of that name is replaced at once.

    `key` names what decided the answers; `kept_predictions` gives them back to who has the same key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = predictions_file(folder, predictions.task, predictions.split)
    columns = {"row": pa.array(predictions.row, pa.int64()), "gold": _column(predictions, predictions.gold, gold=True)}
    columns["scores"] = _column(predictions, predictions.scores, gold=False)
    names = ("task", "kind", "split", "labels", "threshold")
    about = {name: getattr(predictions, name) for name in names} | {"key": key}
    table = pa.table(columns).replace_schema_metadata({"taskloom": json.dumps(about)})
    temporary = path.with_suffix(".part")
    pq.write_table(table, temporary)
    temporary.replace(path)
    return path


def read_predictions(path: Path) -> Predictions:
    """Return what `write_predictions` wrote; raises DataError for any other file."""
    if not path.is_file():
        raise DataError(f"There is no predictions file {path}. Type `taskloom evaluate RUN` to write them.")
    table = pq.read_table(path).combine_chunks()
    about = json.loads((table.schema.metadata or {}).get(b"taskloom", b"{}"))
    if not about:
        raise DataError(f"{path} is not a predictions file of taskloom: its schema says nothing about a task.")
    kind, labels = about["kind"], tuple(about["labels"])
    gold, _ = _numpy(table.column("gold"))
    scores, offsets = _numpy(table.column("scores"))
    return Predictions(
        task=about["task"],
        kind=kind,
        labels=labels,
        split=about["split"],
        row=table.column("row").to_numpy(),
        gold=gold.reshape(-1, len(labels)) if kind == "multilabel" else gold,
        scores=scores.reshape(-1, len(labels)) if kind in ("classification", "multilabel") else scores,
        offsets=offsets if kind in ("multiple_choice", "token_classification") else None,
        threshold=about.get("threshold", THRESHOLD),
    )


def kept_predictions(folder: Path, task: str, split: str, key: str) -> Predictions | None:
    """Return the answers in a file of this key, or None when there is no file, a torn one, or another key's."""
    path = predictions_file(folder, task, split)
    try:
        about = json.loads((pq.read_schema(path).metadata or {}).get(b"taskloom", b"{}"))
        return read_predictions(path) if about.get("key") == key and about.get("task") == task else None
    except (OSError, pa.ArrowInvalid):
        return None


def _column(predictions: Predictions, values: Array, *, gold: bool) -> pa.Array:
    """Return a column with one entry a row: plain numbers, or lists of what belongs to the row."""
    if values.ndim == 2:
        offsets = np.arange(len(values) + 1) * values.shape[1]
    elif predictions.offsets is None or (gold and predictions.kind == "multiple_choice"):
        return pa.array(values)
    else:
        offsets = predictions.offsets
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(np.ascontiguousarray(values).ravel()))


def _numpy(column: pa.ChunkedArray) -> tuple[Array, Array | None]:
    """Return a column's flat values, and its offsets if it is a list column."""
    array = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if not pa.types.is_list(array.type):
        return array.to_numpy(zero_copy_only=False), None
    return array.values.to_numpy(zero_copy_only=False), array.offsets.to_numpy().astype(np.int64)
