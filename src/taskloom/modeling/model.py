"""The whole model: one encoder, one head matrix, one task embedding; and the one folder it is kept in.

A head matrix of (rows, width) serves all tasks. The task embedding is added to [CLS], zero at the start, and dropped
for a tenth of the training examples, so that the model also answers without it; at prediction it is used whole or left
out, never at random. The price of one folder for everything: its weights file has the encoder, and the heads stand in a
file of ours that other libraries pass over.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from taskloom.data.batches import MicroBatch
from taskloom.errors import ModelError
from taskloom.modeling.comparing import Compared, Read, compared_of
from taskloom.modeling.encoder import Encoder, quiet
from taskloom.modeling.head_table import Head, HeadTable
from taskloom.modeling.heads import Routing, example_losses, linear, route
from taskloom.modeling.keeping import Keeping
from taskloom.modeling.rows import gather_rows
from taskloom.modeling.token_layout import Layout, layout_of

VERSION = 1
HEADS_JSON = "heads.json"
HEADS_WEIGHTS = "heads.safetensors"
LOSS_SCALINGS = ("none", "log_labels", "uncertainty")
SHARPNESS = 20.0
"""What a cosine is multiplied by to become a logit, at first (Reimers and Gurevych 2019, sentence-transformers)."""
INITIAL_DEVIATION = 0.02
"""Standard deviation of new head rows, as BERT initializes its classifiers (Devlin et al. 2019)."""


@dataclass(frozen=True)
class Prepared:
    """A micro-batch with its routing, the sequences that are compared and, for an encoder that takes it, its layout.

    Made ahead of the step, on the CPU: a GPU that had to say how many there are would be waited for.
    """

    batch: MicroBatch
    routing: Routing
    layout: Layout | None = None
    compared: Compared | None = None

    @property
    def computed_tokens(self) -> int:
        """How many tokens go through the encoder, padding among them where it is computed."""
        return self.batch.input_ids.numel() if self.layout is None else len(self.layout.flat)


@dataclass(frozen=True)
class Output:
    """The losses of a micro-batch: per example (examples,), and the sums of weight x loss and of weights (scalars).

    The loss of a step is the sum of its `loss_sum` over the sum of its `weight_sum`, divided once, so that the cut into
    micro-batches does not change it.
    """

    example_loss: Tensor
    loss_sum: Tensor
    weight_sum: Tensor


class Model(nn.Module):
    """Encoder, heads and task embeddings of all tasks of `table`.

    A step touches only `routing.rows` of head_weight (rows, width) and head_bias (rows,), and only `routing.tasks` of
    task_embedding (tasks, word width) and log_variance (tasks,). The gradients of all other rows are zero, but momentum
    and decay of a plain AdamW would move them: `row_parameters` names what needs an optimizer that leaves them alone.
    """

    def __init__(
        self,
        encoder: Encoder,
        table: HeadTable,
        *,
        seed: int = 0,
        task_embedding_drop: float | Sequence[float] = 0.1,
        loss_scaling: str = "none",
        label_smoothing: float = 0.0,
        multilabel_loss: str = "mean",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.table = table
        self.loss_scaling = loss_scaling
        self.label_smoothing = label_smoothing
        self.multilabel_loss = multilabel_loss
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(table.size, encoder.hidden_width, generator=generator) * INITIAL_DEVIATION
        for head in table.heads:
            if head.apart:
                start[list(head.rows)] = SHARPNESS
        self.head_weight = nn.Parameter(start)
        self.keeping: Keeping | None = None
        self.register_buffer("embedded", torch.from_numpy(table.embedded), persistent=False)
        drops = torch.as_tensor(task_embedding_drop, dtype=torch.float32).expand(len(table.heads))
        self.drops_embeddings = bool(drops.any())
        self.register_buffer("embedding_drop", drops.clone(), persistent=False)
        self.head_bias = nn.Parameter(torch.zeros(table.size))
        self.task_embedding = nn.Parameter(torch.zeros(len(table.heads), encoder.word_embeddings.embedding_dim))
        self.log_variance = nn.Parameter(torch.zeros(len(table.heads)))

    def row_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of which a step touches only some rows."""
        found = {"head_weight": self.head_weight, "head_bias": self.head_bias, "task_embedding": self.task_embedding}
        return found | ({"log_variance": self.log_variance} if self.loss_scaling == "uncertainty" else {})

    @property
    def word_embeddings(self) -> str:
        """The name of the word embeddings among the parameters."""
        words = self.encoder.word_embeddings.weight
        return next(name for name, parameter in self.named_parameters() if parameter is words)

    def prepare(self, batch: MicroBatch) -> Prepared:
        """Return a micro-batch with its routing; runs on the CPU, ahead of the step, in any thread."""
        routing, layout = route(batch, self.table), layout_of(batch) if self.encoder.packs else None
        return Prepared(batch, routing, layout, compared_of(batch) if layout is None else layout.compared)

    def forward(self, prepared: Prepared, *, use_task_embedding: bool = True) -> Output:
        """Return the losses of a micro-batch; in training, dropout and the drop of task embeddings use torch's RNG."""
        batch, routing = prepared.batch, prepared.routing
        vectors = self._task_vectors(batch, routing) if use_task_embedding else None
        read = self._read(batch, vectors, prepared.layout, prepared.compared)
        pooled, words = read.features()
        weight, bias = gather_rows(self.head_weight, routing.rows), gather_rows(self.head_bias, routing.rows)
        sequence_logits, word_logits = linear(pooled, weight, bias), linear(words, weight, bias)
        losses = example_losses(
            sequence_logits, word_logits, batch, routing, label_smoothing=self.label_smoothing,
            multilabel_loss=self.multilabel_loss,
        )  # fmt: skip
        losses = self._scaled(losses, batch, routing)
        if self.keeping is not None and read.compared is not None and self.training:
            losses = losses + self.keeping.losses(batch, read.compared, read.vectors)
        return Output(losses, (losses * batch.weight).sum(), batch.weight.sum())

    def features(self, batch: MicroBatch, *, use_task_embedding: bool) -> tuple[Tensor, Tensor]:
        """Return pooled features (sequences, width) and the features of the labelled words (words, width).

        For prediction: the task embedding is used whole or left out, never dropped at random.
        """
        layout = layout_of(batch) if self.encoder.packs else None
        vectors = self.task_embedding[batch.task] * self._embedded(batch) if use_task_embedding else None
        compared = compared_of(batch) if layout is None else layout.compared
        return self._read(batch, vectors, layout, compared).features()

    def _read(
        self, batch: MicroBatch, vectors: Tensor | None, layout: Layout | None, compared: Compared | None
    ) -> Read:
        types = batch.token_type_ids
        first = None if vectors is None else functional.embedding(batch.sequence_example, vectors)
        if layout is not None:
            pooled, read = self.encoder.forward_packed(
                batch.input_ids, layout, token_type_ids=types, first_vector=first
            )
            words, tokens = read[: layout.word_count], read[layout.word_count :]
            return Read(pooled, words, compared, None if compared is None else compared.means(tokens))
        pooled, hidden = self.encoder(
            batch.input_ids,
            attention_mask=batch.attention_mask,
            token_type_ids=types,
            first_vector=first,
            first_only=len(batch.word_sequence) == 0 and compared is None,
        )
        means = None if compared is None else compared.mean_states(hidden, batch)
        return Read(pooled, hidden[batch.word_sequence, batch.word_position], compared, means)

    def _task_vectors(self, batch: MicroBatch, routing: Routing) -> Tensor:
        """Return each example's task vector (examples, word width); in training some are dropped, whole, to zero."""
        vectors = functional.embedding(routing.which, gather_rows(self.task_embedding, routing.tasks))
        vectors = vectors * self._embedded(batch)
        if self.training and self.drops_embeddings:
            drop: Tensor = self.embedding_drop[batch.task]  # type: ignore[index]
            kept = torch.rand(len(batch.task), device=vectors.device) >= drop
            vectors = vectors * kept[:, None]
        return vectors

    def _embedded(self, batch: MicroBatch) -> Tensor:
        """Return 1 for each example whose task has an embedding, else 0 (examples, 1)."""
        found: Tensor = self.embedded[batch.task][:, None]  # type: ignore[index]
        return found

    def _scaled(self, losses: Tensor, batch: MicroBatch, routing: Routing) -> Tensor:
        """Divide a softmax loss by the log of its label count, its value at chance (Aghajanyan et al. 2021, Muppet), or
        weigh each loss by its task's learned variance (Kendall et al. 2018)."""
        if self.loss_scaling == "log_labels":
            return losses / routing.log_count
        if self.loss_scaling == "uncertainty":
            log_variance = self.log_variance[batch.task]
            return losses * (-log_variance).exp() + log_variance / 2
        return losses

    def head_logits(self, features: Tensor, head: Head) -> Tensor:
        """Return features (units, width) -> logits (units, labels) of one head, in fp32.

        Units are sequences, or words for token classification; columns are in the head's label order, one for a score
        or a choice.
        """
        rows = list(head.rows)
        return linear(features, self.head_weight[rows], self.head_bias[rows])

    def save(
        self,
        folder: Path,
        *,
        tokenizer_folder: Path,
        max_length: int,
        encoder_name: str,
        files: Mapping[str, str] | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the model folder: encoder in Hugging Face form, heads, tokenizer, and `files` (name -> text).

        `training` is what heads.json records of the tasks trained and held out, see `lineage`.

        It appears whole or not at all: written beside its place, then renamed; a folder that is there is replaced.
        """
        assert self.encoder.pooling == "own", "an exported head reads the architecture's own pooler"
        with new_folder(folder) as temporary, quiet():
            self._save_encoder(temporary)
            save_tokenizer(tokenizer_folder, temporary, max_length=max_length)
            weights = {name: value.detach().cpu().contiguous() for name, value in self._own_parameters().items()}
            save_file(weights, temporary / HEADS_WEIGHTS)
            record = self._record(max_length, encoder_name) | ({} if training is None else {"training": training})
            (temporary / HEADS_JSON).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
            for name, text in (files or {}).items():
                (temporary / name).write_text(text, encoding="utf-8")

    def _own_parameters(self) -> dict[str, nn.Parameter]:
        return {name: value for name, value in self.named_parameters() if not name.startswith("encoder.")}

    def _record(self, max_length: int, encoder_name: str) -> dict[str, Any]:
        """Return the content of heads.json."""
        zero_shot, one_pass = self.table.zero_shot(), self.table.one_pass()
        return {
            "version": VERSION,
            "encoder": encoder_name,
            "max_length": max_length,
            "loss_scaling": self.loss_scaling,
            "zero_shot": zero_shot.task if zero_shot else None,
            "one_pass": one_pass.task if one_pass else None,
            "tasks": self.table.to_json(),
        }

    def _save_encoder(self, folder: Path) -> None:
        """Save the network with the NLI classifier on top: entailment 0, neutral 1, contradiction 2."""
        head = self.table.zero_shot()
        if head is None:
            self.encoder.network_without().save_pretrained(folder)  # type: ignore[operator]
            return
        names, rows = pipeline_order(head)
        save_with_head(self.encoder, folder, weight=self.head_weight[rows], bias=self.head_bias[rows], labels=names)

    @classmethod
    def load(cls, folder: Path, *, attention: str = "auto") -> Model:
        """Open a model folder in fp32, ready for prediction.

        Raises ModelError when it is not one, or when weights are missing, left over, or of another shape.
        """
        record = read_record(folder)
        encoder = Encoder.open(folder, attention=attention)
        strays = [*encoder.new_parameters, *encoder.unread_parameters]
        if strays:
            raise ModelError(
                f"{folder}: config.json and the weights do not fit together, for example at {strays[0]}. {SAVE}"
            )
        model = cls(encoder, HeadTable.from_json(record["tasks"]), loss_scaling=record["loss_scaling"])
        weights, own = load_file(folder / HEADS_WEIGHTS), model._own_parameters()
        if weights.keys() != own.keys() or any(weights[name].shape != own[name].shape for name in own):
            raise ModelError(f"{folder / HEADS_WEIGHTS} does not fit {HEADS_JSON}: one is from another model. {SAVE}")
        for name, parameter in own.items():
            parameter.data.copy_(weights[name])
        return model.eval()


SAVE = "Copy the folder again, whole, from where it was saved."


def read_record(folder: Path) -> dict[str, Any]:
    """Return heads.json of a model folder; raises ModelError when there is none that can be read."""
    path = folder / HEADS_JSON
    if not path.is_file() or not (folder / HEADS_WEIGHTS).is_file():
        raise ModelError(
            f"{folder} is not a taskloom model: {HEADS_JSON} or {HEADS_WEIGHTS} is not in it. "
            f"Give a run folder or its model folder."
        )
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}). {SAVE}") from error
    if record.get("version") != VERSION:
        raise ModelError(
            f"{path} has version {record.get('version')}, this taskloom reads {VERSION}. Use a matching taskloom."
        )
    return record


def check_new_folder(folder: Path, wanted: str = "Give a new folder.") -> None:
    """Raise ModelError for a folder that has something in it, or the one that the process is in; `wanted` ends it.

    What is written takes a folder's place whole, and nobody should be left standing in the one that is gone.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} is there and not empty. {wanted}")
    if folder.resolve() == Path.cwd().resolve():
        raise ModelError(f"{folder} is the folder that you are in, which cannot be replaced. {wanted}")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of `folder` at the end, and is removed when something fails."""
    folder = Path(os.path.abspath(folder))  # of "." and ".." the last name is none that could be changed
    temporary, old = folder.with_name(f".tmp-{folder.name}"), folder.with_name(f".old-{folder.name}")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def pipeline_order(head: Head) -> tuple[tuple[str, ...], list[int]]:
    """Return labels and head rows as an exported classifier has them: those of NLI as pipelines expect them."""
    names = head.nli_names()
    if names is None:
        return head.labels, list(head.rows)
    return names, [row for name in names if (row := head.row_of(name)) is not None]


def save_with_head(
    encoder: Encoder,
    folder: Path,
    *,
    weight: Tensor,
    bias: Tensor,
    labels: Sequence[str],
    problem_type: str | None = None,
) -> None:
    """Save the encoder as a sequence classifier with these head rows (labels, width) on top, label maps filled."""
    classifier = nn.Linear(weight.shape[1], weight.shape[0])
    classifier.weight.data.copy_(weight.detach())
    classifier.bias.data.copy_(bias.detach())
    network = encoder.network_with(classifier)
    config = encoder.config
    before = {name: getattr(config, name, None) for name in ("id2label", "label2id", "problem_type", "architectures")}
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: place for place, label in enumerate(labels)}
    config.problem_type = problem_type
    try:
        network.save_pretrained(folder)  # type: ignore[operator]
    finally:
        encoder.network_without()
        for name, value in before.items():
            setattr(config, name, value)


def save_tokenizer(source: Path, folder: Path, *, max_length: int) -> None:
    """Copy the tokenizer with the length that the model was trained at; a truncation of its own is switched off."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source), use_fast=True)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(str(folder))


def scaled_scores(logits: np.ndarray[Any, Any], head: Head) -> np.ndarray[Any, Any]:
    """Return regression outputs (units,) in the task's own units, clipped to its scale; as they are without one."""
    if head.low is None or head.high is None:
        return logits
    return np.clip(head.low + logits * (head.high - head.low), head.low, head.high)
