"""`taskloom propose`: a file's columns -> a [[task]] block to paste; a repository's -> a recipe for the catalog.

Some rows from all over the table are looked at, not all: a rare label may be missed, which does no harm, since neither
names labels that the source does not name itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.errors import ConfigError, SourceError
from taskloom.recipes.expressions import Above, Code, Constant, Expression, IndexIn, Lines, Listed, OneBased, Shuffled
from taskloom.recipes.propose import Proposal, propose
from taskloom.recipes.recipe import Files, Hub
from taskloom.recipes.schema import Class, schema_from_features
from taskloom.toml import toml_value

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1000
ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
ROLES = {"train": ("train",), "validation": ("validation", "valid", "dev", "val"), "test": ("test",)}


def proposed(name: str, *, config: str | None = None, mirror: str = "") -> str:
    """Return what to paste for a file or folder, or for a repository OWNER/NAME.

    Raises SourceError where nothing can be read, and ConfigError where no kind of task fits the columns.
    """
    path = Path(name)
    if path.exists():
        return block(name, proposal_of_files(path))
    if name.count("/") != 1 or name.endswith(ENDINGS) or name.startswith((".", "/", "~")):
        raise SourceError(
            f"There is no file or folder {name}. Give a csv, tsv, jsonl or parquet file, a folder of them, or a "
            "repository OWNER/NAME of the hub or of the mirror."
        )
    return recipe(name, config, mirror)


def proposal_of_files(path: Path) -> Proposal:
    """Return the proposal for a file's or folder's first rows."""
    from taskloom.data.files import read_files

    train = files_of(path)["train"]
    splits, features = read_files(Files((("train", (train,)),)))
    return propose(schema_from_features(features), sample(splits["train"]))


def sample(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows from all over a table: the first ones often have one label."""
    count = min(ROWS, len(table))
    return table.take([row * len(table) // count for row in range(count)]).to_pylist()  # type: ignore[no-any-return]


def files_of(path: Path) -> dict[str, str]:
    """Return the files of each split: a file is train; in a folder names tell, and without them all of it is train."""
    if not path.is_dir():
        return {"train": str(path)}
    files = sorted(file for file in path.iterdir() if file.suffix in ENDINGS)
    found = {
        split: str(file)
        for split, words in ROLES.items()
        for file in files
        if any(file.stem.lower().startswith(word) or file.stem.lower().endswith(f"-{word}") for word in words)
    }
    return found if "train" in found else {"train": str(path)}


def block(name: str, proposal: Proposal) -> str:
    """Write a proposal as a [[task]] block, its reasons and doubts as comments above it."""
    path = Path(name)
    entry = {"id": f"own/{path.stem}", "files": files_of(path), "kind": proposal.kind.name, **entry_of(proposal)}
    lines = [*_notes(proposal), "[[task]]", *(f"{key} = {toml_value(value)}" for key, value in entry.items())]
    return "\n".join(lines) + "\n"


def entry_of(proposal: Proposal) -> dict[str, Any]:
    """Return the kind's fields as keys of [[task]]; raises ConfigError for what a run file cannot say."""
    fields: Mapping[str, Any] = {
        field.name: getattr(proposal.kind, field.name) for field in dataclasses.fields(proposal.kind)
    }
    entry = {
        name: _plain(value) for name, value in fields.items() if value is not None and name not in ("name", "names")
    }
    if "choices" in entry:
        entry |= {"label": _column(fields["label"], fields["choices"]), "answer": _answer(fields["label"])}
        if entry["answer"] == "first":
            del entry["label"]
    return entry


def _plain(value: Any) -> Any:
    if isinstance(value, (str, float, int)):
        return value
    if isinstance(value, (Lines, Listed)) and all(isinstance(field, str) for field in value.fields):
        return list(value.fields)
    if isinstance(value, Above):
        return list(value.names)
    if isinstance(value, Shuffled):
        return _plain(value.choices)
    return "" if isinstance(value, Constant) else value


def _answer(label: Any) -> str:
    """Return how a choice's label is written, as `answer` says it."""
    words = {OneBased: "number", IndexIn: "text", Constant: "first", Code: "letter"}
    return words.get(type(label), "place")


def _column(label: Any, choices: Any) -> Any:
    if isinstance(label, Constant):
        return ""
    if isinstance(label, IndexIn) and label.choices == choices and isinstance(label.value, str):
        return label.value
    if isinstance(label, OneBased | Code) and isinstance(label.field, str):
        return label.field
    if isinstance(label, str):
        return label
    raise ConfigError(
        f"The answer is {label!r}, which a run file cannot say. Write the place of the right option, from 0, into a "
        "column of its own, or add a recipe to the catalog (CONTRIBUTING.md, Adding a task)."
    )


def recipe(repo: str, config: str | None, mirror: str) -> str:
    """Return a `Task(...)` for the catalog; raises SourceError for a repository that cannot be read."""
    from taskloom.data.source import read_repository

    table, features, splits, found = read_repository(Hub(repo, config), mirror=Path(mirror) if mirror else None)
    schema = schema_from_features(features)
    proposal = propose(schema, sample(table))
    return "\n".join([*_notes(proposal), *_task_lines(repo, found, proposal, splits, schema)]) + "\n"


def _task_lines(
    repo: str, config: str | None, proposal: Proposal, splits: tuple[str, ...], schema: Mapping[str, Any]
) -> Iterator[str]:
    name = repo.split("/")[1]
    named = config if config not in (None, "default") else None
    yield "Task("
    yield f'    id="{name}{f"/{named}" if named else ""}", source={code_of(Hub(repo, named))},'
    yield f"    kind={code_of(proposal.kind, _names(proposal, schema))},"
    yield f"    splits={_splits(splits)},"
    yield '    question="...?",  # what is asked, for people; it never enters the encoder'
    yield '    family="other",  # nli, sentiment, topic, ... (taskloom tasks --family)'
    yield '    license=None, license_use="unspecified", citation=None,  # as the data set\'s page states them'
    yield ")"


def _names(proposal: Proposal, schema: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the source's class names, each for itself: the place to write better ones."""
    label = getattr(proposal.kind, "label", None) or getattr(proposal.kind, "labels", None)
    found = schema.get(label) if isinstance(label, str) else None
    found = getattr(found, "item", found)
    fits = proposal.kind.name in ("classification", "multilabel", "token_classification")
    if fits and isinstance(found, Class) and len(found.names) <= 20:
        return {name: name for name in found.names}
    return None


def _splits(splits: tuple[str, ...]) -> str:
    """Return the splits by their usual names; without validation and test a tenth of train is held out."""
    known = {role: next((one for one in splits if one in words), None) for role, words in ROLES.items()}
    if known["train"] is None and not (known["validation"] or known["test"]):
        known["train"] = splits[0]
    given = [f'{role}="{split}"' for role, split in known.items() if split]
    train = known["train"]
    if train and len(given) == 1:
        of = "" if train == "train" else f', of="{train}"'
        given.append(f"validation=Held(0.1{of})")
    return f"Splits({', '.join(given)})"


def code_of(value: Any, names: Mapping[str, str] | None = None) -> str:
    """Return Python code that makes a recipe's value: kinds, expressions, sources, plain values."""
    if isinstance(value, (Lines, Listed)):
        return f"{type(value).__name__}({', '.join(map(code_of, value.fields))})"
    if type(value).__name__ == "Nested":
        return f"Nested({', '.join(map(repr, (value.column, *value.path)))})"
    if isinstance(value, Hub):
        return f"Hub({', '.join(repr(part) for part in (value.repo, value.config) if part)})"
    if isinstance(value, Code):
        return f"Code({code_of(value.field)}, {dict(value.values)!r})"
    if isinstance(value, Expression):
        parts = (getattr(value, field.name) for field in dataclasses.fields(value))  # type: ignore[arg-type]
        return f"{type(value).__name__}({', '.join(map(code_of, parts))})"
    if dataclasses.is_dataclass(value):
        given = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.name != "name"}
        shown = [f"{name}={code_of(part)}" for name, part in given.items() if part is not None]
        shown += [f"names={dict(names)!r}"] if names else []
        return f"{type(value).__name__}({', '.join(shown)})"
    return repr(value).replace("'", '"') if isinstance(value, str) and '"' not in value else repr(value)


def _notes(proposal: Proposal) -> list[str]:
    notes = [*proposal.reasons, *(f"DOUBT: {doubt}" for doubt in proposal.doubts)]
    return [f"# {' '.join(note.split())}" for note in notes]
