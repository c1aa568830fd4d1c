"""Shots: which rows, how many, nested, the same for everyone."""

from __future__ import annotations

import numpy as np
import pytest

from taskloom.data.shots import content_keys, half_of, shots_of, some_of, validation_of
from taskloom.data.store import SplitStore

COUNTS = (50, 20, 3)


def split_of(kind: str = "classification", counts: tuple[int, ...] = COUNTS, same: int = 0) -> SplitStore:
    """Return rows of one token each; the first `same` rows have the same token, all others one of their own."""
    rows = sum(counts)
    labels = np.repeat(np.arange(len(counts)), counts)
    tokens = np.where(np.arange(rows) < same, 0, np.arange(rows)).astype(np.uint16)
    arrays = {
        "rows": np.arange(rows) * 3 + 1, "labels": np.random.default_rng(0).permutation(labels), "tokens": tokens,
        "offsets": np.arange(rows + 1), "first_segment": np.arange(rows + 1),
    }  # fmt: skip
    return SplitStore.in_memory(kind, 8, arrays)


def test_classes_have_the_shots_they_were_asked_for() -> None:
    """Eight rows of each class, or all of a class that has fewer."""
    split = split_of()
    places = shots_of(split, "a/b", shots=8, seed=0)
    assert np.bincount(split.labels[places]).tolist() == [8, 8, 3]
    assert np.all(np.diff(places) > 0)


@pytest.mark.parametrize("kind", ["multilabel", "regression", "multiple_choice", "token_classification"])
def test_other_kinds_have_so_many_rows_in_all(kind: str) -> None:
    """Where a row has no one class, shots are rows."""
    assert len(shots_of(split_of(kind), "a/b", shots=8, seed=0)) == 8


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_fewer_shots_are_among_more(kind: str) -> None:
    """The 4 shots of a seed are among its 8, these among its 16, and other seeds have others."""
    split = split_of(kind)
    found = [set(shots_of(split, "a/b", shots=shots, seed=1).tolist()) for shots in (4, 8, 16)]
    assert found[0] < found[1] < found[2]
    assert set(shots_of(split, "a/b", shots=4, seed=2).tolist()) != found[0]
    assert set(shots_of(split, "a/c", shots=4, seed=1).tolist()) != found[0]


def test_shots_follow_the_row_and_not_its_place() -> None:
    """The same source rows are drawn when others before them are gone: a capped store gives the same shots."""
    split = split_of()
    kept = np.arange(5, len(split))
    from_all = shots_of(split, "a/b", shots=2, seed=0, places=kept)
    arrays = {"rows": split.rows[kept], "labels": split.labels[kept]}
    from_part = shots_of(SplitStore.in_memory("classification", 8, arrays), "a/b", shots=2, seed=0)
    assert split.rows[from_all].tolist() == split.rows[kept][from_part].tolist()


def test_all_shots_are_all_rows() -> None:
    """None takes everything."""
    assert shots_of(split_of(), "a/b", shots=None, seed=0).tolist() == [*range(sum(COUNTS))]


def test_halves_share_no_row_and_lose_none() -> None:
    """Each train row is in one half, and the halves are of about equal size."""
    split = split_of(counts=(500, 500))
    first, second = half_of(split, "a/b", 0), half_of(split, "a/b", 1)
    assert sorted([*first, *second]) == [*range(1000)]
    assert 420 < len(first) < 580


def test_some_rows_are_the_same_for_every_call() -> None:
    """A draw depends on task, row and the word alone."""
    split = split_of()
    every = np.arange(len(split))
    found = some_of(split, "a/b", every, most=10, what="reported")
    assert len(found) == 10
    assert found.tolist() == some_of(split, "a/b", every[::-1], most=10, what="reported").tolist()
    assert found.tolist() != some_of(split, "a/b", every, most=10, what="selection").tolist()


def test_validation_takes_its_share_of_each_class() -> None:
    """A fifth of each class is held out; what is too small to share stays in training."""
    split = split_of()
    train, validation = validation_of(split, "a/b", np.arange(len(split)), share=0.2)
    assert np.bincount(split.labels[validation], minlength=3).tolist() == [10, 4, 1]
    assert sorted([*train, *validation]) == [*range(len(split))]


def test_equal_rows_are_never_in_training_and_validation() -> None:
    """Rows of the same tokens as a held-out one leave the training rows."""
    split = split_of(same=40)
    train, validation = validation_of(split, "a/b", np.arange(len(split)), share=0.2)
    keys = content_keys(split, np.arange(len(split)))
    assert not set(keys[train]) & set(keys[validation])
    assert set(validation) & set(range(40)) and not set(train) & set(range(40))
