"""Preparing again: what was prepared from the same files is opened, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskloom.data.known_stores import FOLDER
from taskloom.recipes.select import select
from taskloom.run_file import load_config
from taskloom.workflows import preparing


@pytest.fixture
def run_file(tmp_path: Path, tiny_bert: Path) -> Path:
    """A run file over two csv files of one's own, one of them with a recast."""
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "the cat,good\na dog,bad\n" * 20, encoding="utf-8")
    blocks = "".join(
        f'[[task]]\nid = "own/{name}"\nkind = "classification"\nfiles = {{ train = "{name}.csv" }}\ntext = "text"\n'
        f'label = "label"\n{more}'
        for name, more in (("a", ""), ("b", 'recast = ["label-nli"]\n'))
    )
    path = tmp_path / "run.toml"
    path.write_text(
        f'encoder = "{tiny_bert}"\n[data]\ntasks = []\nmax_length = 32\nworkers = 1\ncache = "cache"\n'
        f"drop_overlap = false\n{blocks}",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks whose rows were read."""
    found: list[str] = []
    original = preparing.rows_of
    monkeypatch.setattr(preparing, "rows_of", lambda task, **more: found.append(task.id) or original(task, **more))  # type: ignore[func-returns-value]
    return found


def test_what_is_prepared_is_not_read_again(run_file: Path, read: list[str]) -> None:
    """Neither tasks nor recasts, and the stores are the same ones; other settings are read for."""
    first = preparing.prepare(load_config(run_file))
    assert sorted(read) == ["own/a", "own/b", "own/b+label-nli"]
    again = preparing.prepare(load_config(run_file))
    assert len(read) == 3
    assert [store.folder for store in again.stores] == [store.folder for store in first.stores]
    preparing.prepare(load_config(run_file, ["data.max_length=16"]))
    assert len(read) == 6


def test_another_state_of_the_files_is_read(run_file: Path, read: list[str]) -> None:
    """A changed file, another time of change, a damaged store, a cleared cache: rows are read, as they are now."""
    preparing.prepare(load_config(run_file))
    rows = run_file.parent / "a.csv"
    rows.write_text(rows.read_text(encoding="utf-8").replace("cat", "cow"), encoding="utf-8")
    changed = preparing.prepare(load_config(run_file))
    assert read[3:] == ["own/a"]
    os.utime(rows, ns=(1, 1))
    touched = preparing.prepare(load_config(run_file))
    assert read[4:] == ["own/a"]
    assert touched.stores[0].folder == changed.stores[0].folder, "the rows are the same, so the store is"
    (touched.stores[0].folder / "manifest.json").unlink()
    rebuilt = preparing.prepare(load_config(run_file))
    assert read[5:] == ["own/a"]
    assert len(rebuilt.stores[0].splits["train"]) == len(touched.stores[0].splits["train"])
    preparing.cache(clear=True, setting=str(run_file.parent / "cache"))
    assert not (run_file.parent / "cache" / FOLDER).exists()
    preparing.prepare(load_config(run_file))
    assert len(read) == 9


def test_trained_tasks_that_transfer_needs_are_told() -> None:
    """Nothing is said of others, and of many some are named."""
    held, other = select(["held-out"]).tasks, select(["glue/sst2"]).tasks
    assert preparing.trained_all_the_same(other) == ""
    assert preparing.trained_all_the_same([*other, held[0]]).startswith(f"Trained are {held[0].id} of the collection")
    assert f" and {len(held) - 3} more of" in preparing.trained_all_the_same(held)
