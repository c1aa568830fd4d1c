"""Micro-batches of random tokens and labels of every kind, and the tasks that they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from taskloom.data.batches import MicroBatch
from taskloom.modeling.head_table import HeadTable
from taskloom.recipes.recipe import KINDS

CLS, SEP, PAD, FIRST_WORD = 2, 3, 0, 5


def described(task: str, kind: str, labels: tuple[str, ...] = (), *, key: str = "", **scale: float) -> dict[str, Any]:
    """Return one task as HeadTable.make takes it; without a key it shares with none."""
    values = {"task": f"{task}@1", "id": task, "kind": kind, "labels": labels, "key": key or f"{kind} of {task}"}
    return values | {"low": scale.get("low"), "high": scale.get("high")}


NLI = ("entailment", "neutral", "contradiction")
TASKS = [
    described("nli/a", "classification", NLI, key="nli"),
    described("nli/b", "classification", ("contradiction", "entailment", "neutral"), key="nli"),
    described("topic", "classification", ("x", "y", "z", "u", "v")),
    described("emotions", "multilabel", ("joy", "fear", "anger", "trust")),
    described("similarity", "regression", low=1.0, high=5.0),
    described("choice/a", "multiple_choice", key="multiple_choice"),
    described("choice/b", "multiple_choice", key="multiple_choice"),
    described("tags", "token_classification", ("O", "B", "I")),
]


def table() -> HeadTable:
    """Return the heads of TASKS."""
    return HeadTable.make(TASKS)


def random_batch(
    heads: HeadTable, *, seed: int = 0, examples: int = 24, length: int = 14, padded: bool = True, vocabulary: int = 100
) -> MicroBatch:
    """Return a micro-batch that goes through all tasks in turn; choices, words, labels and weights are random."""
    random = np.random.default_rng(seed)
    task = np.arange(examples) % len(heads.heads)
    kind = heads.kinds[task]
    choice, tag = KINDS.index("multiple_choice"), KINDS.index("token_classification")
    sequences = np.where(kind == choice, random.integers(2, 6, examples), 1)
    owner = np.repeat(np.arange(examples), sequences)
    sizes = random.integers(6, length + 1, len(owner)) if padded else np.full(len(owner), length)
    sizes[0] = length
    ids = np.full((len(owner), length), PAD)
    for row, size in enumerate(sizes):
        ids[row, :size] = [CLS, *random.integers(FIRST_WORD, vocabulary, size - 2), SEP]
    labels = np.array([len(heads.heads[one].labels) for one in task])
    label = np.where(kind == choice, random.integers(0, sequences), -1)
    label = np.where(kind == KINDS.index("classification"), random.integers(0, np.maximum(labels, 1)), label)
    listed = [(row, at) for row in np.flatnonzero(kind == KINDS.index("multilabel")) for at in range(labels[row])]
    positives = np.array([pair for pair in listed if random.random() < 0.4]).reshape(-1, 2)
    tagged = [row for row in range(len(owner)) if kind[owner[row]] == tag]
    words = [
        (row, at) for row in tagged for at in sorted(random.choice(np.arange(1, sizes[row] - 1), 3, replace=False))
    ]
    places = np.array(words, dtype=np.int64).reshape(-1, 2)
    mask = np.arange(length) < sizes[:, None]
    return MicroBatch(
        input_ids=torch.from_numpy(ids),
        token_type_ids=torch.from_numpy((np.arange(length) > 5) & mask).long(),
        attention_mask=torch.from_numpy(mask).long() if padded else None,
        sequence_example=torch.from_numpy(owner),
        anchor=torch.full((len(owner),), -1),
        task=torch.from_numpy(task),
        kind=torch.from_numpy(kind),
        label=torch.from_numpy(label),
        score=torch.from_numpy(random.random(examples).astype(np.float32)),
        weight=torch.from_numpy(random.uniform(0.5, 2, examples).astype(np.float32)),
        row=torch.arange(examples),
        place=torch.arange(examples),
        positives=torch.from_numpy(positives).long(),
        word_sequence=torch.from_numpy(places[:, 0]).long(),
        word_position=torch.from_numpy(places[:, 1]).long(),
        word_label=torch.from_numpy(random.integers(0, labels[owner[places[:, 0]]])).long(),
        word_index=torch.arange(len(places)) % 3,
    )


def take(batch: MicroBatch, examples: torch.Tensor) -> MicroBatch:
    """Return a micro-batch of some of the examples (ascending)."""
    renumbered = torch.full((len(batch.task),), -1)
    renumbered[examples] = torch.arange(len(examples))
    kept = torch.isin(batch.sequence_example, examples)
    sequence = torch.cumsum(kept, 0) - 1
    words, positive = kept[batch.word_sequence], torch.isin(batch.positives[:, 0], examples)
    each = {
        name: getattr(batch, name)[examples] for name in ("task", "kind", "label", "score", "weight", "row", "place")
    }
    label_id = batch.positives[positive, 1]
    return MicroBatch(
        input_ids=batch.input_ids[kept],
        token_type_ids=None if batch.token_type_ids is None else batch.token_type_ids[kept],
        attention_mask=None if batch.attention_mask is None else batch.attention_mask[kept],
        sequence_example=renumbered[batch.sequence_example[kept]],
        anchor=batch.anchor[kept],
        **each,
        positives=torch.stack([renumbered[batch.positives[positive, 0]], label_id], dim=1),
        word_sequence=sequence[batch.word_sequence[words]],
        word_position=batch.word_position[words],
        word_label=batch.word_label[words],
        word_index=batch.word_index[words],
    )
