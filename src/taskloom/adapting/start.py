"""A model that fine-tuning and probes start from: its encoder as it was read, its heads, what it has seen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from taskloom.adapting.features import Features, features_of
from taskloom.adapting.probing import LinearHead
from taskloom.data.store import TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import RecastError
from taskloom.evaluation.evaluator import Answering
from taskloom.inference.prepared_rows import SPLIT, prepare_rows
from taskloom.modeling.devices import choose_autocast, choose_device, set_threads
from taskloom.modeling.encoder import Encoder, longest_input, resolve_encoder
from taskloom.modeling.head_table import NLI, TWO_WAY_NLI, Head, HeadTable, row_names
from taskloom.modeling.lineage import lineage_of
from taskloom.modeling.model import HEADS_WEIGHTS, Model, read_record
from taskloom.modeling.pooler import pass_first_token
from taskloom.modeling.warm_start import is_model_folder
from taskloom.recipes.labels import is_generic, normalize_label
from taskloom.recipes.recasts import readable_labels
from taskloom.recipes.recipe import Task

Array = NDArray[Any]


class Start:
    """A model that fine-tuning starts from, held open so that many starts cost one reading; `open_start` gives it.

    `folder` is an encoder in Hugging Face form or a model folder of ours, whose heads are then known; `max_length` is
    how many tokens it reads, and `positions` how many it could.
    """

    def __init__(self, folder: Path, *, device: torch.device, autocast: torch.dtype | None, max_length: int) -> None:
        self.folder, self.max_length, self.positions = folder, max_length, longest_input(folder)
        self.lineage = lineage_of(folder)
        self.tokenizer = Tokenizer.open(folder)
        self.device = device
        self.encoder = Encoder.open(folder).to(device)
        self._weights = {name: value.to("cpu", copy=True) for name, value in self.encoder.state_dict().items()}
        self.how = Answering(tokenizer=self.tokenizer, device=device, autocast=autocast, use_task_embedding=False)
        self._model: Model | None = None
        self._names: dict[str, dict[str, Array] | None] = {}
        self.table, self.heads = HeadTable(()), dict[str, Tensor]()
        if is_model_folder(folder):
            self.table = HeadTable.from_json(read_record(folder)["tasks"])
            self.heads = load_file(folder / HEADS_WEIGHTS)

    def answering(self) -> Answering:
        """Return how a model is asked that has been trained from this one: as `load_model` asks, in fp32 on a CPU."""
        autocast = None if self.device.type == "cpu" else self.how.autocast
        return dataclasses.replace(self.how, use_task_embedding=True, autocast=autocast)

    def fresh(self) -> Encoder:
        """Return the encoder as it was read, whatever has been trained since."""
        self.encoder.load_state_dict(self._weights)
        self.encoder.pooling = "own"
        self.encoder.requires_grad_(True)
        return self.encoder.eval()

    def saved_pooling(self) -> str:
        """Return what a new head of a saved model reads: the first token, where the own pooler can pass it on."""
        width = self.encoder.hidden_width
        states = torch.randn(width, width, generator=torch.Generator().manual_seed(0)).to(self.device)
        return "own" if pass_first_token(self.fresh(), states) is None else "first"

    def opened(self) -> Model:
        """Return the model itself with all of its heads, untouched; raises ModelError for a bare encoder."""
        if self._model is None:
            self._model = Model.load(self.folder).to(self.device)
        return self._model

    def features(self, store: TaskStore, split: str, places: Array, *, max_length: int) -> Features:
        """Return features of some rows by the untouched encoder."""
        return features_of(self.fresh(), store, split, places, how=self.how, max_length=max_length)

    def text_features(self, texts: Sequence[str]) -> dict[str, Array]:
        """Return features of plain texts by the untouched encoder: by pooling, (texts, width)."""
        head = Head("texts", "texts", "classification", ("a", "b"), "texts", (0, 1))
        given = prepare_rows(list(texts), head, self.tokenizer, max_length=self.max_length)
        every = np.arange(len(texts))
        return features_of(self.fresh(), given, SPLIT, every, how=self.how, max_length=self.max_length).values

    def name_features(self, task: Task, store: TaskStore) -> dict[str, Array] | None:
        """Return features of a classification task's label names, by pooling (labels, width); None where they say
        nothing. They are computed once for each task."""
        if store.fingerprint not in self._names:
            said = said_labels(task, store.labels) if store.kind == "classification" else None
            self._names[store.fingerprint] = None if said is None else self.text_features(said)
        return self._names[store.fingerprint]

    def matching_head(self, store: TaskStore, task_id: str) -> LinearHead | None:
        """Return the rows of a head with the same labels, in the task's own order, or None.

        The task's own head comes first, then one of the same kind and set of normalized names; sets that say nothing
        (yes and no, digits) and scores match only themselves. Multiple choice has one row for all tasks, and two-way
        entailment is read from the three-way head, neutral and contradiction averaged.
        """
        head = self._matching(store, task_id)
        if head is None:
            return None
        rows = dict(zip(row_names(head), head.rows, strict=True))
        names = [""] if "" in rows else [normalize_label(label) for label in store.labels]
        if head.labels == store.labels and head.labels:
            rows, names = dict(zip(head.labels, head.rows, strict=True)), list(head.labels)
        found = [self._row(rows, name) for name in names]
        return LinearHead(np.stack([weight for weight, _ in found]), np.array([bias for _, bias in found], np.float32))

    def _row(self, rows: Mapping[str, int], name: str) -> tuple[Array, float]:
        """Return weight (width,) and bias of a label; not_entailment of a three-way head is what stands against it."""
        if name in rows:
            return self.heads["head_weight"][rows[name]].numpy(), float(self.heads["head_bias"][rows[name]])
        against = [rows[other] for other in NLI if other != "entailment"]
        bias = float(self.heads["head_bias"][against].mean()) + math.log(len(against))
        return self.heads["head_weight"][against].mean(0).numpy(), bias

    def _matching(self, store: TaskStore, task_id: str) -> Head | None:
        mine = set(map(normalize_label, store.labels))
        fitting = [
            head for head in self.table.heads
            if head.kind == store.kind and set(map(normalize_label, head.labels)) == mine
            and not head.apart  # its weights are those of a cosine's dimensions
        ]  # fmt: skip
        own = [head for head in fitting if head.id == task_id]
        shared = store.kind == "multiple_choice" or (store.labels and not is_generic(store.labels))
        alike = fitting if shared else []
        three_way = self.table.zero_shot() if mine == set(TWO_WAY_NLI) and store.kind == "classification" else None
        return next(iter([*own, *alike, *([three_way] if three_way else [])]), None)


def said_labels(task: Task, labels: Sequence[str]) -> tuple[str, ...] | None:
    """Return label names in words, or None where they, or some of them, say nothing by themselves."""
    try:
        found = readable_labels(task, labels)
    except RecastError:
        return None
    said = tuple(name for name in found if name is not None)
    return said if len(said) == len(found) else None


def open_start(model: str, *, device: str, precision: str, length: int) -> Start:
    """Open a run, a model folder, an encoder folder, a hub id or "minilm"; raises ModelError for anything else.

    An encoder that is no model of ours reads `length` tokens, or fewer where its positions end. `precision` "auto" is
    bf16 where the hardware is fast at it: a step of 16 tweets takes 0.37 s of one core instead of 0.56 s.
    """
    set_threads()
    folder, place = resolve_encoder(model), choose_device(device)
    ours = is_model_folder(folder)
    most = int(read_record(folder)["max_length"]) if ours else min(length, longest_input(folder))
    return Start(folder, device=place, autocast=choose_autocast(precision, place), max_length=most)
