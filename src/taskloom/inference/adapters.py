"""One task's head as a folder of a few kB, on top of an encoder that is somewhere else.

It is a model folder without the model: heads.json and heads.safetensors with one task, and the fingerprint of the
encoder that the head was trained on, since on any other its answers would be noise. Adapters of tasknet (the package
behind the tasksource models) are read as well where their weights are safetensors; they carry no fingerprint, so only
the width is checked.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from taskloom.errors import ModelError
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import Head, HeadTable
from taskloom.modeling.model import HEADS_JSON, HEADS_WEIGHTS, VERSION, Model, new_folder, read_record

FINGERPRINT = "encoder_fingerprint"
TASKNET = ("tasks", "classifiers_size", "labels_list")


@dataclass(frozen=True)
class _Part:
    """The rows of one head: weight (rows, width), bias (rows,) and task vector (word width,)."""

    head: Head
    weight: Tensor
    bias: Tensor
    vector: Tensor


def encoder_fingerprint(encoder: Encoder) -> str:
    """Return a digest of all weights below the heads, pooler included; the same for every folder that holds them."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(encoder.network_without().state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().data)
    return digest.hexdigest()


def write_adapter(model: Model, head: Head, out: Path, *, record: dict[str, Any]) -> None:
    """Write the head as the new folder `out`; `record` is the heads.json of the model it comes from."""
    rows, place = list(head.rows), model.table.places[head.task]
    alone = HeadTable((dataclasses.replace(head, rows=tuple(range(len(rows)))),))
    weights = {
        "head_weight": model.head_weight[rows], "head_bias": model.head_bias[rows],
        "task_embedding": model.task_embedding[[place]], "log_variance": model.log_variance[[place]],
    }  # fmt: skip
    told = {"zero_shot": alone.zero_shot(), "one_pass": alone.one_pass()}
    content = record | {name: head.task if found else None for name, found in told.items()}
    content |= {"version": VERSION, FINGERPRINT: encoder_fingerprint(model.encoder), "tasks": alone.to_json()}
    with new_folder(out) as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()},
                  temporary / HEADS_WEIGHTS)  # fmt: skip
        (temporary / HEADS_JSON).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


@torch.no_grad()
def with_adapter(model: Model, folder: Path) -> Model:
    """Return the model with the heads of an adapter beside its own; a task that both have is the adapter's.

    Raises ModelError for an adapter that was trained on another encoder, is pickled, or is none.
    """
    added = list(_parts(model, folder))
    names = {part.head.task for part in added}
    kept = [_own_part(model, head) for head in model.table.heads if head.task not in names]
    heads, start = [], 0
    for part in (*kept, *added):
        count = len(part.bias)
        heads.append(dataclasses.replace(part.head, rows=tuple(range(start, start + count))))
        start += count
    together = Model(model.encoder, HeadTable(tuple(heads)))
    together.head_weight.copy_(torch.cat([part.weight for part in (*kept, *added)]))
    together.head_bias.copy_(torch.cat([part.bias for part in (*kept, *added)]))
    together.task_embedding.copy_(torch.stack([part.vector for part in (*kept, *added)]))
    return together.eval()


def _own_part(model: Model, head: Head) -> _Part:
    rows = list(head.rows)
    return _Part(
        head, model.head_weight[rows], model.head_bias[rows], model.task_embedding[model.table.places[head.task]]
    )


def _parts(model: Model, folder: Path) -> Iterator[_Part]:
    if not (folder / HEADS_JSON).is_file():
        yield from _tasknet_parts(model, folder)
        return
    record = read_record(folder)
    mine, theirs = encoder_fingerprint(model.encoder), record.get(FINGERPRINT)
    if theirs != mine:
        told = f"{theirs[:12]}, not {mine[:12]}" if theirs else "a model of its own; open it without an encoder"
        raise ModelError(
            f"The adapter {folder} belongs to another encoder ({record.get('encoder')}, {told}). Give the model that "
            "it was exported from, or any export of it in Hugging Face form."
        )
    weights = load_file(folder / HEADS_WEIGHTS)
    for place, head in enumerate(HeadTable.from_json(record["tasks"]).heads):
        rows = list(head.rows)
        yield _Part(head, weights["head_weight"][rows], weights["head_bias"][rows], weights["task_embedding"][place])


def _tasknet_parts(model: Model, folder: Path) -> Iterator[_Part]:
    """Yield the heads of a tasknet adapter: config.json names tasks and labels, `Z` has the task vectors."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not all(name in config for name in TASKNET):
        raise ModelError(f"{folder} is no adapter: it has neither {HEADS_JSON} nor a config.json of tasknet's.")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = ", ".join(sorted(file.name for file in folder.glob("*.bin"))) or "none there"
        raise ModelError(
            f"The weights of {folder} are pickled ({pickled}), which can run code when they are opened, so they never "
            "are. Convert them where you trust them: safetensors.torch.save_file(state_dict, 'model.safetensors')."
        )  # fmt: skip
    weights = {name: value for file in files for name, value in load_file(file).items()}
    for place, (task, labels) in enumerate(zip(config["tasks"], config["labels_list"], strict=False)):
        weight, bias = (weights.get(f"classifiers.{place}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None or weight.shape[1] != model.head_weight.shape[1]:
            shape = None if weight is None else tuple(weight.shape)
            raise ModelError(
                f"{folder}: the head of {task} has the shape {shape}, the encoder's features are "
                f"{model.head_weight.shape[1]} wide. Give the encoder that the adapter was trained on."
            )
        vector = weights["Z"][place] if "Z" in weights else torch.zeros(model.task_embedding.shape[1])
        yield _Part(_tasknet_head(task, labels, len(weight)), weight.float(), bias.float(), vector.float())


def _tasknet_head(task: str, labels: Any, size: int) -> Head:
    """One output is how good a choice is; more are classes, numbered where their names are not kept."""
    names = tuple(map(str, labels)) if labels and len(labels) == size else tuple(map(str, range(size)))
    kind, names = ("multiple_choice", ()) if size == 1 else ("classification", names)
    rows = tuple(range(size))
    return Head(task=task, id=task, kind=kind, labels=names, key=task, rows=rows, low=None, high=None)
