"""Logits and losses of a micro-batch that mixes tasks and kinds, without a loop over tasks or rows.

The logits are one matrix product of the features with the union of the head rows that the micro-batch's tasks use;
each unit (a sequence, or a labelled word) sees only its own task's columns. What is needed to index them is made on the
CPU ahead of the step (`route`), so that the step itself waits for nothing. The price: a unit's logits are computed for
every column of the union, a few hundred instead of its own few, which a matrix product does not notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from taskloom.data.batches import MicroBatch, ragged
from taskloom.modeling.head_table import HeadTable
from taskloom.recipes.recipe import KINDS

Integers = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]
CLASSES, MULTILABEL, SCORE, CHOICE, TAGS = range(len(KINDS))
FAR = -1e30
"""Stands for minus infinity where a label is not the task's: finite, so that 0 x FAR is 0 and not NaN."""


@dataclass(frozen=True)
class Routing:
    """Where everything of a micro-batch is. Columns count within `rows`, the union of head rows it uses.

    rows (columns,) and tasks (present,) are what a step touches, each once and ascending; `which` (examples,) is each
    example's place in `tasks`. sequence_mask (sequences, columns) and word_mask (words, columns) say which columns
    belong to the unit's task. class_, list_, score_ and choice_ hold the sequences of a kind, with their examples;
    *_column and *_target are columns, list_target is 0 or 1 (sequences, columns). choice_right counts within
    choice_sequence, and choice_count (examples,) is the number of a row's choices. word_share is one over the number of
    the row's labelled words. log_count (examples,) is the log of the number of classes, tags or choices that a softmax
    runs over, and 1 for the kinds without one.
    """

    rows: Tensor
    tasks: Tensor
    which: Tensor
    sequence_mask: Tensor
    word_mask: Tensor
    class_sequence: Tensor
    class_example: Tensor
    class_target: Tensor
    list_sequence: Tensor
    list_example: Tensor
    list_target: Tensor
    score_sequence: Tensor
    score_example: Tensor
    score_column: Tensor
    choice_sequence: Tensor
    choice_example: Tensor
    choice_column: Tensor
    choice_right: Tensor
    choice_right_example: Tensor
    word_example: Tensor
    word_target: Tensor
    word_share: Tensor
    choice_count: Tensor
    log_count: Tensor


def route(batch: MicroBatch, table: HeadTable) -> Routing:
    """Return the routing of a micro-batch, on the CPU."""
    union = _Union.of(batch.task.numpy(), table)
    owner = batch.sequence_example.numpy()
    arrays = {
        "rows": union.rows,
        "tasks": union.tasks,
        "which": union.which,
        "sequence_mask": union.mask[union.which[owner]],
        **_counts(batch, union),
    }
    for part in (_classes, _label_lists, _scores, _choices, _words):
        arrays |= part(batch, union)
    return Routing(**{name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()})


@dataclass(frozen=True)
class _Union:
    """The head rows of all tasks of a micro-batch, each row once: rows (columns,), mask (tasks, columns)."""

    tasks: Integers
    which: Integers
    counts: Integers
    rows: Integers
    columns: Integers
    mask: NDArray[np.bool_]

    @classmethod
    def of(cls, task: Integers, table: HeadTable) -> _Union:
        tasks, which = np.unique(task, return_inverse=True)
        counts = table.starts[tasks + 1] - table.starts[tasks]
        rows, columns = np.unique(table.flat_rows[ragged(table.starts[tasks], counts)], return_inverse=True)
        mask = np.zeros((len(tasks), len(rows)), dtype=bool)
        mask[np.repeat(np.arange(len(tasks)), counts), columns] = True
        return cls(tasks, which, counts, rows, columns, mask)

    def column(self, example: Integers, label: Integers | int) -> Integers:
        """Return the column of each example's label, given in the order of its own task."""
        first = np.cumsum(self.counts) - self.counts
        return np.asarray(self.columns[first[self.which[example]] + label])


def _of_kind(batch: MicroBatch, kind: int) -> tuple[Integers, Integers]:
    """Return the sequences of a kind, and the example of each; prompts that stand apart are no choices."""
    owner = batch.sequence_example.numpy()
    sequences = np.flatnonzero((batch.kind.numpy()[owner] == kind) & ~prompts(batch))
    return sequences, owner[sequences]


def prompts(batch: MicroBatch) -> NDArray[np.bool_]:
    """Return which sequences are prompts that stand apart from their choices (sequences,)."""
    anchor = batch.anchor.numpy()
    return np.asarray(anchor == np.arange(len(anchor)))


def _classes(batch: MicroBatch, union: _Union) -> Arrays:
    sequence, example = _of_kind(batch, CLASSES)
    target = union.column(example, batch.label.numpy()[example])
    return {"class_sequence": sequence, "class_example": example, "class_target": target}


def _label_lists(batch: MicroBatch, union: _Union) -> Arrays:
    sequence, example = _of_kind(batch, MULTILABEL)
    target = np.zeros((len(sequence), len(union.rows)), dtype=np.float32)
    positive, label = batch.positives.numpy().T
    target[np.searchsorted(example, positive), union.column(positive, label)] = 1
    return {"list_sequence": sequence, "list_example": example, "list_target": target}


def _scores(batch: MicroBatch, union: _Union) -> Arrays:
    sequence, example = _of_kind(batch, SCORE)
    return {"score_sequence": sequence, "score_example": example, "score_column": union.column(example, 0)}


