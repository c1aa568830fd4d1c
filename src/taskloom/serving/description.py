"""The OpenAPI description, completed with what only a running server knows: its limits and its tasks."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from taskloom.serving.bodies import TasksAnswer
from taskloom.serving.settings import Settings


def complete(app: FastAPI, settings: Settings, tasks: TasksAnswer) -> None:
    """Write limits into the schemas of bodies, and a task of each kind as an example of the path.

    Where a key is asked for there are no such examples: the description is open, the tasks are not.
    """
    described = app.openapi()  # FastAPI keeps this very object and serves it
    schemas = described["components"]["schemas"]
    own, hugging_face = schemas["ClassifyBody"]["properties"], schemas["HuggingFaceBody"]["properties"]
    candidates = schemas["Parameters"]["properties"]["candidate_labels"]
    for several in (own["texts"], hugging_face["inputs"]):
        _array_of(several)["maxItems"] = settings.max_texts
    schemas["PredictBody"]["properties"]["rows"]["maxItems"] = settings.max_texts
    _of_type(own["labels"], "object")["maxProperties"] = settings.max_labels
    for labels in (_array_of(own["labels"]), _array_of(candidates), schemas["ChoiceRow"]["properties"]["choices"]):
        labels["maxItems"] = settings.max_labels
    if settings.api_key:
        return
    by_kind = {task.kind: task.id for task in reversed(tasks.tasks)}
    described["paths"]["/predict/{task}"]["post"]["parameters"][0]["examples"] = {
        kind: {"value": task} for kind, task in by_kind.items()
    }


def _array_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the part of "one or a list" that is the list."""
    return _of_type(schema, "array")


def _of_type(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(part for part in schema["anyOf"] if part["type"] == name)
    return found
