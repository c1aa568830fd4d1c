"""A task of one's own: an entry of [[task]] in a run file -> a recipe.

The keys are those of the recipe's fields, flat. `label` names the answer of every kind but the two that have several
(`labels`) and the score (`score`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taskloom.errors import ConfigError, did_you_mean
from taskloom.recipes.expressions import (
    Above,
    Code,
    Constant,
    Field,
    IndexIn,
    Lines,
    Listed,
    OneBased,
    Shuffled,
    SplitOptions,
)
from taskloom.recipes.recipe import (
    FORMATS,
    KINDS,
    OWN_FAMILY,
    RECASTS,
    Classification,
    Files,
    Held,
    Kind,
    Multilabel,
    MultipleChoice,
    Regression,
    Splits,
    Task,
    TokenClassification,
)

SPLITS = ("train", "validation", "test")
HELD_SHARE = 0.1
COMMON = (
    "id",
    "kind",
    "files",
    "format",
    "head",
    "weight",
    "max_rows",
    "question",
    "validation_share",
    "license",
    "row_weight",
)
FIELDS = {
    "classification": ("text", "pair", "label", "names", "recast"),
    "multilabel": ("text", "pair", "labels", "names", "separator", "recast"),
    "regression": ("text", "pair", "score", "low", "high"),
    "multiple_choice": ("prompt", "choices", "label", "answer"),
    "token_classification": ("tokens", "labels", "names", "separator"),
}
NEEDED = {
    "classification": ("text", "label"),
    "multilabel": ("text", "labels"),
    "regression": ("text", "score", "low", "high"),
    "multiple_choice": ("prompt", "choices"),
    "token_classification": ("tokens", "labels"),
}
ANSWERS = ("place", "number", "letter", "text", "first")
"""How a choice's label names the right option: its place from 0, its number from 1, its letter, its text; or the first
option of every row is right, and they are shuffled."""
LETTERS = "ABCDEFGHIJ"


def own_task(entry: Mapping[str, Any]) -> Task:
    """Return the recipe that one [[task]] entry describes; raises ConfigError for what is missing, unknown or unfit.

    `files` maps splits to a path or a list of paths; a single path stands for train. Without validation or test files a
    tenth of the train rows (or `validation_share`) is held out, rows with equal texts together.
    """
    where = f"[[task]] {entry.get('id', '(no id)')}"
    kind = _checked_kind(entry, where)
    files = _files(entry, where)
    share = entry.get("validation_share", HELD_SHARE)
    given = {split: split for split, _ in files.splits}
    held = Held(float(share)) if "train" in given and len(given) == 1 and share else None
    return Task(
        id=str(entry["id"]),
        source=files,
        kind=_kind(kind, entry),
        splits=Splits(train=given.get("train"), validation=given.get("validation", held), test=given.get("test")),
        question=str(entry.get("question", "")),
        family=OWN_FAMILY,
        license=entry.get("license"),
        head=entry.get("head"),
        weight=float(entry.get("weight", 1.0)),
        max_rows=entry.get("max_rows"),
        row_weight=entry.get("row_weight"),
    )


def own_recasts(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the forms in which one [[task]] entry is trained as well; raises ConfigError for a form that is none."""
    given = entry.get("recast", ())
    forms = (given,) if isinstance(given, str) else given
    for form in forms if isinstance(forms, (list, tuple)) else [forms]:
        if form not in RECASTS:
            raise ConfigError(
                f"[[task]] {entry.get('id', '(no id)')}: recast = {given!r}. Allowed: one or a list of "
                f"{', '.join(RECASTS)}.{did_you_mean(str(form), RECASTS)}"
            )
    return tuple(forms)


