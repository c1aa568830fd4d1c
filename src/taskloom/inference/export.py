"""One head as a plain Hugging Face folder: loads without taskloom, gives the same numbers.

The pooler that sequence heads read is the architecture's own, so a classification, multi-label, regression or choice
head is exact. Tag heads read the last hidden states, as the architectures' own token classifiers do where those put
one linear layer on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from taskloom.errors import ModelError, UnknownTaskError, did_you_mean
from taskloom.modeling.head_table import NLI, TWO_WAY_NLI, Head
from taskloom.modeling.model import Model, read_record, save_tokenizer, save_with_head


def export_head(model_folder: Path, out: Path, *, task: str | None = None, with_task_embedding: bool = False) -> Path:
    """Write the head of `task` (default: the zero-shot head) to the new folder `out` and return it.

    `with_task_embedding` adds the task's vector to the [CLS] row of the word embeddings, which is exact because [CLS]
    stands at position 0 and nowhere else. Raises UnknownTaskError, or ModelError for a folder that is not empty or an
    architecture without the class that is needed.
    """
    if out.exists() and any(out.iterdir()):
        raise ModelError(f"{out} is not empty. Give a new folder.")
    model = Model.load(model_folder)
    head = _head(model, task)
    if with_task_embedding:
        _fold_task_embedding(model, head, model_folder)
    out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        WRITERS[head.kind](model, head, out)
    save_tokenizer(model_folder, out, max_length=int(read_record(model_folder)["max_length"]))
    return out


def _head(model: Model, task: str | None) -> Head:
    if task is None:
        found = model.table.zero_shot()
        if found is None:
            raise ModelError("This model has no entailment head, so there is no zero-shot head to export. Name one with --head.")
        return found
    if task not in model.table.places:
        hint = did_you_mean(task, model.table.places)
        raise UnknownTaskError(f"The model was not trained on {task!r}.{hint} It knows {len(model.table.heads)} tasks.")
    return model.table.heads[model.table.places[task]]


def _fold_task_embedding(model: Model, head: Head, folder: Path) -> None:
    from transformers import AutoTokenizer

    first = AutoTokenizer.from_pretrained(str(folder))("a")["input_ids"][0]
    vector = model.task_embedding[model.table.places[head.task]]
    model.encoder.word_embeddings.weight.data[first] += vector.detach()


def _rows(model: Model, head: Head) -> tuple[Tensor, Tensor]:
    rows = list(head.rows)
    return model.head_weight[rows], model.head_bias[rows]


def _write_classes(model: Model, head: Head, out: Path) -> None:
    """NLI heads get the order that zero-shot pipelines expect: entailment first."""
    names: Sequence[str] = head.labels
    rows = list(head.rows)
    for order in (NLI, TWO_WAY_NLI):
        if set(order) == {name for name in order if head.row_of(name) is not None} and len(order) == len(rows):
            names, rows = order, [row for name in order if (row := head.row_of(name)) is not None]
    problem = "multi_label_classification" if head.kind == "multilabel" else "single_label_classification"
    save_with_head(
        model.encoder, out, weight=model.head_weight[rows], bias=model.head_bias[rows], labels=names, problem_type=problem
    )


def _write_score(model: Model, head: Head, out: Path) -> None:
    """The scale is folded into weight and bias, so that the one logit is the score in the task's units."""
    assert head.low is not None and head.high is not None
    weight, bias = _rows(model, head)
    span = head.high - head.low
    save_with_head(
        model.encoder, out, weight=weight * span, bias=bias * span + head.low, labels=["score"], problem_type="regression"
    )


def _write_tags(model: Model, head: Head, out: Path) -> None:
    weight, bias = _rows(model, head)
    network = _sibling(model, "AutoModelForTokenClassification", labels=head.labels)
    _set_linear(network, weight, bias)
    _copy(model, network, pooled=False)
    network.save_pretrained(out, safe_serialization=True)


def _write_choice(model: Model, head: Head, out: Path) -> None:
    weight, bias = _rows(model, head)
    network = _sibling(model, "AutoModelForMultipleChoice", labels=None)
    _set_linear(network, weight, bias)
    _copy(model, network, pooled=True)
    network.save_pretrained(out, safe_serialization=True)


def _sibling(model: Model, auto_class: str, *, labels: Sequence[str] | None) -> Any:
    """Return the architecture's own network of another kind, with its label maps filled."""
    import transformers

    config = type(model.encoder.config).from_dict(model.encoder.config.to_dict())
    if labels is not None:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: place for place, label in enumerate(labels)}
    try:
        return getattr(transformers, auto_class).from_config(config)
    except ValueError as error:
        raise ModelError(f"{type(model.encoder.config).__name__} has no class for this kind of head: {error}") from error


def _set_linear(network: nn.Module, weight: Tensor, bias: Tensor) -> None:
    classifier = getattr(network, "classifier", None)
    if not isinstance(classifier, nn.Linear) or classifier.weight.shape != weight.shape:
        raise ModelError(f"{type(network).__name__} has no single linear layer on top, so this head cannot be exported to it.")
    classifier.weight.data.copy_(weight)
    classifier.bias.data.copy_(bias)


def _copy(model: Model, network: nn.Module, *, pooled: bool) -> None:
    """Copy all shared weights; every parameter of the sibling below its classifier must be among ours, and no pooler
    of ours may be without a place there when the head reads pooled features."""
    ours = model.encoder.network_without().state_dict()
    wanted = {name for name in network.state_dict() if not name.startswith("classifier.")}
    missing = sorted(wanted - ours.keys())
    unplaced = sorted(ours.keys() - wanted) if pooled else []
    if missing or unplaced:
        raise ModelError(f"{type(network).__name__} is built differently, so this head cannot be exported: {', '.join(missing + unplaced)}.")
    network.load_state_dict({name: ours[name] for name in wanted}, strict=False)


WRITERS = {
    "classification": _write_classes,
    "multilabel": _write_classes,
    "regression": _write_score,
    "multiple_choice": _write_choice,
    "token_classification": _write_tags,
}

