"""Is a recipe right, as far as the recorded schema of its data set can tell? No row is read and nothing downloaded.

A recipe is held against each schema that is recorded for its repository: the one published in 2022 and the one in the
mirror's files. What is served today decides: where a mirror's schema fits, differences from 2022 are told and are no
fault. Where only the schema of 2022 is there and does not fit, or nothing is there, the recipe has to say on what it
rests (`rests_on`), else it is faulty. The price of types alone: names of labels are certain only for class columns;
the values of text and integer columns are for `data.truth`, which reads rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from taskloom.errors import RecipeError, did_you_mean
from taskloom.recipes.expressions import Cases, Code, Expression, Field, Listed, Scalar, Shuffled, columns_of, type_of
from taskloom.recipes.recipe import (
    Builtin,
    Classification,
    Held,
    Hub,
    Multilabel,
    MultipleChoice,
    Regression,
    Task,
    TokenClassification,
)
from taskloom.recipes.recorded import EVIDENCE, MIRROR, PUBLISHED, Recorded, recorded_for
from taskloom.recipes.schema import Boolean, Class, Integer, ListOf, Number, Schema, Text, Type

BUILT_IN, NEITHER = "built in", "neither"
"""Evidence for tasks that make their own rows, and for those of which no schema is recorded that fits."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a task: a short name that stays the same from run to run, and a sentence for people."""

    task: str
    name: str
    message: str


@dataclass(frozen=True)
class TypesReport:
    """What the recorded schemas say about a recipe: what it agrees with, its faults, and differences that are none."""

    task: Task
    evidence: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    differences: tuple[str, ...] = ()


def check_types(task: Task, find: Callable[[Hub, str], Recorded | None] = recorded_for) -> TypesReport:
    """Hold a recipe against the schemas recorded for its data set; `find` gives them by source and evidence."""
    if not isinstance(task.source, Hub):
        return TypesReport(task, (BUILT_IN,) if isinstance(task.source, Builtin) else (NEITHER,))
    recorded = {evidence: one for evidence in EVIDENCE if (one := find(task.source, evidence)) is not None}
    faults = {evidence: tuple(_faults(task, one)) for evidence, one in recorded.items()}
    fitting = tuple(evidence for evidence in recorded if not faults[evidence])
    told = tuple(f"{fault.message} ({evidence})" for evidence, found in faults.items() for fault in found)
    if fitting and task.rests_on:
        stale = Fault(task.id, "rests_on out of date", f"a schema is recorded ({fitting[0]}); take `rests_on` away.")
        return TypesReport(task, fitting, (stale,), told)
    if MIRROR in recorded:
        return TypesReport(task, fitting or (NEITHER,), faults[MIRROR], () if faults[MIRROR] else told)
    if fitting or task.rests_on:
        return TypesReport(task, fitting or (NEITHER,), (), told)
    bare = Fault(task.id, "rests_on nothing", "no schema is recorded; let `rests_on` say where its columns come from.")
    return TypesReport(task, (NEITHER,), faults.get(PUBLISHED, (bare,)))


def _faults(task: Task, recorded: Recorded) -> Iterator[Fault]:
    """Later checks need what the earlier ones assure: columns, then the fields' types, then what the types mean."""
    for check in (_columns, _fields, _splits, _labels, _values):
        found = [Fault(task.id, name, message) for name, message in check(task, recorded)]
        yield from found
        if found and check in (_columns, _fields):
            return


Found = Iterator[tuple[str, str]]


def _columns(task: Task, recorded: Recorded) -> Found:
    for column in task.columns():
        if column not in recorded.schema:
            hint = did_you_mean(column, recorded.schema)
            there = ", ".join(recorded.schema)
            yield f"column {column}", f"column {column!r} is missing; there are: {there}.{hint}"


TEXTS = (Text,)
FITTING: dict[type, dict[str, tuple[type, ...]]] = {
    Classification: {"text": TEXTS, "pair": TEXTS, "label": (Class, Integer, Text, Boolean)},
    Multilabel: {"text": TEXTS, "pair": TEXTS, "labels": (ListOf,)},
    Regression: {"text": TEXTS, "pair": TEXTS, "score": (Number, Integer)},
    MultipleChoice: {"prompt": TEXTS, "choices": (ListOf,), "label": (Integer, Class, Boolean)},
    TokenClassification: {"tokens": (ListOf,), "labels": (ListOf,)},
}
"""What each field of a kind may be. A label of a multiple-choice row counts its choices from 0."""
ITEMS: dict[str, tuple[type, ...]] = {"choices": TEXTS, "tokens": TEXTS, "labels": (Class, Integer, Text)}
"""What the lists among them may hold."""


def _fields(task: Task, recorded: Recorded) -> Found:
    for name, field in task.fields().items():
        try:
            found = type_of(field, recorded.schema)
        except RecipeError as error:
            yield f"field {name}", f"field {name}: {error}"
            continue
        allowed = FITTING[type(task.kind)][name]
        if not isinstance(found, allowed):
            yield f"field {name}", f"field {name} is {_told(found)}; a {task.kind.name} needs {_either(allowed)}."
        elif isinstance(found, ListOf) and not isinstance(found.item, ITEMS[name]):
            yield f"field {name}", f"field {name} lists {_told(found.item)}; it has to list {_either(ITEMS[name])}."


