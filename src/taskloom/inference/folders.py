"""Folders in Hugging Face form as models of one head: exports of ours, and what others have published.

An export says in `taskloom.json` which head it holds. Of any other folder the configuration tells: a classifier with
a label that begins with "entail" is a zero-shot head, whatever the order and the casing of its labels. Weights are
read from safetensors alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from taskloom.errors import ModelError
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import NLI, ONE_ROW, TWO_WAY_NLI, Head, HeadTable
from taskloom.modeling.model import Model

RECORD = "taskloom.json"
VERSION = 1
CLASSES = {
    "ForSequenceClassification": "classification",
    "ForTokenClassification": "token_classification",
    "ForMultipleChoice": "multiple_choice",
}
PROBLEMS = {"regression": "regression", "multi_label_classification": "multilabel"}
NO_LIMIT = 1_000_000
"""From here on a tokenizer's length is a stand-in for none."""
LONGEST = 512
"""Tokens of an input where neither tokenizer nor configuration says how many the model reads."""


def write_record(folder: Path, head: Head, labels: tuple[str, ...], *, max_length: int) -> None:
    """Say in a folder which head it holds; `labels` in the order of its logits."""
    record = {
        "version": VERSION, "task": head.task, "id": head.id, "kind": head.kind, "labels": list(labels),
        "low": head.low, "high": head.high, "max_length": max_length,
    }  # fmt: skip
    (folder / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def described_head(folder: Path) -> tuple[Head, int]:
    """Return the head that a folder in Hugging Face form holds, and the most tokens of an input.

    Raises ModelError for a folder without a configuration, or without a head that is known here.
    """
    if (folder / RECORD).is_file():
        record = _read(folder / RECORD)
        if record.get("version") != VERSION:
            raise ModelError(f"{folder / RECORD} has version {record.get('version')}, this taskloom reads {VERSION}.")
        names = ("task", "id", "kind", "low", "high")
        return _head(**{name: record[name] for name in names}, labels=tuple(record["labels"])), record["max_length"]
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no model: it has neither heads.json nor config.json.")
    config = _read(folder / "config.json")
    architecture = str((config.get("architectures") or ["nothing"])[0])
    kind = next((kind for ending, kind in CLASSES.items() if architecture.endswith(ending)), None)
    if kind is None:
        raise ModelError(
            f"{folder} is a {architecture}, an encoder without a classifier on top: it answers nothing yet. Train it "
            f'with encoder = "{folder}" in a run file.'
        )
    if kind == "classification":
        kind = PROBLEMS.get(_problem(config), kind)
    labels = () if kind in ONE_ROW else _labels(config)
    found = _canonical_nli(labels) if kind == "classification" else None
    task = "nli" if found else "classifier"
    return _head(task=task, id=task, kind=kind, labels=found or labels, low=None, high=None), _length(folder, config)


def open_classifier(folder: Path) -> Model:
    """Open a sequence or tag classifier in Hugging Face form as a model of one head, in fp32.

    Raises ModelError for what cannot be read: pickled weights, a pooler that is missing, another kind of head.
    """
    head, _ = described_head(folder)
    if head.kind == "multiple_choice":
        raise ModelError(f"{folder} holds a multiple choice head, which opens from its run, or as an onnx export.")
    encoder = Encoder.open(folder)
    missing = [name for name in encoder.new_parameters if head.kind != "token_classification"]
    if missing:
        raise ModelError(f"{folder}: config.json and the weights do not fit together, for example at {missing[0]}.")
    weight, bias = _last_layer(folder, encoder.last_linear)
    if weight.shape != (len(head.rows), encoder.hidden_width):
        raise ModelError(
            f"{folder}: the classifier has the shape {tuple(weight.shape)}, and config.json tells of {len(head.rows)} "
            "labels. Give the folder that both were saved to."
        )
    model = Model(encoder, HeadTable((head,)))
    with torch.no_grad():
        scale, low = (head.high - head.low, head.low) if _has_scale(head) else (1.0, 0.0)  # type: ignore[operator]
        model.head_weight.copy_(weight.float() / scale)
        model.head_bias.copy_((bias.float() - low) / scale)  # type: ignore[operator]
    return model.eval()


def _has_scale(head: Head) -> bool:
    return head.kind == "regression" and head.low is not None and head.high is not None


def _last_layer(folder: Path, name: str) -> tuple[Tensor, Tensor]:
    names = {f"{place}.{part}" for place in (name, "classifier") for part in ("weight", "bias")}
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            found |= {key: weights.get_tensor(key) for key in names & set(weights.keys())}
    for place in (name, "classifier"):
        if f"{place}.weight" in found:
            weight = found[f"{place}.weight"]
            return weight, found.get(f"{place}.bias", torch.zeros(len(weight)))
    raise ModelError(f"{folder} has no weights for its classifier {name}. Give the folder that it was saved to.")


def _head(*, task: str, id: str, kind: str, labels: tuple[str, ...], low: Any, high: Any) -> Head:
    count = 1 if kind in ONE_ROW else len(labels)
    return Head(task=task, id=id, kind=kind, labels=labels, key=task, rows=tuple(range(count)), low=low, high=high)


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    names = {int(place): str(name) for place, name in (config.get("id2label") or {}).items()}
    if sorted(names) != list(range(len(names))) or len(set(names.values())) < len(names) or not names:
        raise ModelError(f"config.json numbers its labels in id2label as {names or 'nothing'}, not from 0 on.")
    return tuple(names[place] for place in range(len(names)))


def _problem(config: dict[str, Any]) -> str:
    """Return what a classifier was trained for; where nothing is said, one label is a score, as in transformers."""
    told = str(config.get("problem_type") or "")
    return "regression" if not told and len(config.get("id2label") or {}) == 1 else told


def _canonical_nli(labels: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the labels of entailment under their usual names, in the order given, or None if they are others."""
    if len(labels) not in (2, 3):
        return None
    names = NLI if len(labels) == 3 else TWO_WAY_NLI
    starts = {"entail": names[0], "contra": names[-1], "neutral": "neutral", "not": "not_entailment",
              "non": "not_entailment", "no_": "not_entailment"}  # fmt: skip
    found = [next((name for start, name in starts.items() if label.lower().startswith(start)), "") for label in labels]
    if len(labels) == 2:
        found = [name if name == names[0] else names[1] for name in found] if names[0] in found else found
    return tuple(found) if sorted(found) == sorted(names) else None


def _length(folder: Path, config: dict[str, Any]) -> int:
    """Return the most tokens of an input: the tokenizer's word, within the positions that the encoder has."""
    path = folder / "tokenizer_config.json"
    told = (_read(path) if path.is_file() else {}).get("model_max_length")
    positions = config.get("max_position_embeddings") or LONGEST
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer"):
        positions -= int(config.get("pad_token_id") or 0) + 1  # these count positions from behind the padding's
    length = told if isinstance(told, int) and 0 < told < NO_LIMIT else 0
    relative = config.get("model_type") == "deberta-v2" and config.get("position_biased_input") is False
    return length if length and (relative or length <= positions) else min(int(positions), LONGEST)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}). Copy the folder again, whole.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a JSON object. Copy the folder again, whole.")
    return found
