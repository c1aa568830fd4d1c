"""What can be asked of a model over HTTP, as values: equal ones are computed together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from taskloom.inference.label_sets import LabelSet
from taskloom.inference.predictor import Model


class Work(Protocol):
    """What a request asks of the model."""

    name: str

    def cost(self, row: Any) -> int:
        """Return the forwards that a row takes."""
        ...

    def answers(self, model: Model, rows: list[Any]) -> list[Any]:
        """Return the answer of each row."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClassifyWork:
    """Texts with labels given on the spot; a row is a text. `forwards` is what one text takes, by the way chosen."""

    labels: LabelSet
    multi_label: bool
    template: str
    way: Any
    none_below: float | None
    forwards: int

    name = "classify"

    def cost(self, _row: Any) -> int:
        return self.forwards

    def answers(self, model: Model, rows: list[Any]) -> list[Any]:
        """Return {"sequence", "labels", "scores"} of each text."""
        names, said = self.labels.names, self.labels.said
        return model.classify(
            rows, list(names) if names == said else dict(zip(names, said, strict=True)), multi_label=self.multi_label,
            hypothesis_template=self.template, way=self.way, none_below=self.none_below,
        )  # fmt: skip


@dataclass(frozen=True)
class PredictWork:
    """Rows of a trained task, as dicts of canonical columns."""

    task: str
    threshold: float | None

    name = "predict"

    def cost(self, row: Any) -> int:
        return len(row["choices"]) if "choices" in row else 1

    def answers(self, model: Model, rows: list[Any]) -> list[Any]:
        """Return the answer of each row, in the form of the task's kind."""
        return model.predict(self.task, rows, threshold=self.threshold)
