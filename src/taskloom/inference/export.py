"""One head as a plain Hugging Face folder: loads without taskloom, gives the same numbers.

The pooler that sequence heads read is the architecture's own, so a classification, multi-label, regression or choice
head is exact. Tag heads read the last hidden states, as the architectures' own token classifiers do where those put
one linear layer on top. What was written is opened again and asked for a few texts, and an architecture that computes
something else from the same weights is refused: that costs a second, and an export is never silently wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from taskloom.errors import ModelError, UnknownTaskError, did_you_mean, some_of_names
from taskloom.modeling.encoder import quiet
from taskloom.modeling.head_table import Head
from taskloom.modeling.model import (
    Model,
    check_new_folder,
    new_folder,
    pipeline_order,
    read_record,
    save_tokenizer,
    save_with_head,
)

TOLERANCE = 1e-4
PROBE = ["A man in a blue shirt is washing the windows of a house.", "Yes."]
PROBE_PAIR = ["Somebody cleans, on 2 days of 7.", "The dog did not see it, and we waited for a long time."]
POOLER_NAMES = ("{base}.pooler.dense.", "sequence_summary.summary.")
"""Where a class for multiple choice keeps the layer that the class for sequences of the same architecture keeps at
`classifier.dense`: RoBERTa's pooler and ELECTRA's summary compute the same function of it."""


def export_head(model_folder: Path, out: Path, *, task: str | None = None, with_task_embedding: bool = False) -> Path:
    """Write the head of `task` (id or id@version; default: the zero-shot head) to the new folder `out` and return it.

    `with_task_embedding` adds the task's vector to the [CLS] row of the word embeddings, which is exact because [CLS]
    stands at position 0 and nowhere else. Raises UnknownTaskError, or ModelError for a folder that is not empty or an
    architecture that has no class for this kind of head or computes it in another way.
    """
    check_new_folder(out)
    model = Model.load(model_folder)
    with new_folder(out) as temporary:
        write_head(model, model_folder, temporary, find_head(model, task), with_task_embedding=with_task_embedding)
    return out


def write_head(model: Model, source: Path, out: Path, head: Head, *, with_task_embedding: bool) -> float:
    """Write a head of the model in the folder `source` into the folder `out`; returns by how much outputs differ.

    The model given is used up: with the task embedding, its word embeddings are no longer what they were. Raises
    ModelError for a matching head, which compares the vectors of two sequences: no class of transformers does.
    """
    if head.apart:
        raise ModelError(
            f"The head of {head.task} compares the vectors of texts and names, and no class of transformers does. Use "
            'taskloom.load_model and classify(..., way="matching"), or write it with --format sentence-transformers.'
        )
    with torch.no_grad(), torch.random.fork_rng(devices=[]), quiet():
        inputs, first = _probe(model, head, source)
        expected = _own_outputs(model, head, inputs, with_task_embedding=with_task_embedding)
        if with_task_embedding:
            model.encoder.word_embeddings.weight[first] += _task_vector(model, head)
        WRITERS[head.kind](model, head, out)
        save_tokenizer(source, out, max_length=int(read_record(source)["max_length"]))
        return _check_parity(out, head, inputs, expected)


def find_head(model: Model, task: str | None) -> Head:
    """Return the head of a task; for None the zero-shot head, or the only one there is.

    Raises UnknownTaskError, or ModelError where a head has to be named.
    """
    heads = model.table.heads
    if task is None:
        found = model.table.zero_shot() or (heads[0] if len(heads) == 1 else None)
        if found is None:
            raise ModelError(
                f"This model has no entailment head, so no zero-shot head to export. Name one of its {len(heads)} with "
                f"--head: {some_of_names([head.id for head in heads], 5)}."
            )
        return found
    if task not in model.table.places:
        hint = did_you_mean(task, model.table.places)
        raise UnknownTaskError(f"The model was not trained on {task!r}.{hint} It knows {len(heads)} tasks.")
    return heads[model.table.places[task]]


def _task_vector(model: Model, head: Head) -> Tensor:
    return model.task_embedding[model.table.places[head.task]]


def _probe(model: Model, head: Head, folder: Path) -> tuple[dict[str, Tensor], int]:
    """Return two texts as padded inputs, and the token at position 0; raises ModelError if that is not special."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    pair = None if head.kind == "token_classification" else PROBE_PAIR
    length = int(read_record(folder)["max_length"])
    encoded = tokenizer(PROBE, pair, padding=True, truncation=True, max_length=length, return_tensors="pt")
    first = encoded["input_ids"][0, 0].item()
    if first not in tokenizer.all_special_ids:
        raise ModelError(
            f"The tokenizer of {folder} puts no special token first, so no task vector can be added to it."
        )
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * model.encoder.reads_types
    return {name: encoded[name] for name in names if name in encoded}, int(first)


