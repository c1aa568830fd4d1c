"""A folder laid out like a hub repository: configs in the README's header, features in the parquet metadata."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from taskloom.data.spilled import read_parquet
from taskloom.errors import SourceError, did_you_mean


def has_config(folder: Path, config: str | None) -> bool:
    """Tell whether a mirror's repository folder exists and holds this config."""
    if not folder.is_dir():
        return False
    configs = _configs(folder)
    return len(configs) == 1 or config in configs or (config is None and "default" in configs)


def chosen_config(folder: Path, config: str | None) -> str:
    """Return the configuration of a mirror's repository that a name stands for; raises SourceError listing them."""
    return _chosen(folder, config, _configs(folder))


def read_mirror(
    folder: Path, config: str | None, *, wanted: tuple[str, ...]
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Return the wanted splits that exist, and the JSON features; raises SourceError naming what there is.

    config None means the sole or the `default` config; a sole config matches any name.
    """
    configs = _configs(folder)
    files = configs[_chosen(folder, config, configs)]
    found = {split: _files(folder, patterns) for split, patterns in files.items()}
    tables = {split: _table(found[split]) for split in wanted if found.get(split)}
    if not tables:
        raise SourceError(
            f"{folder.name} ({config}) in the mirror has none of the splits {', '.join(wanted)}; "
            f"it has {', '.join(found)}."
        )
    return tables, features_of(next(iter(tables.values())))


def declared(folder: Path) -> dict[str, tuple[tuple[str, ...], dict[str, Any]]]:
    """Return config -> (splits that have files, JSON features), from the files' metadata without reading a row.

    Raises SourceError when the splits of one config have different columns.
    """
    made = {}
    for config, splits in _configs(folder).items():
        found = {split: paths for split, patterns in splits.items() if (paths := _files(folder, patterns))}
        features = {split: _features_in(pq.read_schema(paths[0])) for split, paths in found.items()}
        first = next(iter(features.values()), {})
        odd = [split for split, other in features.items() if other != first]
        if odd:
            raise SourceError(f"{folder} ({config}): split {odd[0]!r} has other columns than {next(iter(features))!r}.")
        made[config] = (tuple(found), first)
    return made


def features_of(table: pa.Table) -> dict[str, Any]:
    """Return the JSON features in a table's metadata, else ones made from its Arrow types."""
    return _features_in(table.schema)


def _features_in(schema: pa.Schema) -> dict[str, Any]:
    stored = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(stored)["info"]["features"] if stored else {}
    return {field.name: features.get(field.name) or arrow_feature(field.type) for field in schema}


def arrow_feature(kind: pa.DataType) -> dict[str, Any]:
    """Return the JSON feature that an Arrow type stands for."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return {"feature": arrow_feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: arrow_feature(field.type) for field in kind}
    return {"dtype": "string" if pa.types.is_large_string(kind) else str(kind), "_type": "Value"}


def _configs(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Return config -> split -> path patterns."""
    import yaml

    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    try:
        header = yaml.safe_load(text.split("---", 2)[1]) if text.startswith("---") else None
    except yaml.YAMLError as error:
        raise SourceError(f"The header of {readme} is no YAML, so its configurations are unknown: {error}") from error
    configs = (header or {}).get("configs") or []
    if not configs:
        return {"default": _by_name(folder)}
    return {str(one["config_name"]): _splits_of(one["data_files"]) for one in configs}


def _splits_of(data_files: Any) -> dict[str, list[str]]:
    if isinstance(data_files, str):
        return {"train": [data_files]}
    splits: dict[str, list[str]] = {}
    for entry in data_files:
        paths = entry["path"]
        splits.setdefault(str(entry["split"]), []).extend([paths] if isinstance(paths, str) else paths)
    return splits


def _by_name(folder: Path) -> dict[str, list[str]]:
    """Without a header, files are named after their split: train-00000-of-00001.parquet."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))
    splits: dict[str, list[str]] = {}
    for path in paths:
        splits.setdefault(path.rpartition("/")[2].partition("-")[0].removesuffix(".parquet"), []).append(path)
    return splits


def _chosen(folder: Path, config: str | None, configs: dict[str, dict[str, list[str]]]) -> str:
    if config in configs:
        return str(config)
    if len(configs) == 1:
        return next(iter(configs))
    if config is None and "default" in configs:
        return "default"
    hint = did_you_mean(config, configs) if config else ""
    raise SourceError(f"{folder} has no config {config!r}.{hint} There are: {', '.join(configs)}.")


def _files(folder: Path, patterns: list[str]) -> list[Path]:
    every = [path for path in folder.rglob("*.parquet") if path.is_file()]
    return sorted(
        path for path in every if any(fnmatch(path.relative_to(folder).as_posix(), pattern) for pattern in patterns)
    )


def _table(paths: list[Path]) -> pa.Table:
    try:
        return read_parquet(paths)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{paths[0]} cannot be read as parquet: {error}") from error
