"""From a recipe's source to raw rows: mirror folder, hub, own files or a built-in generator.

Only this module, `data.hub` and `modeling.encoder` may touch the network. Mirror and files are read with pyarrow and
not through the `datasets` cache, which returns stale rows for a folder whose files changed. A mirror is addressed by
(repository, config) alone; revisions do not matter there.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from taskloom.data.files import read_files
from taskloom.data.hub import cache_only, can_reach_hub, is_offline_asked_for
from taskloom.data.mirror import chosen_config, declared, has_config, read_mirror
from taskloom.errors import SourceError
from taskloom.recipes.facts import BUILTIN_ROWS
from taskloom.recipes.recipe import Builtin, Files, Held, Hub, Task
from taskloom.recipes.schema import Type, schema_from_features

USUAL_SPLITS = ("train", "validation", "valid", "dev", "val", "test")
RETRIES = 4
FIRST_WAIT = 2.0
"""Seconds before the first retry of a download; doubled each time: 2, 4 and 8."""


@dataclass(frozen=True)
class RawTask:
    """The rows of the source splits that a recipe needs, untouched, and the types that the source declares."""

    splits: dict[str, pa.Table]
    features: dict[str, Any]
    where: str
    fingerprint: str

    @property
    def schema(self) -> dict[str, Type]:
        """The types of the columns."""
        return schema_from_features(self.features)


def read(task: Task, *, mirror: Path | None = None, seed: int = 0) -> RawTask:
    """Return the raw rows of a task; raises SourceError when they are nowhere to be read.

    `mirror` is looked at before the folder in TASKLOOM_MIRROR, and that before the hub.
    """
    source = task.source
    if isinstance(source, Builtin):
        return _read_builtin(source, seed=seed)
    if isinstance(source, Files):
        splits, features = read_files(source)
        return _raw(splits, features, "own files")
    folder = mirror_folder(mirror)
    if folder is not None and has_config(folder / source.repo, source.config):
        splits, features = read_mirror(folder / source.repo, source.config, wanted=source_splits(task))
        return _raw(splits, features, f"mirror {source.repo}")
    return _raw(*read_hub(source, source_splits(task)), f"hub {source.repo}", identity=_hub_identity(source))


def mirror_folder(mirror: Path | None) -> Path | None:
    """Return the mirror that is given, else that of TASKLOOM_MIRROR, else None; SourceError if it is not there."""
    folder = mirror or (Path(os.environ["TASKLOOM_MIRROR"]) if os.environ.get("TASKLOOM_MIRROR") else None)
    if folder is not None and not folder.is_dir():
        raise SourceError(f"The mirror folder {folder} does not exist. Give a folder laid out OWNER/NAME, or none.")
    return folder


def read_repository(
    source: Hub, *, mirror: Path | None = None
) -> tuple[pa.Table, dict[str, Any], tuple[str, ...], str | None]:
    """Return rows of one split (train if there is one), JSON features, the names of all splits, and the configuration.

    For looking at a repository that no recipe describes yet. Raises SourceError, which lists the configurations where
    one has to be chosen.
    """
    folder = mirror_folder(mirror)
    if folder is None or not (folder / source.repo).is_dir():
        splits, features = read_hub(source, USUAL_SPLITS)
        if not splits:
            raise SourceError(f"Data set {source.repo} has none of the splits {', '.join(USUAL_SPLITS)}.")
        return splits.get("train", next(iter(splits.values()))), features, tuple(splits), source.config
    config = chosen_config(folder / source.repo, source.config)
    names, _ = declared(folder / source.repo)[config]
    first = "train" if "train" in names else names[0]
    tables, features = read_mirror(folder / source.repo, config, wanted=(first,))
    return tables[first], features, names, config


def source_splits(task: Task) -> tuple[str, ...]:
    """Return the names of the source splits that a recipe reads."""
    named = (split.of if isinstance(split, Held) else split for split in task.splits.roles().values())
    return tuple(dict.fromkeys(named))


def read_hub(
    source: Hub,
    wanted: tuple[str, ...],
    *,
    load: Callable[..., Any] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    reachable: Callable[[], bool] = can_reach_hub,
) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Download the wanted splits; network errors are tried again with growing waits, other errors are not.

    Where the hub cannot be reached at all, only what was downloaded before is looked for, and nothing waits.
    """
    load = load or _load_dataset()
    retries = RETRIES if reachable() else 1
    for attempt in range(retries):
        try:
            with nullcontext() if retries > 1 else cache_only():
                return _tables(load(source.repo, revision=source.revision, **_which(source)), wanted)
        except FileNotFoundError as error:  # what `datasets` raises for a name that the hub does not know
            if retries == 1:
                raise _unreachable(source, error) from error
            raise SourceError(f"Data set {source.repo} ({source.config}) is not on the hub: {error}") from error
        except OSError as error:  # what requests, httpx and huggingface_hub raise for a network that fails
            if attempt == retries - 1:
                raise _unreachable(source, error) from error
            sleep(FIRST_WAIT * 2**attempt)
        except Exception as error:  # `datasets` and Arrow have a dozen classes; one bad set must not stop the others
            raise SourceError(
                f"Data set {source.repo} ({source.config}) cannot be loaded from the hub: "
                f"{type(error).__name__}: {error}"
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _which(source: Hub) -> dict[str, Any]:
    return {"data_files": dict(source.files)} if source.files else {"name": source.config}


def _load_dataset() -> Callable[..., Any]:
    from datasets import load_dataset  # more than a second to import

    load: Callable[..., Any] = load_dataset
    return load


def _tables(loaded: Mapping[str, Any], wanted: tuple[str, ...]) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """A freshly loaded split has no indices, so that its Arrow table, which stays on disk, is in row order."""
    splits = {name: loaded[name].data.table for name in wanted if name in loaded}
    features = next(iter(loaded.values())).features.to_dict()
    return splits, features


def _unreachable(source: Hub, error: Exception) -> SourceError:
    why = "HF_HUB_OFFLINE is set" if is_offline_asked_for() else f"the hub cannot be reached ({type(error).__name__})"
    config = f" ({source.config})" if source.config else ""
    return SourceError(
        f"Data set {source.repo}{config} is in no mirror folder and {why}. Set data.mirror or TASKLOOM_MIRROR to a "
        f"folder laid out OWNER/NAME that holds it, or run where the hub can be reached."
    )


def _hub_identity(source: Hub) -> str:
    return f"{source.repo}@{source.revision}" + "".join(f"/{path}" for _, path in source.files)


def _read_builtin(source: Builtin, *, seed: int) -> RawTask:
    from taskloom.recipes.generators import generate, generators

    generator = generators()[source.name]
    splits, features = {}, generator_features(generator.kind, generator.labels)
    for split, rows in BUILTIN_ROWS.items():
        made = generate(source.name, split=split, rows=rows, seed=seed, level=source.level)
        splits[split] = pa.Table.from_pylist(made)
    return _raw(splits, features, f"built-in generator {source.name}")


def generator_features(kind: str, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON features of a generator's rows; labels are names, not ids."""
    text, number = {"dtype": "string", "_type": "Value"}, {"dtype": "int64", "_type": "Value"}
    texts = {"feature": text, "_type": "List"}
    columns: dict[str, dict[str, Any]] = {
        "classification": {"text": text, "pair": text, "label": text},
        "multilabel": {"text": text, "pair": text, "labels": texts},
        "regression": {"text": text, "pair": text, "score": {"dtype": "float32", "_type": "Value"}},
        "multiple_choice": {"prompt": text, "choices": texts, "label": number},
        "token_classification": {"tokens": texts, "labels": texts},
    }
    return columns[kind] | {"level": number}


def _raw(splits: dict[str, pa.Table], features: dict[str, Any], where: str, *, identity: str = "") -> RawTask:
    return RawTask(splits, features, where, _fingerprint(splits, features, identity))


def _fingerprint(splits: Mapping[str, pa.Table], features: Mapping[str, Any], identity: str) -> str:
    """Hash the rows themselves, whatever file or place they came from (about 1 GB/s)."""
    digest = hashlib.sha256(json.dumps([identity, features], sort_keys=True, default=str).encode())
    for name in sorted(splits):
        digest.update(name.encode())
        for batch in splits[name].to_batches():
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema.remove_metadata()) as writer:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=batch.schema.remove_metadata()))
            digest.update(sink.getvalue())
    return digest.hexdigest()
