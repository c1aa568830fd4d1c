"""Exports: folders that open without taskloom and give the same numbers, or an error instead of other numbers."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

from made_batches import NLI, described
from taskloom.errors import ModelError, UnknownTaskError
from taskloom.inference.export import export_head
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.model import Model
from tiny import make_tiny

TASKS = [
    described("nli", "classification", ("contradiction", "entailment", "neutral")),
    described("topic", "classification", ("house", "tree", "river", "bird")),
    described("emotions", "multilabel", ("joy", "fear", "anger")),
    described("similarity", "regression", low=1.0, high=5.0),
    described("choice", "multiple_choice"),
    described("tags", "token_classification", ("B", "I", "S")),
]
TEXTS = ["the cat eats in the big house", "no", "a small blue bird sees that man, and says it is good!"]
PAIRS = ["a cat is in the house", "yes, it was on the river", "bad"]
LENGTH = 64


def saved_model(encoder: Path, folder: Path, tasks: list[dict[str, Any]] = TASKS) -> Path:
    """Save a model with visible random heads and task vectors, and return its folder."""
    model = Model(Encoder.open(encoder), HeadTable.make(tasks))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in (model.head_weight, model.head_bias, model.task_embedding):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    model.save(folder, tokenizer_folder=encoder, max_length=LENGTH, encoder_name="tiny")
    return folder


@pytest.fixture(scope="module", params=["bert", "deberta"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained model with all kinds of heads, in both architectures."""
    encoder = request.getfixturevalue(f"tiny_{request.param}")
    return saved_model(encoder, tmp_path_factory.mktemp("trained") / "model")


@torch.no_grad()
def own_logits(
    folder: Path, task: str, first: list[Any], second: list[str] | None = None, *, with_task_embedding: bool = False
) -> tuple[Tensor, Any]:
    """Return a trained model's logits, (sequences, labels) or (sequences, length, labels), and the inputs."""
    model, tokenizer = Model.load(folder), AutoTokenizer.from_pretrained(folder)
    place = model.table.places[task]
    inputs = tokenizer(first, second, padding=True, truncation=True, return_tensors="pt")
    vector = model.task_embedding[place].expand(len(first), -1) if with_task_embedding else None
    pooled, hidden = model.encoder(
        inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        token_type_ids=inputs.get("token_type_ids"),
        first_vector=vector,
    )
    head = model.table.heads[place]
    if head.kind != "token_classification":
        return model.head_logits(pooled, head), inputs
    return model.head_logits(hidden.flatten(0, 1), head).unflatten(0, hidden.shape[:2]), inputs


def scores_in(result: list[dict[str, Any]], names: tuple[str, ...]) -> Tensor:
    """Return a pipeline's scores in the order of `names`."""
    found = {entry["label"]: entry["score"] for entry in result}
    return torch.tensor([found[name] for name in names])


