"""RUN.toml and `key=value` -> a configuration, and back.

Relative paths become absolute while loading, so a run is the same from whatever folder it is started, and the resolved
copy in the run folder loads back equal. The price: that copy holds for one machine only.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taskloom.config import SECTIONS, OutputConfig, RunConfig, keys, make_config, unknown_key
from taskloom.errors import ConfigError, did_you_mean
from taskloom.toml import toml_key, toml_value

BY_TASK = ("mixture.weights", "model.task_embedding_drops")
"""Tables whose keys are task ids."""
PATHS = ("data.mirror", "data.cache", "output.folder")
"""Keys that hold a path. `encoder` may hold one and the files of own tasks do: `_resolve` knows both."""


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> RunConfig:
    """Return the configuration in a TOML file, changed by `overrides` such as "training.steps=200".

    An override's value is read as TOML, else as a plain string. Relative paths, the default output folder's included,
    are relative to the file's folder; those in overrides to the current folder. Raises ConfigError.
    """
    file = Path(path)
    values = _read(file)
    values.setdefault("name", file.stem)
    _resolve(values, file.resolve().parent)
    for override in overrides:
        _merge(values, *_parse_override(override))
    if "folder" not in _section(values, "output"):
        values.setdefault("output", {})["folder"] = str(file.resolve().parent / OutputConfig().folder)
    return make_config(values, where=str(path))


def to_toml(config: RunConfig) -> str:
    """Return the complete configuration as TOML that loads back equal."""
    values = config.model_dump(mode="json")
    lines = [f"{key} = {toml_value(values[key])}" for key in ("name", "encoder", "seed")]
    for name in SECTIONS:
        if name:
            lines += ["", f"[{name}]"] + [f"{key} = {toml_value(value)}" for key, value in values[name].items()]
    for task in values["task"]:
        lines += ["", "[[task]]"] + [f"{toml_key(key)} = {toml_value(value)}" for key, value in task.items()]
    return "\n".join(lines) + "\n"


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError) as error:
        hint = did_you_mean(file.name, (other.name for other in file.parent.glob("*.toml")))
        raise ConfigError(f"There is no run file {file}.{hint} Give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f'{file} is not valid TOML: {error}. Strings need quotes: encoder = "minilm"; a section begins with [data].'
        ) from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _parse_override(text: str) -> tuple[str, Any]:
    """Return the dotted key and the value of "key=value"; raises ConfigError for anything else."""
    key, equals, written = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"{text!r} is not of the form key=value. Type for example training.steps=200.")
    try:
        value = tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        value = written
    if _is_text(key) and not isinstance(value, str):
        value = written.strip()  # name=2026 is a name
    return key, _absolute(value, Path.cwd()) if key in PATHS else _encoder(
        value, Path.cwd()
    ) if key == "encoder" else value


def _is_text(key: str) -> bool:
    section, _, name = key.rpartition(".")
    fields = SECTIONS[section].model_fields if section in SECTIONS else {}
    return name in fields and fields[name].annotation is str


def _merge(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; what follows one of BY_TASK is a task id, dots and all."""
    by_task = key.startswith(tuple(f"{table}." for table in BY_TASK))
    parts = key.split(".", 2 if by_task else 1)
    if key not in keys() and not by_task:
        raise ConfigError(f"{key}={value}: {unknown_key(key)}")
    if key == "task":
        raise ConfigError("Own tasks cannot be given as key=value. Write a [[task]] table in the run file.")
    place = values
    for part in parts[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ConfigError(f"{key}={value}: {part!r} is not a section in the run file. Write [{part}] there.")
    place[parts[-1]] = value


def _resolve(values: dict[str, Any], base: Path) -> None:
    """Make the relative paths in a file's values absolute, where they have the right type at all."""
    for key in PATHS:
        section, name = key.split(".")
        if isinstance(values.get(section), dict) and name in values[section]:
            values[section][name] = _absolute(values[section][name], base)
    if "encoder" in values:
        values["encoder"] = _encoder(values["encoder"], base)
    tasks = values.get("task")
    for task in tasks if isinstance(tasks, list) else []:
        if isinstance(task, dict) and "files" in task:
            task["files"] = _absolute(task["files"], base)


def _absolute(value: Any, base: Path) -> Any:
    if isinstance(value, dict):
        return {key: _absolute(part, base) for key, part in value.items()}
    if isinstance(value, list):
        return [_absolute(part, base) for part in value]
    return os.path.abspath(base / Path(value).expanduser()) if isinstance(value, str) and value else value


def _encoder(value: Any, base: Path) -> Any:
    """An encoder is a path if it looks like one or if such a folder exists; else it is a name."""
    if not isinstance(value, str) or value in ("", "minilm"):
        return value
    looks = value.startswith((".", "~", "/")) or value.count("/") > 1 or "\\" in value
    return _absolute(value, base) if looks or (base / value).is_dir() else value