def _splits(task: Task, recorded: Recorded) -> Found:
    """A mirror's sample may lack a split, and says so when rows are read; what was published in 2022 is complete."""
    named = [split.of if isinstance(split, Held) else split for split in task.splits.roles().values()]
    missing = [split for split in dict.fromkeys(named) if split not in recorded.splits]
    there = ", ".join(recorded.splits)
    for split in missing if recorded.evidence == PUBLISHED or len(missing) == len(set(named)) else ():
        yield f"split {split}", f"split {split!r} does not exist; there are: {there}."


def _labels(task: Task, recorded: Recorded) -> Found:
    if isinstance(task.kind, MultipleChoice):
        yield from _choice_count(task.kind, recorded.schema)
    elif isinstance(task.kind, (Classification, Multilabel, TokenClassification)):
        field = task.kind.label if isinstance(task.kind, Classification) else task.kind.labels
        found = type_of(field, recorded.schema)
        yield from _names(task.kind.names, found.item if isinstance(found, ListOf) else found)


def _choice_count(kind: MultipleChoice, schema: Schema) -> Found:
    """A class column that counts the choices has as many classes as there are choices, where that number is fixed."""
    choices = kind.choices.choices if isinstance(kind.choices, Shuffled) else kind.choices
    label = type_of(kind.label, schema)
    if isinstance(choices, Listed) and isinstance(label, Class) and len(label.names) != len(choices.fields):
        yield "label count", f"{len(choices.fields)} choices are listed, but the label has {len(label.names)} classes."


Names = tuple[str, ...] | tuple[tuple[str, str | None], ...] | None


def _names(names: Names, found: Type) -> Found:
    if names is None:
        if not isinstance(found, (Class, Text)):
            yield "names", f"the label is {_told(found)} and says nothing to a reader; give it `names`."
        ours: list[str | None] = list(found.names) if isinstance(found, Class) else []
    elif isinstance(names[0], str):
        ours = list(names)  # type: ignore[arg-type]
        if not isinstance(found, Integer):
            yield "names", f"names are given by position, for bare integers only; the label is {_told(found)}."
        for name in dict.fromkeys(name for name in ours if ours.count(name) > 1):
            yield "names", f"name {name!r} is given to two positions."
    else:
        ours = [name for _, name in names]
        yield from _keys([source for source, _ in names], found)
    if ours and len({name for name in ours if name is not None}) < 2:
        yield "label count", "fewer than two labels are left."


def _keys(keys: list[str], found: Type) -> Found:
    """The names that a recipe maps are those of the column: none forgotten, none made up."""
    if isinstance(found, Class):
        for name in found.names:
            if name not in keys:
                yield f"label {name}", f"the source's label {name!r} is not listed in names.{did_you_mean(name, keys)}"
    for key in keys:
        if not _possible(key, found):
            hint = did_you_mean(key, found.names) if isinstance(found, Class) else ""
            yield f"label {key}", f"names list {key!r}, which the label, {_told(found)}, cannot be.{hint}"


def _values(task: Task, recorded: Recorded) -> Found:
    """Values that filters and expressions wait for must be possible, else they never match."""
    wanted: list[tuple[Field, tuple[Scalar, ...]]] = [(one.column, one.values) for one in task.where]
    for node in _nodes(task.fields().values()):
        if isinstance(node, Code):
            wanted.append((node.field, tuple(value for value, _ in node.values)))
        elif isinstance(node, Cases):
            wanted.append((node.field, tuple(value for value, _ in node.texts)))
    for field, values in wanted:
        found = type_of(field, recorded.schema)
        for value in values:
            if not _possible(str(value), found):
                yield f"value {value}", f"{_named(field)} is {_told(found)} and cannot be {value!r}."


def _possible(value: str, found: Type) -> bool:
    """Tell whether a column of this type can hold a value, written as text."""
    match found:
        case Class(names):
            return value in names or value.lstrip("-").isdigit()  # some copies of a set hold the bare class ids
        case Integer():
            return value.lstrip("-").isdigit()
        case Boolean():
            return value in ("True", "False")
    return True


def _nodes(fields: Iterable[Field]) -> Iterator[Expression]:
    """Every expression among fields, those inside others too."""
    for field in fields:
        if isinstance(field, Expression):
            yield field
            for value in vars(field).values():
                parts = value if isinstance(value, tuple) else (value,)
                yield from _nodes(part for part in parts if isinstance(part, Expression))


def _named(field: Field) -> str:
    return f"column {field!r}" if isinstance(field, str) else f"what is made of {', '.join(columns_of(field))}"


WORDS: dict[type, str] = {
    Text: "a text", Integer: "an integer", Number: "a number", Boolean: "a boolean", ListOf: "a list",
    Class: "a class",
}  # fmt: skip


def _told(found: Type) -> str:
    if isinstance(found, Class):
        shown = ", ".join(found.names[:8]) + (", ..." if len(found.names) > 8 else "")
        return f"a class of {len(found.names)} ({shown})"
    return WORDS.get(type(found), "a record")


def _either(allowed: tuple[type, ...]) -> str:
    return " or ".join(WORDS[one] for one in allowed)
