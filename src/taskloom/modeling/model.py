"""The whole model: one encoder, one head matrix, one task embedding; and the one folder it is kept in.

A head matrix of (rows, width) serves all tasks. The task embedding is added to [CLS], zero at the start, and dropped
for a tenth of the training examples, so that the model also answers without it; at prediction it is used whole or left
out, never at random.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from taskloom.data.batches import MicroBatch
from taskloom.errors import ModelError
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import NLI, TWO_WAY_NLI, Head, HeadTable
from taskloom.modeling.heads import Routing, example_losses, route

VERSION = 1
HEADS_JSON = "heads.json"
HEADS_WEIGHTS = "heads.safetensors"
LOSS_SCALINGS = ("none", "log_labels", "uncertainty")
INITIAL_DEVIATION = 0.02
"""Standard deviation of new head rows, as BERT initializes its classifiers (Devlin et al. 2019)."""


@dataclass(frozen=True)
class Prepared:
    """A micro-batch with its routing, made ahead of the step."""

    batch: MicroBatch
    routing: Routing

    def to(self, device: torch.device) -> Prepared:
        """Return the same on `device`."""
        return self if device.type == "cpu" else Prepared(self.batch.to(device), self.routing.to(device))


@dataclass(frozen=True)
class Output:
    """The losses of a micro-batch: per example (examples,), and the sum of weight x loss (scalar) for the step."""

    example_loss: Tensor
    loss_sum: Tensor


class Model(nn.Module):
    """Encoder, heads and task embeddings of all tasks of `table`."""

    def __init__(
        self,
        encoder: Encoder,
        table: HeadTable,
        *,
        seed: int = 0,
        task_embedding_drop: float = 0.1,
        loss_scaling: str = "none",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.table = table
        self.task_embedding_drop = task_embedding_drop
        self.loss_scaling = loss_scaling
        self.label_smoothing = label_smoothing
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(table.size, encoder.hidden_width, generator=generator) * INITIAL_DEVIATION
        self.head_weight = nn.Parameter(start)
        self.head_bias = nn.Parameter(torch.zeros(table.size))
        self.task_embedding = nn.Parameter(torch.zeros(len(table.heads), encoder.word_embeddings.embedding_dim))
        self.log_variance = nn.Parameter(torch.zeros(len(table.heads)))

    def row_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of which a step touches only some rows."""
        found = {"head_weight": self.head_weight, "head_bias": self.head_bias, "task_embedding": self.task_embedding}
        return found | ({"log_variance": self.log_variance} if self.loss_scaling == "uncertainty" else {})

    def prepare(self, batch: MicroBatch) -> Prepared:
        """Return a micro-batch with its routing; runs on the CPU, ahead of the step, in any thread."""
        return Prepared(batch, route(batch, self.table))

    def forward(self, prepared: Prepared) -> Output:
        """Return the losses of a micro-batch; in training, dropout and the drop of task embeddings use torch's RNG."""
        batch, routing = prepared.batch, prepared.routing
        pooled, words = self.features(batch, use_task_embedding=True)
        weight, bias = self.head_weight[routing.rows], self.head_bias[routing.rows]
        sequence_logits = torch.addmm(bias, pooled, weight.T).float()
        word_logits = torch.addmm(bias, words, weight.T).float()
        losses = example_losses(sequence_logits, word_logits, batch, routing, label_smoothing=self.label_smoothing)
        losses = self._scaled(losses, batch, routing)
        return Output(losses, (losses * batch.weight).sum())

    def features(self, batch: MicroBatch, *, use_task_embedding: bool) -> tuple[Tensor, Tensor]:
        """Return pooled features (sequences, width) and the features of the labelled words (words, width)."""
        vector = self._task_vectors(batch) if use_task_embedding else None
        pooled, hidden = self.encoder(
            batch.input_ids,
            attention_mask=batch.attention_mask,
            token_type_ids=batch.token_type_ids,
            first_vector=vector,
        )
        return pooled, hidden[batch.word_sequence, batch.word_position]

    def _task_vectors(self, batch: MicroBatch) -> Tensor:
        vectors = self.task_embedding[batch.task]
        if self.training and self.task_embedding_drop:
            kept = torch.rand(len(batch.task), device=vectors.device) >= self.task_embedding_drop
            vectors = vectors * kept[:, None]
        return vectors[batch.sequence_example]

    def _scaled(self, losses: Tensor, batch: MicroBatch, routing: Routing) -> Tensor:
        """Divide by the log of the label count (Aghajanyan et al. 2021), or weigh by a learned variance (Kendall 2018)."""
        if self.loss_scaling == "log_labels":
            return losses / routing.label_count.clamp(min=2).log()
        if self.loss_scaling == "uncertainty":
            spread = self.log_variance[batch.task]
            return losses * (-spread).exp() + spread / 2
        return losses

    @torch.inference_mode()
    def task_logits(self, batch: MicroBatch, place: int, *, use_task_embedding: bool = True) -> Tensor:
        """Return the logits of one task's rows: (sequences, labels), or (words, labels) for token classification.

        All examples of `batch` belong to the task at `place`; columns are in its label order, one for a score or choice.
        """
        head = self.table.heads[place]
        pooled, words = self.features(batch, use_task_embedding=use_task_embedding)
        units = words if head.kind == "token_classification" else pooled
        return self.head_logits(units, head)

    def head_logits(self, features: Tensor, head: Head) -> Tensor:
        """Return features (units, width) -> logits (units, labels) of one head, in fp32."""
        rows = list(head.rows)
        return torch.addmm(self.head_bias[rows], features.to(self.head_weight.dtype), self.head_weight[rows].T).float()

    def save(self, folder: Path, *, tokenizer_folder: Path, max_length: int, encoder_name: str, files: Mapping[str, str] | None = None) -> None:
        """Write the model folder atomically: encoder in Hugging Face form, heads, tokenizer, and `files` (name -> text)."""
        temporary = folder.with_name(f".tmp-{folder.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        self._save_encoder(temporary)
        save_tokenizer(tokenizer_folder, temporary, max_length=max_length)
        save_file(
            {"head_weight": self.head_weight.detach().cpu().contiguous(), "head_bias": self.head_bias.detach().cpu(),
             "task_embedding": self.task_embedding.detach().cpu().contiguous(), "log_variance": self.log_variance.detach().cpu()},
            temporary / HEADS_WEIGHTS,
        )  # fmt: skip
        zero_shot = self.table.zero_shot()
        record = {
            "version": VERSION, "encoder": encoder_name, "max_length": max_length, "loss_scaling": self.loss_scaling,
            "zero_shot": zero_shot.task if zero_shot else None, "tasks": self.table.to_json(),
        }  # fmt: skip
        (temporary / HEADS_JSON).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
        for name, text in (files or {}).items():
            (temporary / name).write_text(text, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)

    def _save_encoder(self, folder: Path) -> None:
        """Save the network with the NLI classifier on top: entailment 0, neutral 1, contradiction 2."""
        head = self.table.zero_shot()
        if head is None:
            self.encoder.network_without().save_pretrained(folder, safe_serialization=True)
            return
        names = NLI if len(head.rows) == len(NLI) else TWO_WAY_NLI
        rows = [row for name in names if (row := head.row_of(name)) is not None]
        save_with_head(self.encoder, folder, weight=self.head_weight[rows], bias=self.head_bias[rows], labels=names)

    @classmethod
    def load(cls, folder: Path, *, attention: str = "auto") -> Model:
        """Open a model folder in fp32, ready for prediction; raises ModelError when it is not one."""
        record = read_record(folder)
        table = HeadTable.from_json(record["tasks"])
        model = cls(Encoder.open(folder, attention=attention), table, loss_scaling=record["loss_scaling"])
        weights = load_file(folder / HEADS_WEIGHTS)
        own = {name: parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")}
        if weights.keys() != own.keys() or any(weights[name].shape != own[name].shape for name in own):
            raise ModelError(f"{folder / HEADS_WEIGHTS} does not fit {HEADS_JSON}: one of the two is from another model.")
        for name, parameter in own.items():
            parameter.data.copy_(weights[name])
        return model.eval()


def read_record(folder: Path) -> dict[str, Any]:
    """Return heads.json of a model folder; raises ModelError when there is none."""
    path = folder / HEADS_JSON
    if not path.is_file():
        raise ModelError(f"{folder} is not a taskloom model: it has no {HEADS_JSON}. Give a run folder or its model folder.")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if record.get("version") != VERSION:
        raise ModelError(f"{path} has version {record.get('version')}, this taskloom reads {VERSION}. Use a matching taskloom.")
    return record


def save_with_head(
    encoder: Encoder, folder: Path, *, weight: Tensor, bias: Tensor, labels: Sequence[str], problem_type: str | None = None
) -> None:
    """Save the encoder as a sequence classifier with these head rows (labels, width) on top, label maps filled."""
    classifier = nn.Linear(weight.shape[1], weight.shape[0])
    classifier.weight.data.copy_(weight.detach())
    classifier.bias.data.copy_(bias.detach())
    network = encoder.network_with(classifier)
    config = network.config
    before = {name: getattr(config, name, None) for name in ("id2label", "label2id", "problem_type", "architectures")}
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: place for place, label in enumerate(labels)}
    config.problem_type = problem_type
    try:
        network.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]
    finally:
        encoder.network_without()
        for name, value in before.items():
            setattr(config, name, value)


def save_tokenizer(source: Path, folder: Path, *, max_length: int) -> None:
    """Copy the tokenizer, its length set to the length that the model was trained at, its own truncation switched off."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source), use_fast=True)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(str(folder))


def scaled_scores(logits: np.ndarray[Any, Any], head: Head) -> np.ndarray[Any, Any]:
    """Return regression outputs (units,) in the task's own units, clipped to its scale."""
    assert head.low is not None and head.high is not None
    return np.clip(head.low + logits * (head.high - head.low), head.low, head.high)
