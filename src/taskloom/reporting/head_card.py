"""README.md and LICENSE of an exported head: ready for the Hugging Face hub, which refuses a card with a wrong header.

Languages, data sets and base model are those of the model's own card. The license stays `other`: a model trained on
many data sets inherits many licenses, and its publisher has to choose.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from taskloom.modeling.head_table import Head

KEPT = ("language", "datasets", "base_model")
LICENSE_NAME = "see-license-file"
DEFAULT_LICENSE = (
    "The weights of this model come from the data sets that it was trained on, each under a license of its own. Which "
    "of them bind the model is for its publisher to decide; replace this file, and `license` in README.md.\n"
)
EXAMPLES = {
    "token_classification": ('pipeline("token-classification", "{folder}")', '("some words")'),
    "multilabel": ('pipeline("text-classification", "{folder}", top_k=None)', '("a text")'),
}


def license_text(card: str) -> str:
    """Return the LICENSE of a head: what the model's own card says of licenses, or that nobody has said anything."""
    _, found, rest = card.partition("## Training data and licenses\n")
    told = rest.partition("\n## ")[0].strip() if found else ""
    return f"{DEFAULT_LICENSE}\n{told}\n" if told else DEFAULT_LICENSE


def head_card(head: Head, labels: Sequence[str], *, card: str, form: str, figures: Sequence[str], folder: str) -> str:
    """Return the README of an export of one head.

    `card` is the model's own README, "" where there is none; `form` is hf, onnx or openvino; `figures` are what the
    checks of the export found, a line each.
    """
    zero_shot = head.nli_names() is not None
    tags = [head.kind.replace("_", "-"), *([form] if form != "hf" else [])]
    header = _header(card, library="transformers", pipeline=_pipeline_tag(head, zero_shot), tags=tags)
    use = _use(head, form, zero_shot, folder)
    return _page(header, folder, _intro(head, labels, zero_shot), use, figures)


def sentence_card(*, card: str, figures: Sequence[str], folder: str, sharpness: float) -> str:
    """Return the README of a sentence encoder, whose dot products are logits over `sharpness`; the others as above."""
    header = _header(
        card, library="sentence-transformers", pipeline="sentence-similarity",
        tags=["sentence-transformers", "feature-extraction"],
    )  # fmt: skip
    intro = (
        "A sentence encoder out of a text encoder that was trained on many tasks at once with taskloom: texts lie near "
        "the names of their labels. Texts and names are compared by the dot product of their vectors."
    )
    lines = ["from sentence_transformers import SentenceTransformer", "", f'model = SentenceTransformer("{folder}")']
    lines += ['texts, labels = ["We won the cup."], ["sports", "politics"]']
    lines += [f"chances = ({sharpness:g} * model.similarity(model.encode(texts), model.encode(labels))).softmax(1)"]
    return _page(header, folder, intro, ["```python", *lines, "```"], figures)


def _page(header: Sequence[str], folder: str, intro: str, use: Sequence[str], figures: Sequence[str]) -> str:
    lines = [*header, "", f"# {folder}", "", intro, "", "## Use", "", *use, "", "## Checked", ""]
    lines += [f"- {figure}" for figure in figures]
    lines += ["", "## License", "", "See `LICENSE`, and `tasks.md` where it stands beside it."]
    return "\n".join(lines) + "\n"


def _header(card: str, *, library: str, pipeline: str, tags: Sequence[str]) -> list[str]:
    values = {name: value for name, value in front_matter(card).items() if name in KEPT}
    values["library_name"] = library
    values["pipeline_tag"] = pipeline
    values["tags"] = ["taskloom", *tags]
    values |= {"license": "other", "license_name": LICENSE_NAME, "license_link": "LICENSE"}
    lines = ["---"]
    for name, value in values.items():
        if isinstance(value, list):  # a JSON string is a YAML string, whatever stands in it
            lines += [f"{name}:", *(f"- {json.dumps(str(one), ensure_ascii=False)}" for one in value)]
        else:
            lines.append(f"{name}: {json.dumps(str(value), ensure_ascii=False)}")
    return [*lines, "---"]


def front_matter(card: str) -> dict[str, Any]:
    """Return the YAML header of a card, empty where there is none."""
    import yaml

    if not card.startswith("---\n"):
        return {}
    found = yaml.safe_load(card[4:].partition("\n---")[0])
    return found if isinstance(found, dict) else {}


def _pipeline_tag(head: Head, zero_shot: bool) -> str:
    if zero_shot:
        return "zero-shot-classification"
    tags = {"token_classification": "token-classification", "multiple_choice": "multiple-choice"}
    return tags.get(head.kind, "text-classification")


def _intro(head: Head, labels: Sequence[str], zero_shot: bool) -> str:
    told = {
        "regression": f"One score, from {head.low} to {head.high}.",
        "multiple_choice": "One number for each choice of a row: the highest is the answer.",
    }.get(head.kind, f"Labels: {', '.join(labels[:30])}{' and more' if len(labels) > 30 else ''}.")
    also = " Labels given on the spot are classified by entailment." if zero_shot else ""
    return (
        f"The head of the task {head.task} ({head.kind.replace('_', ' ')}) on a text encoder that was trained on many "
        f"tasks at once with taskloom. {told}{also}"
    )


def _use(head: Head, form: str, zero_shot: bool, folder: str) -> list[str]:
    call = 'model.classify("The team won the cup.", ["sports", "politics"])'
    if not zero_shot:
        rows = {"multiple_choice": '("prompt", ["first", "second"])', "token_classification": '["some", "words"]'}
        call = f'model.predict("{head.id}", [{rows.get(head.kind, chr(34) + "a text" + chr(34))}])'
    ours = ["```python", "import taskloom", "", f'model = taskloom.load_model("{folder}")', call, "```"]
    if form != "hf" or head.kind == "multiple_choice":
        return ours
    default = ('pipeline("text-classification", "{folder}")', '("a text")')
    made, asked = EXAMPLES.get(head.kind, default)
    if zero_shot:
        made, asked = 'pipeline("zero-shot-classification", "{folder}")', '("We won the cup.", ["sports", "politics"])'
    lines = ["from transformers import pipeline", "", f"run = {made.format(folder=folder)}", f"run{asked}"]
    return [*ours, "", "Without taskloom:", "", "```python", *lines, "```"]
