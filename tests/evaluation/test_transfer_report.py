"""Lines of measurements: kept, continued, refused; and the report made of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskloom.errors import DataError
from taskloom.evaluation.transfer_report import Cell, Cells, comparisons_of, means_of


def cell(model: str = "ours", task: str = "a@1", seed: int = 0, score: float = 0.5, **other: object) -> Cell:
    """Return a measurement."""
    values = {"method": "probe", "shots": 16, "setting": "mean", "protocol": "p"} | other
    return Cell(
        model=model, task=task, seed=seed, score=score, metric="accuracy", metrics={"accuracy": score}, family="topic",
        kind="classification", train_rows=32, rows=100, split="test", seconds=1.0, weights="w", **values,
    )  # fmt: skip


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    """What was added is found again by its key, in another process too."""
    cells = Cells(tmp_path / "cells.jsonl", protocol="p")
    cells.add(cell())
    cells.add(cell(seed=1, shots="all"))
    again = Cells(tmp_path / "cells.jsonl", protocol="p")
    assert again.found == cells.found
    assert cell().key in again and cell(seed=2).key not in again


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    """The half line of a killed process goes, and the next line stands whole behind the others."""
    path = tmp_path / "cells.jsonl"
    Cells(path, protocol="p").add(cell())
    path.write_text(path.read_text() + '{"version": 1, "model": "ou')
    cells = Cells(path, protocol="p")
    cells.add(cell(seed=1))
    assert len(Cells(path, protocol="p").found) == 2


@pytest.mark.parametrize("end", ['{"version": 1, "model": "ou', '{"version": 1, "model": "Ä'])
def test_a_kill_while_a_torn_line_is_dropped_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The file is replaced whole: until then the lines before the torn one stand, wherever that was cut."""
    path = tmp_path / "cells.jsonl"
    Cells(path, protocol="p").add(cell(model="\u00e4 \u2028"))
    torn = path.read_bytes() + end.encode()[:-1]
    path.write_bytes(torn)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", _killed)
        with pytest.raises(InterruptedError):
            Cells(path, protocol="p")
    assert path.read_bytes() == torn
    assert len(Cells(path, protocol="p").found) == 1
    assert path.read_bytes().endswith(b"}\n")


def _killed(*_paths: object) -> None:
    raise InterruptedError


def test_lines_of_another_protocol_are_refused(tmp_path: Path) -> None:
    """Scores on other rows are not mixed in silence; the message says what to do."""
    path = tmp_path / "cells.jsonl"
    Cells(path, protocol="p").add(cell())
    with pytest.raises(DataError, match="another --output"):
        Cells(path, protocol="q")
    path.write_text('{"model": "ours"}\n')
    with pytest.raises(DataError, match="line 1"):
        Cells(path, protocol="p")


def test_a_changed_model_is_measured_again() -> None:
    """A measurement belongs to the weights it was made with, not to the model's name alone."""
    assert cell().key != cell().model_copy(update={"weights": "other"}).key


def test_means_and_comparisons_pair_what_both_models_have() -> None:
    """Means are by task over seeds; a task that one model was not measured on is in no comparison."""
    cells = [cell("ours", task, seed, 0.6 + seed / 100) for task in ("a@1", "b@1", "c@1") for seed in (0, 1)]
    cells += [cell("raw", task, seed, 0.5) for task in ("a@1", "b@1") for seed in (0, 1)]
    means = {(one.model, one.task): one for one in means_of(cells)}
    assert means["ours", "c@1"].mean == pytest.approx(0.605)
    assert means["raw", "a@1"].low == means["raw", "a@1"].high == 0.5
    (compared,) = comparisons_of(cells)
    assert (compared.first, compared.second, compared.comparison.overall.tasks) == ("ours", "raw", 2)
    assert compared.comparison.overall.difference == pytest.approx(0.105)