def _choices(batch: MicroBatch, union: _Union) -> Arrays:
    sequence, example = _of_kind(batch, CHOICE)
    label = batch.label.numpy()
    right = np.flatnonzero((batch.kind.numpy() == CHOICE) & (label >= 0))
    return {
        "choice_sequence": sequence,
        "choice_example": example,
        "choice_column": union.column(example, 0),
        "choice_right": np.searchsorted(example, right) + label[right],
        "choice_right_example": right,
    }


def _words(batch: MicroBatch, union: _Union) -> Arrays:
    example = batch.sequence_example.numpy()[batch.word_sequence.numpy()]
    words = np.bincount(example, minlength=len(batch.task))
    return {
        "word_mask": union.mask[union.which[example]],
        "word_example": example,
        "word_target": union.column(example, batch.word_label.numpy()),
        "word_share": (1 / np.maximum(words, 1)).astype(np.float32)[example],
    }


def _counts(batch: MicroBatch, union: _Union) -> Arrays:
    kind = batch.kind.numpy()
    choices = np.bincount(batch.sequence_example.numpy()[~prompts(batch)], minlength=len(kind))
    counts = np.where(kind == CHOICE, choices, union.counts[union.which])
    logs = np.where(np.isin(kind, (CLASSES, CHOICE, TAGS)), np.log(np.maximum(counts, 2)), 1.0)
    return {"choice_count": choices.astype(np.float32), "log_count": logs.astype(np.float32)}


def linear(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return features (units, width) -> logits (units, columns) in the precision of the weights, under autocast too.

    The heads cost next to nothing, while bf16 would leave a logit near 8 only steps of 0.03.
    """
    with torch.autocast(features.device.type, enabled=False):
        return torch.addmm(bias, features.to(weight.dtype), weight.T)


def example_losses(
    sequence_logits: Tensor,
    word_logits: Tensor,
    batch: MicroBatch,
    routing: Routing,
    *,
    label_smoothing: float,
    multilabel_loss: str = "mean",
) -> Tensor:
    """Return the loss of each example (examples,), by its kind.

    Cross-entropy over the task's labels; mean (or sum) of binary cross-entropy over them; squared error of the score in
    0..1; cross-entropy over the row's own choices; mean cross-entropy over the row's words (0 for a row without any,
    which keeps its weight in the step). Shapes: sequence_logits (sequences, columns), word_logits (words, columns).
    """
    losses = sequence_logits.new_zeros(len(batch.task))
    if len(routing.class_sequence):
        logits, mask = sequence_logits[routing.class_sequence], routing.sequence_mask[routing.class_sequence]
        found = masked_cross_entropy(logits, mask, routing.class_target, label_smoothing)
        losses = losses.index_add(0, routing.class_example, found)
    if len(routing.list_sequence):
        logits, mask = sequence_logits[routing.list_sequence], routing.sequence_mask[routing.list_sequence]
        target = routing.list_target.to(logits.dtype)
        every = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        summed = (every * mask).sum(1)
        found = summed if multilabel_loss == "sum" else summed / mask.sum(1)
        losses = losses.index_add(0, routing.list_example, found)
    if len(routing.score_sequence):
        given = sequence_logits[routing.score_sequence, routing.score_column]
        error = (given - batch.score[routing.score_example]).square()
        losses = losses.index_add(0, routing.score_example, error)
    if len(routing.choice_sequence):
        found = choice_losses(sequence_logits, routing, examples=len(batch.task), label_smoothing=label_smoothing)
        losses = losses.index_add(0, routing.choice_right_example, found)
    if len(routing.word_example):
        found = masked_cross_entropy(word_logits, routing.word_mask, routing.word_target, label_smoothing)
        losses = losses.index_add(0, routing.word_example, found * routing.word_share)
    return losses


def masked_cross_entropy(logits: Tensor, mask: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
    """Return the cross-entropy of each unit (units,) over the columns that `mask` (units, columns) allows.

    Smoothing spreads its part evenly over the allowed columns (Szegedy et al. 2016), as in torch.
    """
    scores = functional.log_softmax(logits.masked_fill(~mask, FAR), dim=1)
    losses = -scores.gather(1, target[:, None])[:, 0]
    if label_smoothing:
        even = -(scores * mask).sum(1) / mask.sum(1)
        losses = (1 - label_smoothing) * losses + label_smoothing * even
    return losses


def choice_losses(logits: Tensor, routing: Routing, *, examples: int, label_smoothing: float) -> Tensor:
    """Return the cross-entropy over its own choices of each row that has a right one (rows,).

    The number of choices may differ by row; smoothing spreads its part evenly over them.
    """
    given = logits[routing.choice_sequence, routing.choice_column]
    owner, answered = routing.choice_example, routing.choice_right_example
    highest = given.detach().new_full((examples,), FAR).scatter_reduce(0, owner, given.detach(), "amax")
    summed = given.new_zeros(examples).index_add(0, owner, (given - highest[owner]).exp())
    total = summed[answered].log() + highest[answered]
    losses = total - given[routing.choice_right]
    if label_smoothing:
        even = total - given.new_zeros(examples).index_add(0, owner, given)[answered] / routing.choice_count[answered]
        losses = (1 - label_smoothing) * losses + label_smoothing * even
    return losses
