"""A small model with a head of each kind, and prepared rows for it, for tests of evaluation and inference."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import torch

from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import TaskStore, build
from taskloom.data.tokenizer import Tokenizer
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.model import Model
from taskloom.recipes.recasts import OPTION_LABELS
from taskloom.recipes.recipe import (
    Builtin,
    Classification,
    Multilabel,
    MultipleChoice,
    Regression,
    Splits,
    Task,
    TokenClassification,
)

MAX_LENGTH = 40
KINDS = {
    "nli": Classification(text="text", pair="pair", label="label"),
    "topics": Multilabel(text="text", labels="labels"),
    "similarity": Regression(text="text", pair="pair", score="score", low=1.0, high=5.0),
    "choices": MultipleChoice(prompt="prompt", choices="choices", label="label"),
    "entities": TokenClassification(tokens="tokens", labels="labels"),
    "parts": TokenClassification(tokens="tokens", labels="labels"),
}
LABELS = {
    "nli": ("contradiction", "entailment", "neutral"),
    "topics": ("food", "cars", "music", "art"),
    "entities": ("B-x", "I-x", "O"),
    "parts": ("noun", "verb"),
}
WORDS = "a bee saw the big red car go by and sang of it all day long".split()


def made_task(name: str) -> Task:
    """Return the recipe of one of the tasks in KINDS; its rows come from `made_rows`, never from its source."""
    return Task(
        id=f"made/{name}",
        source=Builtin(name),
        kind=KINDS[name],
        splits=Splits(train="train", validation="validation"),
        family="other",
    )


def some_words(row: int, count: int) -> list[str]:
    """Return `count` words that differ from row to row."""
    return [WORDS[(row * 7 + place * (1 + row % 3)) % len(WORDS)] for place in range(count)]


def made_rows(name: str, rows: int) -> pa.Table:
    """Return canonical rows; lengths vary, and some rows are far longer than MAX_LENGTH tokens."""
    every = range(rows)
    texts = [" ".join(some_words(row, 1 + row * 5 % 37)) for row in every]
    pairs = [" ".join(some_words(row + 1, 1 + row * 3 % 11)) for row in every]
    columns = {"row": pa.array([row * 10 for row in every], pa.int64())}
    if name in ("nli", "topics", "similarity"):
        columns |= {"text": texts, "pair": pa.array(pairs if name != "topics" else [None] * rows, pa.string())}
    if name == "nli":
        columns["label"] = pa.array([row % 3 for row in every], pa.int32())
    elif name == "topics":
        columns["labels"] = pa.array([[at for at in range(4) if row >> at & 1] for row in every], pa.list_(pa.int32()))
    elif name == "similarity":
        columns["score"] = pa.array([1 + row % 9 / 2 for row in every], pa.float32())
    elif name == "choices":
        columns["prompt"] = [text if row % 5 else "" for row, text in enumerate(texts)]
        columns["choices"] = [[" ".join(some_words(row + n, 1 + n)) for n in range(2 + row % 4)] for row in every]
        columns["label"] = pa.array([row % 2 for row in every], pa.int32())
    else:
        tokens = [[*some_words(row, 1 + row * 5 % 50), "\u200b"] for row in every]  # the last word has no sub-word
        columns["tokens"] = tokens
        size = len(LABELS[name])
        tags = [[(row + place) % size for place in range(len(words))] for row, words in enumerate(tokens)]
        columns["labels"] = pa.array(tags, pa.list_(pa.int32()))
    return pa.table(columns)


def made_store(name: str, tokenizer: Tokenizer, cache: Path, *, rows: int = 30) -> TaskStore:
    """Return a prepared task with a train split and a validation split of `rows` rows."""
    canonical = CanonicalTask(
        task=made_task(name),
        labels=LABELS.get(name, ()),
        splits={"train": made_rows(name, 8), "validation": made_rows(name, rows)},
        unused={"train": {}, "validation": {"null_text": 2}},
        missing_splits=(),
        fingerprint=f"{name} {rows}",
    )
    return build(canonical, tokenizer, cache=cache, max_length=MAX_LENGTH, max_rows=1000)


def made_model(encoder: Path, *, names: tuple[str, ...] = tuple(KINDS), nli_labels: tuple[str, ...] = ()) -> Model:
    """Return a model with random heads and task embeddings, large enough that answers differ."""
    labels = LABELS | ({"nli": nli_labels} if nli_labels else {})
    described = []
    for name in names:
        if name == "options":  # the head of one-pass recasts
            described.append(
                {"task": "made/options@1", "id": "made/options", "kind": "token_classification",
                 "labels": OPTION_LABELS, "key": name, "low": None, "high": None}
            )  # fmt: skip
            continue
        task = made_task(name)
        kind = task.kind
        low, high = (kind.low, kind.high) if isinstance(kind, Regression) else (None, None)
        described.append(
            {"task": task.versioned, "id": task.id, "kind": kind.name, "labels": labels.get(name, ()),
             "key": name, "low": low, "high": high}
        )  # fmt: skip
    model = Model(Encoder.open(encoder), HeadTable.make(described))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in (model.head_weight, model.head_bias, model.task_embedding):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        for head in model.table.heads:
            if head.kind == "regression":  # most scores within the scale, a few clipped
                model.head_weight[list(head.rows)] *= 0.3
                model.head_bias[list(head.rows)] = 0.5
    return model
