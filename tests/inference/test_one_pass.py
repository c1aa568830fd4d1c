"""All labels in one pass: the same logits as in training, any number of labels, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from taskloom.data.label_options import MOST_OPTIONS
from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import build
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError, ModelError
from taskloom.evaluation.evaluator import Answering, answer
from taskloom.inference.classifying import Classifier, Question
from taskloom.inference.label_sets import ask, label_sets
from taskloom.inference.one_pass import option_logits
from taskloom.inference.pieces import Reading, Texts
from taskloom.inference.scorers import Scorers, torch_mark_scorer
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.model import Model
from taskloom.recipes.recasts import OPTION_LABELS, recast_task
from taskloom.recipes.recipe import Builtin, Classification, Splits, Task

LENGTH = 48
TEXTS = ["a bee sang all day", "the big red car " * 20, "go", "of it all day long and red"]
LABELS = ["car", "the long day", "big bees", "it"]
BASE = Task(
    id="made/topics", source=Builtin("topics"), splits=Splits(validation="validation"), family="other",
    kind=Classification(text="text", label="label"),
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tiny_bert: Path) -> Model:
    """A model with a one-pass head and another one, all weights random."""
    described = [
        {"task": f"{name}@1", "id": name, "kind": "token_classification", "labels": labels, "key": name}
        for name, labels in (("made/tags", ("noun", "verb")), ("made/topics+one-pass", OPTION_LABELS))
    ]
    model = Model(Encoder.open(tiny_bert), HeadTable.make([one | {"low": None, "high": None} for one in described]))
    with torch.no_grad():
        for parameter in (model.head_weight, model.head_bias, model.task_embedding):
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model.eval()


@pytest.fixture(scope="module")
def how(tiny_bert: Path) -> Answering:
    """Whole precision on the CPU, without task embeddings."""
    return Answering(tokenizer=Tokenizer.open(tiny_bert), device=torch.device("cpu"), use_task_embedding=False)


def label_logits(model: Model, texts: list[str], labels: list[str], how: Answering) -> np.ndarray:
    """Return the log odds of every label for every text, (texts, labels)."""
    head = model.table.one_pass()
    assert head is not None
    read = Texts(*how.tokenizer.segments(texts))
    asked = ask(label_sets(labels, len(texts)))
    reading = Reading(tokenizer=how.tokenizer, max_length=LENGTH)
    return option_logits(torch_mark_scorer(model, head, how), read, asked, reading=reading).own.reshape(len(texts), -1)


def test_logits_are_those_of_training(model: Model, how: Answering, tmp_path: Path) -> None:
    """A prepared one-pass row, answered as any trained task is, gets the probabilities that classifying gives."""
    rows = pa.table({
        "text": TEXTS, "tokens": [LABELS] * len(TEXTS),
        "labels": pa.array([[0, 1, 0, 0]] * len(TEXTS), pa.list_(pa.int32())), "row": range(len(TEXTS)),
    })  # fmt: skip
    task = recast_task(BASE, "one-pass")
    canonical = CanonicalTask(task, OPTION_LABELS, {"validation": rows}, "f")
    store = build(canonical, how.tokenizer, cache=tmp_path, max_length=LENGTH, max_rows=100)
    known = answer(model, store, "validation", how=how, head=task.versioned, places=np.arange(len(TEXTS)))
    logits = label_logits(model, TEXTS, LABELS, how)
    assert (logits.ravel() > 0).tolist() == (known.answers() == 1).tolist()
    assert len({round(float(one), 2) for one in logits.ravel()}) > 8


def test_many_labels_take_several_sequences(model: Model, how: Answering) -> None:
    """Labels beyond MOST_OPTIONS, or beyond half of the length, are scored in groups: as each group by itself."""
    labels = [f"{word} {n}" for n in range(MOST_OPTIONS) for word in ("bee", "car")]
    logits = label_logits(model, TEXTS, labels, how)
    assert logits.shape == (len(TEXTS), len(labels))
    sizes = np.diff(how.tokenizer.segments(labels)[1]) + 1
    count = next(n for n in range(1, 99) if all(
        sizes[round(64 * k / n) : round(64 * (k + 1) / n)].sum() <= 22 for k in range(n)))  # fmt: skip
    group = labels[: round(64 / count)]
    alone = label_logits(model, TEXTS, group, how)
    assert np.abs(alone - logits[:, : len(group)]).max() < 1e-4


def test_neither_order_nor_neighbors_of_texts_matter(model: Model, how: Answering) -> None:
    """A text alone gets what it gets among others, in any place."""
    together = label_logits(model, TEXTS, LABELS, how)
    for place, text in enumerate(TEXTS):
        alone = label_logits(model, [text], LABELS, how)
        assert np.abs(alone[0] - together[place]).max() < 1e-4


def test_what_cannot_be_asked_is_refused(model: Model, how: Answering) -> None:
    """A label as long as the model, and a model without the head, name what is wrong and what to do."""
    with pytest.raises(DataError, match="Give a shorter"):
        label_logits(model, TEXTS, ["car", "bee " * 40], how)
    tokenizer = how.tokenizer
    nothing = Classifier(Scorers(), reading=Reading(tokenizer=tokenizer, max_length=LENGTH))
    with pytest.raises(ModelError, match="one-pass"):
        nothing.answers(TEXTS, label_sets(LABELS, len(TEXTS)), Question(way="one-pass"))