def _own_outputs(model: Model, head: Head, inputs: dict[str, Tensor], *, with_task_embedding: bool) -> Tensor:
    """Return what the exported network must give for the probe: logits, or the score in the task's units."""
    pooled, hidden = model.encoder(
        inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        token_type_ids=inputs.get("token_type_ids"),
        first_vector=_task_vector(model, head).expand(len(inputs["input_ids"]), -1) if with_task_embedding else None,
    )
    units = hidden[inputs["attention_mask"].bool()] if head.kind == "token_classification" else pooled
    weight, bias = _scaled_rows(model, head)
    return torch.addmm(bias, units, weight.T)


def _check_parity(folder: Path, head: Head, inputs: dict[str, Tensor], expected: Tensor) -> float:
    import transformers

    network = getattr(transformers, AUTO_CLASSES[head.kind]).from_pretrained(str(folder)).eval()
    if head.kind == "multiple_choice":
        given = network(**{name: values[None] for name, values in inputs.items()}).logits.T
    else:
        given = network(**inputs).logits
    if head.kind == "token_classification":
        given = given[inputs["attention_mask"].bool()]
    difference = float((given - expected).abs().max() / expected.abs().max().clamp(min=1))
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{type(network).__name__} computes the head of {head.task} differently: outputs differ by "
            f"{difference:.2g}, at most {TOLERANCE} is allowed. It cannot hold this head; use taskloom.load_model."
        )
    return difference


def _scaled_rows(model: Model, head: Head) -> tuple[Tensor, Tensor]:
    """Return weight (labels, width) and bias (labels,) of the exported layer, in its order of labels.

    A regression scale is folded in, so that the one output is the score in the task's units.
    """
    _, rows = pipeline_order(head)
    weight, bias = model.head_weight[rows], model.head_bias[rows]
    if head.kind != "regression":
        return weight, bias
    assert head.low is not None and head.high is not None
    span = head.high - head.low
    return weight * span, bias * span + head.low


PROBLEM_TYPES = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}


def _write_sequence_head(model: Model, head: Head, out: Path) -> None:
    """NLI heads get the order that zero-shot pipelines expect: entailment first."""
    weight, bias = _scaled_rows(model, head)
    labels = ("score",) if head.kind == "regression" else pipeline_order(head)[0]
    problem = PROBLEM_TYPES[head.kind]
    save_with_head(model.encoder, out, weight=weight, bias=bias, labels=labels, problem_type=problem)


def _write_sibling(model: Model, head: Head, out: Path) -> None:
    """Write the architecture's own class for tags or choices."""
    labels = head.labels if head.kind == "token_classification" else None
    network = _sibling(model, AUTO_CLASSES[head.kind], labels=labels)
    _set_linear(network, *_scaled_rows(model, head))
    _copy(model, network)
    network.save_pretrained(out)


def _sibling(model: Model, auto_class: str, *, labels: Sequence[str] | None) -> Any:
    """Return the architecture's own network of another kind, with its label maps filled."""
    import transformers

    config = type(model.encoder.config).from_dict(model.encoder.config.to_dict())
    config.problem_type = None
    if labels is not None:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: place for place, label in enumerate(labels)}
    try:
        return getattr(transformers, auto_class).from_config(config)
    except ValueError as error:
        raise ModelError(
            f"{type(model.encoder.config).__name__} has no class for this kind of head: {error}"
        ) from error


def _set_linear(network: nn.Module, weight: Tensor, bias: Tensor) -> None:
    classifier = getattr(network, "classifier", None)
    if not isinstance(classifier, nn.Linear) or classifier.weight.shape != weight.shape:
        raise ModelError(f"{type(network).__name__} has no single linear layer on top, so it cannot hold this head.")
    classifier.weight.copy_(weight)
    classifier.bias.copy_(bias)


def _copy(model: Model, network: nn.Module) -> None:
    """Fill every parameter of `network` below its classifier with ours; raises ModelError for one that we lack."""
    ours = model.encoder.network_without().state_dict()
    twins = [name.format(base=network.base_model_prefix) for name in POOLER_NAMES]
    filled, missing = {}, []
    for name in network.state_dict():
        twin = next((twin for twin in twins if name.startswith(twin)), None)
        source = name if name in ours or twin is None else "classifier.dense." + name.removeprefix(twin)
        if source in ours:
            filled[name] = ours[source]
        elif not name.startswith("classifier."):
            missing.append(name)
    if missing:
        shown = ", ".join(missing[:3])
        raise ModelError(
            f"{type(network).__name__} has parts that the trained encoder lacks ({shown}), so it cannot hold this head."
        )
    network.load_state_dict(filled, strict=False)


AUTO_CLASSES = {
    "classification": "AutoModelForSequenceClassification",
    "multilabel": "AutoModelForSequenceClassification",
    "regression": "AutoModelForSequenceClassification",
    "multiple_choice": "AutoModelForMultipleChoice",
    "token_classification": "AutoModelForTokenClassification",
}
WRITERS = {
    "classification": _write_sequence_head,
    "multilabel": _write_sequence_head,
    "regression": _write_sequence_head,
    "multiple_choice": _write_sibling,
    "token_classification": _write_sibling,
}
