"""Start from a model that was trained before: beside its encoder and pooler, the heads and embeddings it shares.

A head row is taken over where a task of the new run has a label of the same normalized name under the same sharing key,
so a task that is new to the model starts with the rows of those it shares a head with. Task embeddings belong to one
task, whatever its version. What has no match starts anew, and is told.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from taskloom.modeling.head_table import HeadTable, row_names
from taskloom.modeling.model import HEADS_JSON, HEADS_WEIGHTS, Model, read_record


def is_model_folder(folder: Path) -> bool:
    """Tell whether an encoder's folder is a model of ours, with heads."""
    return (folder / HEADS_JSON).is_file() and (folder / HEADS_WEIGHTS).is_file()


@torch.no_grad()
def warm_start(model: Model, folder: Path) -> str:
    """Copy the heads and task embeddings that the model in `folder` has for tasks of `model`; returns what was done."""
    known = HeadTable.from_json(read_record(folder)["tasks"])
    weights = load_file(folder / HEADS_WEIGHTS)
    rows = {(head.key, name): row for head in known.heads for name, row in zip(row_names(head), head.rows, strict=True)}
    shared: list[str] = []
    fresh: list[str] = []
    embeddings = 0
    for place, head in enumerate(model.table.heads):
        found = [(row, rows.get((head.key, name))) for name, row in zip(row_names(head), head.rows, strict=True)]
        for row, before in found:
            if before is not None:
                model.head_weight[row] = weights["head_weight"][before]
                model.head_bias[row] = weights["head_bias"][before]
        (shared if all(before is not None for _, before in found) else fresh).append(head.task)
        if (at := known.places.get(head.task, known.places.get(head.id))) is not None:
            embeddings += 1
            model.task_embedding[place] = weights["task_embedding"][at]
            model.log_variance[place] = weights["log_variance"][at]
    new = f"; new heads: {', '.join(fresh)}" if fresh else ""  # all of them: which start anew is said nowhere else
    return (
        f"starting from {folder}: encoder and pooler, the heads of {len(shared)} and the embeddings of {embeddings} of "
        f"{len(model.table.heads)} tasks{new}"
    )
