"""Requests made from the server's own description, right and wrong ones: no 5xx, and only what it describes.

A few here; `benchmarks/serving.py generated` makes 10,000.
"""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from hypothesis import HealthCheck, Phase, given, settings

from taskloom.inference.predictor import Model
from taskloom.serving.app import make_app

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

CASES = 25


@pytest.fixture(scope="module")
def schema(served_model: Model) -> Any:
    """The description as schemathesis reads it, with the trained tasks among the paths."""
    app = make_app(served_model)
    described = app.openapi()
    task = described["paths"]["/predict/{task}"]["post"]["parameters"][0]
    task["schema"] = {"anyOf": [{"enum": list(served_model.tasks)}, {"type": "string", "minLength": 1}]}
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize(
    ("path", "method"),
    [("/classify", "POST"), ("/predict/{task}", "POST"), ("/tasks", "GET"), ("/health", "GET"), ("/metrics", "GET")],
)
def test_no_request_breaks_the_server(schema: Any, path: str, method: str, mode: str) -> None:
    """Status, type and content of every answer are among those described, and none is a 5xx."""
    if mode == "negative" and method == "GET":
        pytest.skip("there is nothing in it that could be wrong")
    strategy = schema[path][method].as_strategy(generation_mode=schemathesis.GenerationMode(mode))
    quick = settings(
        max_examples=CASES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip

    @quick
    @given(case=strategy)
    def check(case: Any) -> None:
        case.call_and_validate(checks=_checks())

    check()


def _checks() -> list[Any]:
    from schemathesis.specs.openapi import checks

    return [
        schemathesis.checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
        checks.response_schema_conformance,
    ]  # fmt: skip
