"""Record the schemas of data sets for `taskloom check`, from facts about the data sets alone; no recipe is read.

python docs/make_schemas.py schemas.json tasks420.jsonl MIRROR

`schemas.json` holds the features that the data sets published in 2022 (dataset_infos.json in huggingface/datasets at
418b3bc8), {name: {config: {features, splits}}}. Of `tasks420.jsonl` only `hub_2022`, `hub_now` and
`hub_now_unverified` are read: which repository of today was which one of 2022. MIRROR is a folder laid out OWNER/NAME.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from taskloom.data.mirror import declared
from taskloom.recipes.recorded import MIRROR, PUBLISHED, to_compact
from taskloom.recipes.schema import Class, ListOf, Record, Schema, Type, schema_from_features

TARGET = Path(__file__).parents[1] / "src/taskloom/recipes/catalog/schemas.jsonl"
Name = tuple[str, str | None]
"""A repository and a configuration of it."""
One = tuple[str, Name, tuple[Name, ...], tuple[str, ...], Schema]
"""Evidence, name, names today, splits, types of the columns."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("schemas", "tasks", "mirror"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, default=TARGET)
    given = parser.parse_args()
    text = recorded(given.schemas, given.tasks, given.mirror)
    given.out.write_text(text, encoding="utf-8")
    print(f"wrote {given.out.name}: {len(text.splitlines())} schemas, {len(text) // 1000} kB")


def recorded(schemas: Path, tasks: Path, mirror: Path) -> str:
    """Return the whole file, a JSON line a schema."""
    return "".join(lines([*published(schemas, tasks), *mirrored(mirror)]))


def published(schemas: Path, tasks: Path) -> Iterator[One]:
    """Yield what the data sets stated in 2022."""
    now = names_today(tasks)
    for repo, configs in json.loads(schemas.read_text(encoding="utf-8")).items():
        for config, stated in configs.items():
            schema = {name: published_type(feature) for name, feature in stated["features"].items()}
            today = now.get((repo, config), set()) | (now.get((repo, None), set()) if len(configs) == 1 else set())
            yield PUBLISHED, (repo, config), tuple(sorted(today, key=str)), tuple(stated["splits"]), schema


def names_today(tasks: Path) -> dict[Name, set[Name]]:
    """Return each name of 2022 with those that it has today."""
    found: dict[Name, set[Name]] = {}
    for line in tasks.read_text(encoding="utf-8").splitlines():
        fact = json.loads(line)
        old, today = fact["hub_2022"], fact["hub_now"] or {"dataset": fact.get("hub_now_unverified"), "config": None}
        if today["dataset"]:
            found.setdefault((old["dataset"], old["config"]), set()).add((today["dataset"], today["config"]))
    return found


def published_type(feature: Any) -> Type:
    """Return the type of a feature in the short form of `schemas.json`."""
    if isinstance(feature, str):
        return schema_from_features({"it": {"_type": "Value", "dtype": feature}})["it"]
    if set(feature) == {"class_label"}:
        return Class(tuple(map(str, feature["class_label"])))
    if set(feature) == {"sequence"}:
        inner = published_type(feature["sequence"])
        if isinstance(inner, Record):  # a sequence of records is stored as a record of lists
            return Record(tuple((name, ListOf(part)) for name, part in inner.fields))
        return ListOf(inner)
    return Record(tuple((name, published_type(part)) for name, part in feature.items()))


def mirrored(mirror: Path) -> Iterator[One]:
    """Yield what the mirror's parquet files state."""
    for folder in sorted(path.parent for path in mirror.glob("*/*/README.md")):
        repo = folder.relative_to(mirror).as_posix()
        for config, (splits, features) in declared(folder).items():
            yield MIRROR, (repo, config), (), splits, schema_from_features(features)


def lines(found: Iterable[One]) -> Iterator[str]:
    """Yield a line for all configurations of a repository that have the same names, splits and columns."""
    groups: dict[str, dict[str, Any]] = {}
    for evidence, (repo, config), today, splits, schema in found:
        now = sorted({name for name, _ in today} - {repo})
        configs_now = sorted({other for _, other in today if other} - {config})
        columns = {name: to_compact(part) for name, part in schema.items()}
        line = {"evidence": evidence, "repo": repo, "now": now, "configs": [], "configs_now": configs_now}
        line |= {"splits": splits, "columns": columns}
        groups.setdefault(json.dumps(line), line)["configs"].append(config)
    for line in groups.values():
        yield json.dumps({name: part for name, part in line.items() if part}, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
