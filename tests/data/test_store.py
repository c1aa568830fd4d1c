"""The store: built once, by one process, whole or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from made_rows import KINDS, made_canonical, made_store
from taskloom.data import store as store_module
from taskloom.data.arrays import open_array
from taskloom.data.kept import kept_rows
from taskloom.data.store import MANIFEST, SplitStore, build, open_store
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import StoreError
from taskloom.modeling.encoder import resolve_encoder


def test_cap_is_a_random_subset_by_row() -> None:
    """The cap never takes the first rows, and a row that is kept stays kept when rows are added."""
    kept = kept_rows("glue/rte", np.arange(1000), 100)
    assert len(kept) == 100 and kept.tolist() == sorted(kept)
    assert kept.max() > 800 and not np.array_equal(kept, np.arange(100))
    assert np.array_equal(kept, kept_rows("glue/rte", np.arange(1000), 100))
    assert not np.array_equal(kept, kept_rows("glue/mnli", np.arange(1000), 100))


def test_store_is_reused_and_damage_is_found(tiny_bert: Path, tmp_path: Path) -> None:
    """A second build reads the first; a cut file is an error that says what to type; other settings, another folder."""
    store, canonical, tokenizer = made_store("classification", tiny_bert, tmp_path)
    stamp = (store.folder / MANIFEST).stat().st_mtime_ns
    again = build(canonical, tokenizer, cache=tmp_path, max_length=24, max_rows=1000)
    assert again.folder == store.folder and (again.folder / MANIFEST).stat().st_mtime_ns == stamp
    assert build(canonical, tokenizer, cache=tmp_path, max_length=16, max_rows=1000).folder != store.folder
    tokens = store.folder / "train" / "tokens.npy"
    tokens.write_bytes(tokens.read_bytes()[:-10])
    with pytest.raises(StoreError, match="cache --clear"):
        open_store(store.folder)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_open_arrays_hold_no_file(tiny_bert: Path, tmp_path: Path) -> None:
    """Arrays stay mapped when their files are closed: hundreds of tasks would pass the limit of open files."""
    store, _, _ = made_store("token_classification", tiny_bert, tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    split = store.splits["train"]
    names = ("rows", "tokens", "offsets", "first_segment", "lengths", "labels", "word_offsets", "word_starts")
    arrays = {name: getattr(split, name) for name in names}
    assert len(os.listdir("/proc/self/fd")) == before
    for name, array in arrays.items():
        assert np.array_equal(array, np.load(store.folder / "train" / f"{name}.npy")) and not array.flags.writeable
    (store.folder / "train" / "rows.npy").write_bytes((store.folder / "train" / "rows.npy").read_bytes()[:-8])
    with pytest.raises(ValueError, match="cut off"):
        open_array(store.folder / "train" / "rows.npy")


def test_a_store_without_manifest_does_not_exist(tiny_bert: Path, tmp_path: Path) -> None:
    """What an interrupted build left behind is built anew."""
    store, canonical, tokenizer = made_store("regression", tiny_bert, tmp_path)
    (store.folder / MANIFEST).unlink()
    (store.folder / "train" / "tokens.npy").write_bytes(b"half")
    again = build(canonical, tokenizer, cache=tmp_path, max_length=24, max_rows=1000)
    assert isinstance(again.splits["train"], SplitStore) and len(again.splits["train"].tokens) > 0
    assert json.loads((again.folder / MANIFEST).read_text(encoding="utf-8"))["id"] == "made/regression"


def test_truncated_rows_are_counted(tiny_bert: Path, tmp_path: Path) -> None:
    """The count equals the rows whose sequence is longer than max_length."""
    store, canonical, _ = made_store("classification", tiny_bert, tmp_path)
    reference = AutoTokenizer.from_pretrained(tiny_bert)
    rows = canonical.splits["train"].to_pylist()
    longer = sum(len(reference(row["text"], row["pair"])["input_ids"]) > 24 for row in rows)
    assert store.truncated["train"] == longer > 0


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_leave_no_trace(kind: str, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written seven rows at a time or all at once: every array is the same, byte for byte."""
    whole, _, _ = made_store(kind, tiny_bert, tmp_path / "whole")
    monkeypatch.setattr(store_module, "CHUNK", 7)
    pieces, _, _ = made_store(kind, tiny_bert, tmp_path / "pieces")
    names = sorted(path.name for path in (whole.folder / "train").iterdir())
    assert names == sorted(path.name for path in (pieces.folder / "train").iterdir()) and "tokens.npy" in names
    for name in names:
        assert (whole.folder / "train" / name).read_bytes() == (pieces.folder / "train" / name).read_bytes(), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_without_rows_is_stored(kind: str, tiny_bert: Path, tmp_path: Path) -> None:
    """No row is a state like any other: the store opens, with the arrays of its kind and a length of 0."""
    store, _, _ = made_store(kind, tiny_bert, tmp_path, rows=0)
    split = store.splits["train"]
    assert len(split) == 0 == len(split.tokens) == len(split.lengths) == len(split.labels) == len(split.sequences)


def test_swapped_bytes_are_found_by_a_thorough_look(tiny_bert: Path, tmp_path: Path) -> None:
    """The size alone does not show a changed byte; the checksum does."""
    store, _, _ = made_store("classification", tiny_bert, tmp_path)
    labels = store.folder / "train" / "labels.npy"
    content = bytearray(labels.read_bytes())
    content[-1] ^= 1
    labels.write_bytes(content)
    open_store(store.folder)
    with pytest.raises(StoreError, match=r"labels\.npy has other content"):
        open_store(store.folder, thorough=True)


def test_a_place_that_cannot_be_written_is_one_message(tiny_bert: Path, tmp_path: Path) -> None:
    """The message names the task, the place, and what to set."""
    taken = tmp_path / "file"
    taken.write_text("not a folder")
    with pytest.raises(StoreError, match=r"made/regression cannot be stored in .*file: .*TASKLOOM_CACHE"):
        made_store("regression", tiny_bert, taken)


def _build_and_stamp(folder: Path, cache: Path, out: multiprocessing.Queue[int]) -> None:
    store, _, _ = made_store("classification", folder, cache, rows=400)
    out.put((store.folder / MANIFEST).stat().st_mtime_ns)


def test_two_processes_build_a_task_once(tiny_bert: Path, tmp_path: Path) -> None:
    """The second waits for the first and reads what it has built."""
    context = multiprocessing.get_context("spawn")
    out: multiprocessing.Queue[int] = context.Queue()  # type: ignore[assignment]
    processes = [context.Process(target=_build_and_stamp, args=(tiny_bert, tmp_path, out)) for _ in range(2)]
    for process in processes:
        process.start()
    stamps = {out.get() for _ in processes}
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(stamps) == 1 and len([*(tmp_path / "tasks").iterdir()]) == 1


def test_another_tokenizer_is_another_store(tiny_bert: Path, tmp_path: Path) -> None:
    """Tokens depend on the tokenizer, so its content is part of the store's name."""
    canonical = made_canonical("classification")
    folders = {
        build(canonical, Tokenizer.open(folder), cache=tmp_path, max_length=24, max_rows=9).folder
        for folder in (tiny_bert, resolve_encoder("minilm"), tiny_bert)
    }
    assert len(folders) == 2