@pytest.mark.parametrize("with_task_embedding", [False, True])
@pytest.mark.parametrize("task", ["topic", "nli", "emotions"])
def test_text_classification_pipeline(task: str, with_task_embedding: bool, folder: Path, tmp_path: Path) -> None:
    """The pipeline gives our probabilities for classes and label lists, with and without the task's vector."""
    out = export_head(folder, tmp_path / "out", task=task, with_task_embedding=with_task_embedding)
    logits, _ = own_logits(folder, task, TEXTS, PAIRS, with_task_embedding=with_task_embedding)
    expected = logits.sigmoid() if task == "emotions" else logits.softmax(1)
    run = pipeline("text-classification", str(out), top_k=None, truncation=True)
    labels = Model.load(folder).table.heads[[one["id"] for one in TASKS].index(task)].labels
    pairs = [{"text": text, "text_pair": pair} for text, pair in zip(TEXTS, PAIRS, strict=True)]
    found = torch.stack([scores_in(result, labels) for result in run(pairs)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    config = run.model.config
    assert config.problem_type == (
        "multi_label_classification" if task == "emotions" else "single_label_classification"
    )
    assert config.label2id == {name: place for place, name in config.id2label.items()}
    assert run.tokenizer.model_max_length == LENGTH


def test_task_embedding_makes_a_difference(folder: Path) -> None:
    """The vectors in these tests are large enough that leaving them out would be seen."""
    plain, _ = own_logits(folder, "topic", TEXTS)
    with_vector, _ = own_logits(folder, "topic", TEXTS, with_task_embedding=True)
    assert (plain - with_vector).abs().max() > 0.01


def test_regression_is_in_units(folder: Path, tmp_path: Path) -> None:
    """The pipeline gives the score in the task's own units, with no function over it."""
    out = export_head(folder, tmp_path / "out", task="similarity@1")
    run = pipeline("text-classification", str(out))
    assert run.model.config.problem_type == "regression"
    logits, _ = own_logits(folder, "similarity", TEXTS)
    found = torch.tensor([result["score"] for result in run(TEXTS)])
    torch.testing.assert_close(found, 1 + 4 * logits[:, 0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("with_task_embedding", [False, True])
def test_token_classification_pipeline(with_task_embedding: bool, folder: Path, tmp_path: Path) -> None:
    """Every token has our best tag with our probability."""
    out = export_head(folder, tmp_path / "out", task="tags", with_task_embedding=with_task_embedding)
    assert AutoModelForTokenClassification.from_pretrained(out).config.id2label == {0: "B", 1: "I", 2: "S"}
    run = pipeline("token-classification", str(out))
    for text in TEXTS:
        logits, inputs = own_logits(folder, "tags", [text], with_task_embedding=with_task_embedding)
        scores, best = logits[0].softmax(1).max(1)
        found = run(text)
        assert [entry["index"] for entry in found] == list(range(1, inputs["input_ids"].shape[1] - 1))
        assert [entry["entity"] for entry in found] == ["BIS"[tag] for tag in best[1:-1]]
        torch.testing.assert_close(torch.tensor([entry["score"] for entry in found]), scores[1:-1], rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("with_task_embedding", [False, True])
def test_multiple_choice(with_task_embedding: bool, folder: Path, tmp_path: Path) -> None:
    """The multiple choice class gives our logit for each choice."""
    out = export_head(folder, tmp_path / "out", task="choice", with_task_embedding=with_task_embedding)
    prompts = ["the man sees a tree"] * 3
    logits, inputs = own_logits(folder, "choice", prompts, PAIRS, with_task_embedding=with_task_embedding)
    network = AutoModelForMultipleChoice.from_pretrained(out).eval()
    found = network(**{name: values[None] for name, values in inputs.items()}).logits
    torch.testing.assert_close(found, logits.T, rtol=0, atol=1e-4)


@pytest.mark.parametrize("encoder", ["tiny_bert", "tiny_deberta"])
@pytest.mark.parametrize(
    "labels", [*permutations(NLI), ("entailment", "not_entailment"), ("not_entailment", "entailment")]
)
def test_zero_shot_pipeline(
    labels: tuple[str, ...], encoder: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whatever the order of the labels in training, model folder and export give our entailment scores."""
    folder = saved_model(
        request.getfixturevalue(encoder), tmp_path / "model", [TASKS[1], described("nli", "classification", labels)]
    )
    out = export_head(folder, tmp_path / "out")
    names = ["good", "bad", "a river"]
    yes, no = labels.index("entailment"), labels.index("contradiction" if len(labels) == 3 else "not_entailment")
    for run in (pipeline("zero-shot-classification", str(place)) for place in (folder, out)):
        for text in TEXTS:
            pairs = [f"This example is {name}." for name in names]
            logits, _ = own_logits(folder, "nli", [text] * 3, pairs)
            single, several = run(text, names), run(text, names, multi_label=True)
            expected = logits[:, yes].softmax(0)
            assert single["labels"][0] == names[int(expected.argmax())]
            found = torch.tensor([dict(zip(single["labels"], single["scores"], strict=True))[name] for name in names])
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
            found = torch.tensor([dict(zip(several["labels"], several["scores"], strict=True))[name] for name in names])
            torch.testing.assert_close(found, logits[:, [no, yes]].softmax(1)[:, 1], rtol=0, atol=1e-4)


OPENED = {
    "topic": AutoModelForSequenceClassification,
    "choice": AutoModelForMultipleChoice,
    "tags": AutoModelForTokenClassification,
}


@torch.no_grad()
@pytest.mark.parametrize("task", OPENED)
@pytest.mark.parametrize("architecture", ["roberta", "electra", "distilbert", "albert", "mpnet", "modernbert"])
def test_other_architectures(architecture: str, task: str, tmp_path: Path) -> None:
    """Heads keep their numbers, also where two classes of an architecture name their poolers differently.

    ModernBERT's own class for tags puts a dense layer below the classifier, so a head on the last hidden states would
    give other numbers there: it is refused and nothing is written.
    """
    make_tiny(tmp_path / "encoder", architecture)
    folder = saved_model(tmp_path / "encoder", tmp_path / "model")
    if (architecture, task) == ("modernbert", "tags"):
        with pytest.raises(ModelError, match=r"computes the head of tags@1 differently.*cannot hold this head"):
            export_head(folder, tmp_path / "out", task=task)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "model"]
        return
    network = OPENED[task].from_pretrained(export_head(folder, tmp_path / "out", task=task, with_task_embedding=True))
    logits, inputs = own_logits(folder, task, TEXTS, None if task == "tags" else PAIRS, with_task_embedding=True)
    real = inputs["attention_mask"].bool() if task == "tags" else slice(None)
    if task == "choice":
        found = network.eval()(**{name: value[None] for name, value in inputs.items()}).logits.T
    else:
        found = network.eval()(**inputs).logits
    torch.testing.assert_close(found[real], logits[real], rtol=0, atol=1e-4)


def test_export_leaves_the_model_alone(tiny_bert: Path, tmp_path: Path) -> None:
    """Exporting changes no file of the trained model, nor the caller's random state."""
    folder = saved_model(tiny_bert, tmp_path / "model")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    state = torch.get_rng_state()
    for task in ("topic", "tags"):
        export_head(folder, tmp_path / task, task=task, with_task_embedding=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert torch.equal(torch.get_rng_state(), state)


def test_the_only_head_needs_no_name(tiny_bert: Path, tmp_path: Path) -> None:
    """A model of one task, as fine-tuning leaves it, exports that."""
    topic = TASKS[1]
    folder = saved_model(tiny_bert, tmp_path / "model", [topic])
    export_head(folder, tmp_path / "out")
    found = pipeline("text-classification", str(tmp_path / "out"))
    assert set(found.model.config.label2id) == set(topic["labels"])


def test_mistakes_are_named(tiny_bert: Path, tmp_path: Path) -> None:
    """An unknown task has its nearest names, a folder in use stays as it is, no entailment head is said."""
    folder = saved_model(tiny_bert, tmp_path / "model", TASKS[1:])
    with pytest.raises(UnknownTaskError, match="Did you mean 'topic"):
        export_head(folder, tmp_path / "out", task="topics")
    with pytest.raises(ModelError, match=rf"no entailment head.*{len(TASKS) - 1} with --head: topic, "):
        export_head(folder, tmp_path / "out")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("keep")
    with pytest.raises(ModelError, match="not empty"):
        export_head(folder, tmp_path / "used", task="topic")
    with pytest.raises(ModelError, match="not a taskloom model"):
        export_head(tmp_path / "used", tmp_path / "out", task="topic")
    assert (tmp_path / "used" / "mine.txt").read_text() == "keep" and not (tmp_path / "out").exists()
    (tmp_path / "empty").mkdir()
    assert (export_head(folder, tmp_path / "empty", task="topic") / "config.json").exists()
