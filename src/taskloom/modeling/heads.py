"""Logits and losses of a micro-batch that mixes tasks and kinds, without a loop over tasks or rows.

The logits are one matrix product of the features with the union of the head rows that the micro-batch's tasks use;
each unit (a sequence, or a labelled word) sees only its own task's columns. What is needed to index them is made on the
CPU ahead of the step (`route`), so that the step itself waits for nothing.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from taskloom.data.batches import MicroBatch, ragged
from taskloom.modeling.head_table import HeadTable
from taskloom.recipes.recipe import KINDS

CLASSES, MULTILABEL, SCORE, CHOICE, TAGS = range(len(KINDS))
FAR = -1e30
"""Stands for minus infinity where a label is not the task's: finite, so that 0 x FAR is 0 and not NaN."""


@dataclass(frozen=True)
class Routing:
    """Where everything of a micro-batch is. Columns count within `rows`, the union of head rows it uses.

    Shapes: rows (columns,); sequence_mask (sequences, columns) and word_mask (words, columns) say which columns belong
    to the unit's task; classes, lists, scores, choices hold sequence numbers by kind, with the example of each;
    *_column and *_target are columns; scale (examples,) divides each row's loss.
    """

    rows: Tensor
    tasks: Tensor
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
    label_count: Tensor

    def to(self, device: torch.device) -> Routing:
        """Return the same routing on `device`."""
        moved = {field.name: getattr(self, field.name).to(device, non_blocking=True) for field in dataclasses.fields(self)}
        return Routing(**moved)


def route(batch: MicroBatch, table: HeadTable) -> Routing:
    """Return the routing of a micro-batch, on the CPU."""
    task, kind = batch.task.numpy(), batch.kind.numpy()
    owner, word_sequence = batch.sequence_example.numpy(), batch.word_sequence.numpy()
    present, which = np.unique(task, return_inverse=True)
    counts = table.starts[present + 1] - table.starts[present]
    read = table.flat_rows[ragged(table.starts[present], counts)]
    rows, columns = np.unique(read, return_inverse=True)
    mask = np.zeros((len(present), len(rows)), dtype=bool)
    mask[np.repeat(np.arange(len(present)), counts), columns] = True
    first_column = np.cumsum(counts) - counts  # of each present task, within `columns`

    def sequences(of: int) -> NDArray[np.int64]:
        return np.flatnonzero(kind[owner] == of)

    def column(example: NDArray[np.int64], label: NDArray[np.int64] | int) -> NDArray[np.int64]:
        return columns[first_column[which[example]] + label]

    classes, lists, scores, choices = (sequences(of) for of in (CLASSES, MULTILABEL, SCORE, CHOICE))
    label, positives = batch.label.numpy(), batch.positives.numpy()
    list_target = np.zeros((len(lists), len(rows)), dtype=np.float32)
    list_place = np.full(len(task), -1)
    list_place[owner[lists]] = np.arange(len(lists))
    list_target[list_place[positives[:, 0]], column(positives[:, 0], positives[:, 1])] = 1
    choosing = np.flatnonzero(kind == CHOICE)
    right = np.searchsorted(owner[choices], choosing) + label[choosing]
    word_example = owner[word_sequence]
    per_example = np.bincount(word_example, minlength=len(task))
    label_count = counts[which].astype(np.float32)
    label_count[choosing] = np.bincount(owner, minlength=len(task))[choosing]
    arrays = {
        "rows": rows,
        "tasks": present,
        "sequence_mask": mask[which[owner]],
        "word_mask": mask[which[word_example]],
        "class_sequence": classes,
        "class_example": owner[classes],
        "class_target": column(owner[classes], label[owner[classes]]),
        "list_sequence": lists,
        "list_example": owner[lists],
        "list_target": list_target,
        "score_sequence": scores,
        "score_example": owner[scores],
        "score_column": column(owner[scores], 0),
        "choice_sequence": choices,
        "choice_example": owner[choices],
        "choice_column": column(owner[choices], 0),
        "choice_right": right,
        "choice_right_example": choosing,
        "word_example": word_example,
        "word_target": column(word_example, batch.word_label.numpy()),
        "word_share": (1 / np.maximum(per_example, 1)).astype(np.float32)[word_example],
        "label_count": label_count,
    }
    return Routing(**{name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()})


def example_losses(
    sequence_logits: Tensor, word_logits: Tensor, batch: MicroBatch, routing: Routing, *, label_smoothing: float
) -> Tensor:
    """Return the loss of each example (examples,), by its kind.

    Cross-entropy over the task's labels; mean binary cross-entropy over them; squared error of the score in 0..1;
    cross-entropy over the row's own choices; mean cross-entropy over the row's words.
    """
    losses = sequence_logits.new_zeros(len(batch.task))
    if len(routing.class_sequence):
        logits, mask = sequence_logits[routing.class_sequence], routing.sequence_mask[routing.class_sequence]
        found = masked_cross_entropy(logits, mask, routing.class_target, label_smoothing)
        losses = losses.index_add(0, routing.class_example, found)
    if len(routing.list_sequence):
        logits, mask = sequence_logits[routing.list_sequence], routing.sequence_mask[routing.list_sequence]
        every = functional.binary_cross_entropy_with_logits(logits, routing.list_target, reduction="none")
        losses = losses.index_add(0, routing.list_example, (every * mask).sum(1) / mask.sum(1))
    if len(routing.score_sequence):
        given = sequence_logits[routing.score_sequence, routing.score_column]
        error = (given - batch.score[routing.score_example]).square()
        losses = losses.index_add(0, routing.score_example, error)
    if len(routing.choice_sequence):
        losses = losses + choice_losses(sequence_logits, routing, examples=len(batch.task))
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


def choice_losses(logits: Tensor, routing: Routing, *, examples: int) -> Tensor:
    """Return the cross-entropy over each row's own choices (examples,), 0 for rows of other kinds."""
    given = logits[routing.choice_sequence, routing.choice_column]
    owner = routing.choice_example
    highest = given.detach().new_full((examples,), FAR).scatter_reduce(0, owner, given.detach(), "amax")
    summed = given.new_zeros(examples).index_add(0, owner, (given - highest[owner]).exp())
    right_example = routing.choice_right_example
    losses = summed[right_example].log() + highest[right_example] - given[routing.choice_right]
    return given.new_zeros(examples).index_add(0, right_example, losses)
