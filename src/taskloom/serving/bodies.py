"""What clients send and get, as the OpenAPI description tells them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from taskloom.inference.classifying import Way
from taskloom.inference.label_sets import TEMPLATE


def _whole(text: str) -> str:
    """Refuse half a surrogate pair: JSON can write one, and no tokenizer or answer can."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("text holds half a surrogate pair, which is no character") from error
    return text


Text = Annotated[str, AfterValidator(_whole)]
Label = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_whole)]
OVEN = "The oven broke again and nobody can bake."


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class ClassifyBody(_Body):
    """Texts and the labels to choose from."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"texts": [OVEN], "labels": ["kitchen", "garden", "office"]}]}
    )

    texts: Text | list[Text] = Field(description="A text, or a list of texts.")
    labels: list[Label] | dict[Label, Label] = Field(
        min_length=1, description="Any words, or {name: description}; the model need not have seen them."
    )
    multi_label: bool = Field(default=False, description="Judge each label by itself: several may fit, or none.")
    template: Label = Field(default=TEMPLATE, description="The hypothesis; {} stands for the label.")
    way: Way = Field(default="auto", description="Each label by itself, all in one pass, vectors compared, or all.")
    none_below: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Answers get `label`, null where the best label's own probability is below this."
    )


class Parameters(_Body):
    """The parameters of the zero-shot pipeline."""

    candidate_labels: list[Label] | Label = Field(description="Labels, or one string of them separated by commas.")
    multi_label: bool | None = None
    hypothesis_template: Label | None = None


class HuggingFaceBody(_Body):
    """The body of the Hugging Face inference API for zero-shot classification."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"inputs": OVEN, "parameters": {"candidate_labels": ["kitchen", "garden"]}}]}
    )

    inputs: Text | list[Text]
    parameters: Parameters
    options: dict[str, Any] | None = Field(default=None, description="Read and not used.")


def _form(body: Any) -> str:
    names = body if isinstance(body, dict) else getattr(body, "__dict__", {})
    return "hugging_face" if "inputs" in names else "own"


AnyClassifyBody = Annotated[
    Annotated[ClassifyBody, Tag("own")] | Annotated[HuggingFaceBody, Tag("hugging_face")], Discriminator(_form)
]


class TextRow(_Body):
    """A text, for some tasks with a second one."""

    text: Text
    pair: Text | None = None


class ChoiceRow(_Body):
    """A prompt and what may follow or answer it."""

    prompt: Text
    choices: list[Text] = Field(min_length=1)


class WordsRow(_Body):
    """The words of a text, each of which gets a tag."""

    tokens: list[Text]


class PredictBody(_Body):
    """Rows of a trained task."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"rows": [{"text": "A man sleeps.", "pair": "Somebody is awake."}]},
                {"rows": [{"prompt": "She opened the umbrella because", "choices": ["it rained.", "it was noon."]}]},
                {"rows": [{"tokens": ["Ada", "lives", "in", "London"]}]},
            ]
        }
    )

    rows: list[Text | TextRow | ChoiceRow | WordsRow] = Field(
        description="As the task's kind asks: a text, {text, pair}, {prompt, choices}, or {tokens}."
    )
    threshold: Annotated[
        float | None,
        Field(ge=0, le=1, description="Multilabel: the least probability of a label; by default the task's own."),
    ] = None


FIELDS = frozenset(
    name
    for body in (ClassifyBody, HuggingFaceBody, Parameters, PredictBody, TextRow, ChoiceRow, WordsRow)
    for name in body.model_fields
)
"""What clients may write; the rest of a fault's place is names of classes and forms."""


class Classified(BaseModel):
    """The labels of one text, best first, with their probabilities."""

    sequence: str
    labels: list[str]
    scores: list[float]
    label: str | None = Field(default=None, description="With none_below: the best label, or null for none of them.")
    fits: float | None = Field(default=None, description="With none_below: the best label's probability by itself.")


class ClassifyAnswer(BaseModel):
    """One result a text, in order."""

    results: list[Classified]


class Predicted(BaseModel):
    """One answer; which fields it has depends on the task's kind."""

    label: str | int | None = Field(default=None, description="The best label, or the best choice's place from 0.")
    labels: list[str] | None = Field(default=None, description="Multilabel: all that fit. Tags: one a word.")
    scores: dict[str, float] | list[float] | None = Field(default=None, description="Probabilities.")
    score: float | None = Field(default=None, description="Regression, in the task's own units.")


class PredictAnswer(BaseModel):
    """One result a row, in order."""

    task: str
    kind: str
    results: list[Predicted]


class TaskAnswer(BaseModel):
    """What the model was trained on; what only a recipe knows is null for tasks of one's own."""

    id: str
    version: int
    kind: str
    labels: list[str]
    low: float | None = None
    high: float | None = None
    pair: bool | None = Field(default=None, description="Whether rows have a second text.")
    question: str | None = None
    family: str | None = None
    source: str | None = None
    license: str | None = None


class TasksAnswer(BaseModel):
    """The model and its tasks, in the order of training."""

    model: str
    zero_shot: str | None = Field(description="The task whose head reads labels by themselves; null: none does.")
    one_pass: str | None = Field(description="The task whose head reads all labels in one pass; null: none does.")
    matching: str | None = Field(description="The task whose head compares vectors of texts and labels; null: none.")
    tasks: list[TaskAnswer]


class HealthAnswer(BaseModel):
    """Whether requests are taken; the status alone for a client without the key that the server asks for."""

    status: Literal["ok", "stopping"]
    model: str | None = None
    tasks: int | None = None
    queued: int | None = None


class Problem(BaseModel):
    """What was wrong, in one message."""

    error: str