def _checked_kind(entry: Mapping[str, Any], where: str) -> str:
    if "id" not in entry:
        raise ConfigError(f'{where}: `id` is missing. Write for example id = "support/priority".')
    kind = entry.get("kind")
    if kind not in KINDS:
        raise ConfigError(f"{where}: kind = {kind!r}. Allowed: {', '.join(KINDS)}.{did_you_mean(str(kind), KINDS)}")
    allowed = COMMON + FIELDS[kind]
    for key in entry:
        if key not in allowed:
            raise ConfigError(
                f"{where}: there is no key '{key}' for {kind}.{did_you_mean(key, allowed)} "
                f"Allowed: {', '.join(allowed)}."
            )
    missing = [key for key in NEEDED[kind] if key not in entry]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} is missing. A {kind} task needs {', '.join(NEEDED[kind])}.")
    return str(kind)


def _files(entry: Mapping[str, Any], where: str) -> Files:
    files = entry.get("files")
    if isinstance(files, (str, list)):
        files = {"train": files}
    if not isinstance(files, Mapping) or not files:
        raise ConfigError(f'{where}: `files` is missing. Write for example files = {{ train = "train.csv" }}.')
    for split in files:
        if split not in SPLITS:
            raise ConfigError(
                f"{where}: files has no split '{split}'.{did_you_mean(split, SPLITS)} Allowed: {', '.join(SPLITS)}."
            )
    if entry.get("format") not in (None, *FORMATS):
        raise ConfigError(f"{where}: format = {entry['format']!r}. Allowed: {', '.join(FORMATS)}.")
    paths = {split: (given,) if isinstance(given, str) else tuple(given) for split, given in files.items()}
    return Files(tuple((split, paths[split]) for split in SPLITS if split in paths), entry.get("format"))


def _kind(kind: str, entry: Mapping[str, Any]) -> Kind:
    names = entry.get("names")
    if kind == "classification":
        return Classification(text=entry["text"], pair=entry.get("pair"), label=entry["label"], names=names)
    if kind == "regression":
        return Regression(
            text=entry["text"],
            pair=entry.get("pair"),
            score=entry["score"],
            low=float(entry["low"]),
            high=float(entry["high"]),
        )
    if kind == "multiple_choice":
        return _choice(entry)
    if kind == "multilabel":
        return Multilabel(text=entry["text"], pair=entry.get("pair"), labels=_label_list(entry), names=names)
    separator = entry.get("separator")
    tokens: Field = SplitOptions(entry["tokens"], separator) if separator else entry["tokens"]
    return TokenClassification(tokens=tokens, labels=_label_list(entry), names=names)


def _choice(entry: Mapping[str, Any]) -> MultipleChoice:
    given, answer, label = entry["choices"], entry.get("answer", "place"), entry.get("label")
    where = f"[[task]] {entry['id']}"
    if answer not in ANSWERS:
        raise ConfigError(
            f"{where}: answer = {answer!r}. Allowed: {', '.join(ANSWERS)}.{did_you_mean(answer, ANSWERS)}"
        )
    if (label is None) != (answer == "first"):
        raise ConfigError(f'{where}: multiple_choice needs `label`, unless answer = "first"; then it has none.')
    choices: Field = Listed(*given) if isinstance(given, list) else given
    prompt = _joined(entry["prompt"])
    if label is None:
        return MultipleChoice(prompt=prompt, choices=Shuffled(choices), label=Constant(0))
    found: dict[str, Field] = {
        "place": label, "number": OneBased(label), "text": IndexIn(label, choices),
        "letter": Code(label, {letter: place for place, letter in enumerate(LETTERS)}),
    }  # fmt: skip
    return MultipleChoice(prompt=prompt, choices=choices, label=found[answer])


def _joined(field: Any) -> Field:
    """A column; several, joined line by line; or the words themselves where no column asks anything."""
    if isinstance(field, list):
        return Lines(*field)
    return field if field else Constant("Which one is right?")


def _label_list(entry: Mapping[str, Any]) -> Field:
    """A list column; a text column cut at `separator`; or columns of 0 and 1, whose names are the labels."""
    labels = entry["labels"]
    if isinstance(labels, list):
        return Above(tuple(labels), 0.5)
    return SplitOptions(labels, entry["separator"]) if entry.get("separator") else str(labels)
