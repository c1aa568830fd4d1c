"""Which store was built from which files, so that a prepared task is opened without reading its rows again.

A store's own key hangs on the rows, so asking for it reads them all: 20 s for 85 small tasks of a mirror, whenever a
run goes on. Here the files stand for the rows, by path, size and time of their last change, as `make` does it. Rows
without files at hand, from the hub or a generator, are read.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from taskloom.data.files import files_of_source
from taskloom.data.mirror import has_config
from taskloom.data.source import mirror_folder
from taskloom.data.store import FORMAT, TaskStore, open_store
from taskloom.data.whole import write_whole
from taskloom.errors import StoreError
from taskloom.recipes.held_out import base_of
from taskloom.recipes.recipe import Files, Hub, Task

FOLDER = "sources"


def files_behind(task: Task, mirror: Path | None) -> tuple[Path, ...]:
    """Return the files that a task's rows are read from, sorted; none where they come from somewhere else."""
    source = base_of(task).source
    if isinstance(source, Files):
        return files_of_source(source)
    folder = mirror_folder(mirror)
    if not isinstance(source, Hub) or folder is None or not has_config(folder / source.repo, source.config):
        return ()
    return tuple(sorted(path for path in (folder / source.repo).rglob("*") if path.is_file()))


def key_of_files(task: Task, files: tuple[Path, ...], *parts: object) -> str:
    """Return a key of a task, the state of its files, and whatever else decides a store; "" without files."""
    if not files:
        return ""
    states = [(str(path.resolve()), (found := path.stat()).st_size, found.st_mtime_ns) for path in files]
    described = json.dumps([FORMAT, task.fingerprint(), states, *map(str, parts)])
    return hashlib.sha256(described.encode()).hexdigest()


def known_store(cache: Path, key: str) -> TaskStore | None:
    """Return the store that was built for a key, or None where there is none any more."""
    try:
        name = (cache / FOLDER / key).read_text(encoding="utf-8") if key else ""
        return open_store(cache / "tasks" / name) if name else None
    except (OSError, StoreError):
        return None  # cleared, or damaged, which building it says


def remember(cache: Path, key: str, store: TaskStore) -> None:
    """Note which store a key stands for; a note that cannot be written costs time and nothing else."""
    if key:
        with suppress(OSError):
            write_whole(cache / FOLDER / key, store.folder.name)
