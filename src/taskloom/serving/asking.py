"""From a body to what is asked of the model, within the server's limits."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException

from taskloom.errors import UserError
from taskloom.inference.inputs import ROW_OF
from taskloom.inference.zero_shot import TEMPLATE, label_names, make_hypotheses
from taskloom.serving.bodies import ClassifyBody, HuggingFaceBody
from taskloom.serving.settings import Settings
from taskloom.serving.works import ClassifyWork


def asked(body: ClassifyBody | HuggingFaceBody) -> tuple[list[str], ClassifyWork]:
    """Return the texts and the work that a body in either form asks for."""
    if isinstance(body, ClassifyBody):
        given, labels, multi_label, template = body.texts, body.labels, body.multi_label, body.template
    else:
        asked = body.parameters
        given, labels, multi_label = body.inputs, label_names(asked.candidate_labels), bool(asked.multi_label)
        template = TEMPLATE if asked.hypothesis_template is None else asked.hypothesis_template
    try:
        make_hypotheses(labels, template)
    except UserError as error:
        raise HTTPException(422, str(error)) from error
    return [given] if isinstance(given, str) else given, ClassifyWork(tuple(labels), multi_label, template)


def check_limits(settings: Settings, *, texts: int, labels: int) -> None:
    """Raise HTTP 422 for more texts, or more labels (choices of a row), than the server takes at once."""
    for name, count, most in (("texts", texts, settings.max_texts), ("labels", labels, settings.max_labels)):
        if count > most:
            raise HTTPException(422, f"{count} {name} are more than this server takes at once: {most}.")


def canonical_row(given: Any, kind: str, number: int) -> dict[str, Any]:
    """Return a row as a dict of canonical columns; HTTP 422 when it is none of the task's kind."""
    plain = given if isinstance(given, str) else given.model_dump()
    try:
        row = vars(ROW_OF[kind](plain, number))
    except UserError as error:
        raise HTTPException(422, str(error)) from error
    return {column: list(value) if isinstance(value, tuple) else value for column, value in row.items()}
