"""What can be asked of a model over HTTP, as values: equal ones are computed together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taskloom.inference.predictor import Model


@dataclass(frozen=True)
class ClassifyWork:
    """Texts with labels given on the spot; a row is a text, a forward a pair of text and label."""

    labels: tuple[str, ...]
    multi_label: bool
    template: str

    name = "classify"

    def cost(self, _row: Any) -> int:
        return len(self.labels)

    def answers(self, model: Model, rows: list[Any]) -> list[Any]:
        """Return {"sequence", "labels", "scores"} of each text."""
        return model.classify(rows, self.labels, multi_label=self.multi_label, hypothesis_template=self.template)


@dataclass(frozen=True)
class PredictWork:
    """Rows of a trained task, as dicts of canonical columns."""

    task: str
    threshold: float

    name = "predict"

    def cost(self, row: Any) -> int:
        return len(row["choices"]) if "choices" in row else 1

    def answers(self, model: Model, rows: list[Any]) -> list[Any]:
        """Return the answer of each row, in the form of the task's kind."""
        return model.predict(self.task, rows, threshold=self.threshold)
