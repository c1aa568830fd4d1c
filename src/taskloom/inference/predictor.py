"""A trained model in use: `predict` answers rows of a trained task, `classify` takes labels given on the spot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray

from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError, ModelError, did_you_mean
from taskloom.evaluation.calibration import scaled
from taskloom.evaluation.evaluator import NO_ANSWER, OUTSIDE, Answering, answer
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.routes import place_of
from taskloom.inference.abstaining import abstained, check_abstaining
from taskloom.inference.adapters import with_adapter
from taskloom.inference.backends import PRECISIONS, check_backend, on_backend
from taskloom.inference.classifying import Classifier, Question, Way
from taskloom.inference.label_sets import TEMPLATE, label_sets, templates
from taskloom.inference.opening import open_network
from taskloom.inference.pieces import LONG, Long, Reading
from taskloom.inference.prepared_rows import SPLIT, prepare_rows
from taskloom.inference.results import RESULTS
from taskloom.inference.scorers import Scorers, torch_scorers
from taskloom.modeling import model as modeling
from taskloom.modeling.devices import choose_autocast, choose_device
from taskloom.modeling.head_table import Head

Array = NDArray[Any]


class Model:
    """An opened model; `load_model` makes it."""

    def __init__(
        self,
        network: modeling.Model,
        how: Answering,
        *,
        max_length: int,
        folder: Path,
        temperatures: Mapping[str, float] | None = None,
        backend: str = "torch",
        precision: str = "",
    ) -> None:
        self.network = network
        self.temperatures = dict(temperatures or {})
        self.folder = folder
        self.max_length = max_length
        self.backend = backend
        self._precision = precision or ("bf16" if how.autocast else "fp32")
        self._how = how
        self._elsewhere: dict[tuple[str, str], Model] = {}
        self._kept: tuple[Any, Scorers] | None = None

    def __repr__(self) -> str:
        return f"Model({str(self.folder)!r}, tasks={len(self.heads)}, device={self.device.type!r})"

    def on(self, backend: str, precision: str = "fp32") -> Model:
        """Return the same model with its encoder on another runtime: "torch", "onnx" or "openvino"; on the CPU.

        The graph is made once and kept in the cache. `precision` is fp32, bf16 (not onnx) or int8 (not torch).
        Raises ModelError for what a runtime cannot do, or that is not installed.
        """
        if (backend, precision) == (self.backend, self.precision):
            return self
        if (backend, precision) not in self._elsewhere:
            check_backend(backend, precision, self.device)
            if self.backend != "torch":
                raise ModelError(f"{self.folder} was opened on {self.backend}. Open it anew for {backend}.")
            network, how = self.network, self._how
            if backend == "torch":
                how = dataclasses.replace(how, autocast=choose_autocast(precision, self.device))
            else:
                network = on_backend(network, self.folder, backend=backend, precision=precision)
                how = dataclasses.replace(how, autocast=None)
            self._elsewhere[backend, precision] = Model(
                network, how, max_length=self.max_length, folder=self.folder, backend=backend, precision=precision,
                temperatures=self.temperatures,
            )  # fmt: skip
        return self._elsewhere[backend, precision]

    @property
    def heads(self) -> tuple[Head, ...]:
        """The trained tasks with their kinds and labels, in the order of training."""
        return self.network.table.heads

    @property
    def tasks(self) -> tuple[str, ...]:
        """The ids of the trained tasks, with versions."""
        return tuple(head.task for head in self.heads)

    @property
    def zero_shot_task(self) -> str | None:
        """The task whose head `classify` uses, or None when no entailment task was trained."""
        head = self.network.table.zero_shot()
        return head.task if head else None

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self._how.device

    @property
    def precision(self) -> str:
        """The arithmetic in use: "fp32", "bf16" or "int8"."""
        return self._precision

    def predict(
        self,
        task: str,
        rows: Sequence[Any],
        *,
        threshold: float | None = None,
        use_task_embedding: bool = True,
        abstain_below: float | None = None,
    ) -> list[dict[str, Any]]:
        """Return the answers of a trained task (id or id@version) to `rows`, in order.

        A row is a text or a (text, pair), a (prompt, [choices]), or a list of words; or a dict of canonical columns.
        classification: {"label": name, "scores": {name: p}}; multilabel: {"labels": [names], "scores": {name: p}}, the
        labels with p of at least `threshold` (default: the task's own, chosen in training); regression: {"score": x} in
        original units; multiple choice: {"label": position, "scores": [p, ...]}; tags: {"labels": [a tag a word]}.
        With `abstain_below`, a probability, an answer that is less sure has None as its label (or labels) and
        "abstained": True, the others False; the probabilities are then calibrated if the model was
        (`taskloom evaluate --calibrate`). A multilabel row is as sure as its least sure label. ModelError for scores
        and tags, which have no probabilities.
        Raises UnknownTaskError for a task it was not trained on, DataError for a row that does not fit.
        """
        head = self.heads[place_of(self.network.table, task)]
        if isinstance(rows, str):
            raise DataError(f"predict takes a list of rows, not one string. Type [{rows[:40]!r}].")
        if abstain_below is not None:
            check_abstaining(head, abstain_below)
        given = prepare_rows(list(rows), head, self._how.tokenizer, max_length=self.max_length)
        split = given.splits[SPLIT]
        if not len(split):
            return []
        unseen = head.labels.index(OUTSIDE) if OUTSIDE in head.labels else NO_ANSWER
        answers = answer(
            self.network,
            given,
            SPLIT,
            how=self._answering(use_task_embedding),
            head=head.task,
            places=np.arange(len(split)),
            unseen=unseen,
        )
        if abstain_below is not None:
            answers = self._calibrated(answers, head)
        answers = answers if threshold is None else dataclasses.replace(answers, threshold=threshold)
        results = RESULTS[head.kind](answers, answers.threshold)
        return results if abstain_below is None else abstained(results, answers, abstain_below)

    @overload
    def classify(
        self, texts: str, labels: Any, *, multi_label: bool = ...,
        hypothesis_template: str | Sequence[str] = ..., use_task_embedding: bool = ..., way: Way = ...,
        long: Long = ..., none_below: float | None = ..., backend: str | None = ...,
    ) -> dict[str, Any]: ...  # fmt: skip

    @overload
    def classify(
        self, texts: list[str] | tuple[str, ...], labels: Any, *, multi_label: bool = ...,
        hypothesis_template: str | Sequence[str] = ..., use_task_embedding: bool = ..., way: Way = ...,
        long: Long = ..., none_below: float | None = ..., backend: str | None = ...,
    ) -> list[dict[str, Any]]: ...  # fmt: skip

    def classify(
        self,
        texts: str | list[str] | tuple[str, ...],
        labels: Any,
        *,
        multi_label: bool = False,
        hypothesis_template: str | Sequence[str] = TEMPLATE,
        use_task_embedding: bool = False,
        way: Way = "auto",
        long: Long = "truncate",
        none_below: float | None = None,
        backend: str | None = None,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Return {"sequence", "labels", "scores"} of each text, best label first; one string in, one dict out.

        `labels` are any words, one string of them separated by commas, {name: description}, or a list of such with one
        entry a text. With `multi_label` each label is judged by itself. Several templates are averaged. The way
        "pairs" gives the numbers of the Hugging Face zero-shot pipeline on the same folder, "one-pass" reads all labels
        in one sequence, "matching" compares vectors of texts and labels, "all" averages those that the model has, and
        "auto" is matching where it was trained and one label is asked for without a template of yours, else pairs,
        else one pass. A text longer than the model reads is cut, or with long="windows" read in pieces whose scores
        are averaged. With `none_below`, answers have "label", which is None where "fits", the best label's
        probability by itself, is below it. With `backend` the encoder runs elsewhere, as `on` says.
        Raises ModelError without the head for the way, DataError for no labels or a template without a gap.
        """
        given = [texts] if isinstance(texts, str) else list(texts)
        question = Question(
            way=way, templates=templates(hypothesis_template), multi_label=multi_label, none_below=none_below
        )
        sets = label_sets(labels, len(given))
        place = self if backend in (None, self.backend) else self.on(str(backend))
        found, _ = place.classifier(use_task_embedding=use_task_embedding, long=long).answers(given, sets, question)
        return found[0] if isinstance(texts, str) else found

    def _calibrated(self, answers: Predictions, head: Head) -> Predictions:
        temperature = self.temperatures.get(head.key)
        if temperature is None:
            return answers
        scores = scaled(answers.scores, temperature, kind=answers.kind, offsets=answers.offsets)
        # A temperature moves probabilities towards one half or away from it; the same labels stay above the threshold.
        threshold = scaled(np.array([answers.threshold]), temperature, kind="multilabel")
        return dataclasses.replace(answers, scores=scores, threshold=float(threshold[0]))

    def classifier(self, *, use_task_embedding: bool = False, long: Long = "truncate") -> Classifier:
        """Return what scores labels given on the spot, with the scorers of the heads that the model has."""
        if long not in LONG:
            raise DataError(f"Long texts can be read as {' or '.join(LONG)}, not {long!r}.{did_you_mean(long, LONG)}")
        how = self._answering(use_task_embedding)
        reading = Reading(tokenizer=how.tokenizer, max_length=self.max_length, long=long)
        return Classifier(self._scorers(how), reading)

    def _scorers(self, how: Answering) -> Scorers:
        """Return the scorers of the model's heads, kept as long as its weights do not change."""
        key = (how.use_task_embedding, *((value.data_ptr(), value._version) for value in self.network.parameters()))
        if self._kept is None or self._kept[0] != key:
            self._kept = key, torch_scorers(self.network, how)
        return self._kept[1]

    def _answering(self, use_task_embedding: bool) -> Answering:
        how = self._how
        return Answering(
            tokenizer=how.tokenizer,
            device=how.device,
            tokens_per_micro_batch=how.tokens_per_micro_batch,
            autocast=how.autocast,
            use_task_embedding=use_task_embedding,
        )


def load_model(
    path: str | Path,
    *,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16", "int8"] | str = "auto",
    backend: Literal["auto", "torch", "onnx", "openvino"] | str = "auto",
    adapter: str | Path | None = None,
) -> Model:
    """Open a model: a model folder or its run, an export, or a classifier in Hugging Face form.

    `device` is auto, cpu, cuda or mps. `precision` "auto" is bf16 on CUDA hardware that is fast at it, else fp32: bf16
    moves probabilities by about 1e-3, and on a CPU the answers shall equal those of the exported folder. int8 runs on
    the CPU. `backend` "auto" is torch where there are weights for it and int8 is not asked for; of the graphs of an
    export the one that is there, openvino before onnx. `adapter` is the folder of a head that is added (see
    `adapters`). Raises ModelError when there is no model, or it cannot be opened in this way.
    """
    if precision not in PRECISIONS:
        raise ModelError(
            f"Precision {precision!r} is not one of {', '.join(PRECISIONS)}.{did_you_mean(precision, PRECISIONS)}"
        )
    place, cpu = choose_device(device), torch.device("cpu")
    folder = _model_folder(Path(path))
    opened = open_network(folder, backend=backend, precision=precision, device=cpu if device == "auto" else place)
    if device == "auto" and opened.backend != "torch":
        place = cpu  # where graphs run, whatever else is there
    network = opened.network if adapter is None else with_adapter(opened.network, Path(adapter))
    choice = "fp32" if precision == "auto" and place.type == "cpu" else precision
    how = Answering(
        tokenizer=Tokenizer.open(folder),
        device=place,
        autocast=choose_autocast(choice, place) if opened.backend == "torch" else None,
        use_task_embedding=True,
    )
    return Model(
        network.to(place), how, max_length=opened.max_length, folder=folder, backend=opened.backend,
        precision=opened.precision, temperatures=opened.temperatures,
    )  # fmt: skip


def _model_folder(path: Path) -> Path:
    inner = path / "model"
    if (path / modeling.HEADS_JSON).is_file() or not inner.is_dir():
        return path
    return inner
