"""Made canonical rows of every kind, and stores of them."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa

from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import TaskStore, build
from taskloom.data.tokenizer import Tokenizer
from taskloom.recipes.recipe import (
    Classification,
    Hub,
    Kind,
    Multilabel,
    MultipleChoice,
    Regression,
    Splits,
    Task,
    TokenClassification,
)

WORDS = "the cat dog runs happily blue bird 12 o'clock unbelievable, ever? yes! zyx".split()
KINDS: dict[str, Kind] = {
    "classification": Classification(text="text", pair="pair", label="label"),
    "multilabel": Multilabel(text="text", labels="labels"),
    "regression": Regression(text="text", pair="pair", score="score", low=1, high=5),
    "multiple_choice": MultipleChoice(prompt="prompt", choices="choices", label="label"),
    "token_classification": TokenClassification(tokens="tokens", labels="labels"),
}


def made_text(draw: random.Random, most: int) -> str:
    """Return one to `most` words."""
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(1, most)))


def made_row(kind: str, draw: random.Random, row: int) -> dict[str, object]:
    """Return one canonical row of a kind; four in five choice rows have a prompt, seven in ten others a pair."""
    pair = made_text(draw, 12) if draw.random() < 0.7 else None
    if kind == "multiple_choice":
        choices = [made_text(draw, 6) for _ in range(draw.randint(2, 12))]
        prompt = made_text(draw, 30) if draw.random() < 0.8 else ""
        return {"prompt": prompt, "choices": choices, "label": draw.randrange(len(choices)), "row": row}
    if kind == "token_classification":
        tokens = made_text(draw, 25).split()
        return {"tokens": tokens, "labels": [draw.randrange(3) for _ in tokens], "row": row}
    answer = {
        "classification": {"label": draw.randrange(3)},
        "multilabel": {"labels": sorted(draw.sample(range(3), draw.randint(0, 3)))},
        "regression": {"score": draw.uniform(1, 5)},
    }[kind]
    return {"text": made_text(draw, 20), "pair": pair if kind != "multilabel" else None, **answer, "row": row}


def made_canonical(kind: str, *, rows: int = 40, seed: int = 0) -> CanonicalTask:
    """Return a standardized task of a kind with a train split; every third source row is in it."""
    draw = random.Random(seed)
    made = [made_row(kind, draw, row * 3) for row in range(max(1, rows))]
    schema = {
        "text": pa.string(), "pair": pa.string(), "prompt": pa.string(), "choices": pa.list_(pa.string()),
        "tokens": pa.list_(pa.string()), "label": pa.int32(), "labels": pa.list_(pa.int32()), "score": pa.float32(),
        "row": pa.int64(),
    }  # fmt: skip
    table = pa.table({name: pa.array([row[name] for row in made], schema[name]) for name in made[0]}).slice(0, rows)
    task = Task(id=f"made/{kind}", source=Hub("o/n"), kind=KINDS[kind], splits=Splits(train="train"), family="topic")
    labels = () if kind in ("regression", "multiple_choice") else ("O", "B-x", "I-x")
    return CanonicalTask(task, labels, {"train": table}, fingerprint=f"{kind}/{rows}/{seed}")


def made_store(kind: str, folder: Path, cache: Path, **options: int) -> tuple[TaskStore, CanonicalTask, Tokenizer]:
    """Return the store of such a task at a length of 24 tokens, with what it was made of."""
    canonical = made_canonical(kind, **options)
    tokenizer = Tokenizer.open(folder)
    return build(canonical, tokenizer, cache=cache, max_length=24, max_rows=1000), canonical, tokenizer
