"""From a body to what is asked of the model, within the server's limits."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException

from taskloom.data.label_options import MOST_OPTIONS
from taskloom.errors import UserError
from taskloom.inference.classifying import Question
from taskloom.inference.inputs import ROW_OF
from taskloom.inference.label_sets import TEMPLATE, label_set, templates
from taskloom.inference.predictor import Model
from taskloom.serving.bodies import ClassifyBody, HuggingFaceBody
from taskloom.serving.settings import Settings
from taskloom.serving.works import ClassifyWork


def asked(model: Model, body: ClassifyBody | HuggingFaceBody) -> tuple[list[str], ClassifyWork]:
    """Return the texts and the work that a body in either form asks for; HTTP 422 for what the model cannot do."""
    own = body if isinstance(body, ClassifyBody) else _own_form(body)
    try:
        labels = label_set(own.labels)
        question = Question(
            way=own.way, templates=templates(own.template), multi_label=own.multi_label, none_below=own.none_below
        )
        ways = model.classifier().ways(question)
    except UserError as error:
        raise HTTPException(422, str(error)) from error
    forwards = {"pairs": len(labels.names), "one-pass": -(-len(labels.names) // MOST_OPTIONS), "matching": 1}
    work = ClassifyWork(
        labels=labels, multi_label=own.multi_label, template=own.template, way=own.way, none_below=own.none_below,
        forwards=sum(forwards[way] for way in ways),
    )  # fmt: skip
    return [own.texts] if isinstance(own.texts, str) else own.texts, work


def _own_form(body: HuggingFaceBody) -> ClassifyBody:
    given = body.parameters
    return ClassifyBody.model_construct(
        texts=body.inputs, labels=given.candidate_labels, multi_label=bool(given.multi_label),
        template=TEMPLATE if given.hypothesis_template is None else given.hypothesis_template,
    )  # fmt: skip


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
