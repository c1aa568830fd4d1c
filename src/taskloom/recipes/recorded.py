"""Recorded schemas: the columns and splits of data sets as two independent sources state them, without any row.

`catalog/schemas.jsonl` is made by docs/make_schemas.py from the published data set descriptions of September 2022 and
from the features in a mirror's own parquet files, never from the recipes: a recipe that contradicts it is wrong, or the
data set has changed since. A line is one schema with every configuration of a repository that has it, so that the 57
subjects of MMLU take one line. Types are the seven of `recipes.schema`; which integer type a column has is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from taskloom.recipes.recipe import Hub
from taskloom.recipes.schema import Boolean, Class, Integer, ListOf, Number, Record, Schema, Text, Type

PUBLISHED, MIRROR = "source schema", "mirror rows"
EVIDENCE = (PUBLISHED, MIRROR)
"""Where a recorded schema comes from: published with the data set in 2022, or read off a mirror's parquet files."""
PLAIN: Mapping[str, Type] = {"text": Text(), "integer": Integer(), "number": Number(), "boolean": Boolean()}


@dataclass(frozen=True)
class Recorded:
    """One schema: the repository's name where it was recorded, its names today, and the configurations that have it.

    `configs_now` are names that a configuration has today, where they differ.
    """

    evidence: str
    repo: str
    now: tuple[str, ...]
    configs: tuple[str, ...]
    configs_now: tuple[str, ...]
    splits: tuple[str, ...]
    schema: Schema

    def names(self) -> tuple[str, ...]:
        """Return every name of the repository, old and new."""
        return (self.repo, *self.now)


def to_compact(found: Type) -> Any:
    """Return a type as short JSON: "text", {"class": [names]}, [item] for a list, {"record": {name: type}}."""
    match found:
        case Class(names):
            return {"class": list(names)}
        case ListOf(item):
            return [to_compact(item)]
        case Record(fields):
            return {"record": {name: to_compact(part) for name, part in fields}}
    return next(word for word, plain in PLAIN.items() if plain == found)


def from_compact(value: Any) -> Type:
    """Return the type that `to_compact` wrote."""
    if isinstance(value, str):
        return PLAIN[value]
    if isinstance(value, list):
        return ListOf(from_compact(value[0]))
    if "class" in value:
        return Class(tuple(value["class"]))
    return Record(tuple((name, from_compact(part)) for name, part in value["record"].items()))


@cache
def recorded_schemas() -> tuple[Recorded, ...]:
    """Return everything that is recorded; the file is read on the first call."""
    text = files("taskloom.recipes.catalog").joinpath("schemas.jsonl").read_text(encoding="utf-8")
    return tuple(_read(json.loads(line)) for line in text.splitlines())


def _read(line: Mapping[str, Any]) -> Recorded:
    schema = {name: from_compact(part) for name, part in line["columns"].items()}
    now, configs, configs_now, splits = (
        tuple(line.get(name, ())) for name in ("now", "configs", "configs_now", "splits")
    )
    return Recorded(line["evidence"], line["repo"], now, configs, configs_now, splits, schema)


def recorded_for(source: Hub, evidence: str) -> Recorded | None:
    """Return the schema recorded for a repository and its configuration, or None.

    An old name finds the same as the new one. The configuration is chosen as a mirror chooses it: the name itself, else
    the sole one, else `default` where none is asked for. Of 2022 not every configuration is recorded, so there a name
    that is not recorded finds nothing.
    """
    found = _of_repository(source.repo, evidence)
    by_config = {config: one for one in found for config in (*one.configs_now, *one.configs)}
    if source.config in by_config:
        return by_config[source.config]
    if sum(len(one.configs) for one in found) == 1 and (source.config is None or evidence == MIRROR):
        return found[0]
    return by_config.get("default") if source.config is None else None


def _of_repository(repo: str, evidence: str) -> list[Recorded]:
    """A data set without an owner in 2022 has one today, and nearly always kept its name: OWNER/NAME finds NAME."""
    index = _index()
    return index.get((evidence, repo)) or index.get((evidence, repo.rpartition("/")[2]), [])


@cache
def _index() -> dict[tuple[str, str], list[Recorded]]:
    index: dict[tuple[str, str], list[Recorded]] = {}
    for one in recorded_schemas():
        for name in one.names():
            index.setdefault((one.evidence, name), []).append(one)
    return index
