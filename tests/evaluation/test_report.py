"""results.json, aggregates and tables."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console

from taskloom.errors import DataError
from taskloom.evaluation.report import RunReport, TaskReport, read_report, summarize
from taskloom.evaluation.table import HEADER, markdown, plain, summary_lines, table


def report(
    score: float | None = 0.71, majority: float | None = 0.5, *, beats: bool | None = True, **more
) -> TaskReport:
    """Return a report of a classification task."""
    values = {
        "kind": "classification", "family": "nli", "main": "accuracy", "rows": 277, "rows_available": 277,
        "metrics": {"accuracy": score}, "interval": {"accuracy": (0.66, 0.76)}, "majority": {"accuracy": majority},
        "beats_majority": beats,
    }  # fmt: skip
    return TaskReport(**(values | more))


def run_report(tasks: dict[str, dict[str, TaskReport]]) -> RunReport:
    """Return a run's report over these tasks."""
    return RunReport(run="x", seed=0, step=10, encoder="e", tasks=tasks, aggregate=summarize(tasks))


TASKS = {
    "glue/rte@1": {"validation": report()},
    "glue/stsb@1": {"validation": report(0.9, None, kind="regression", family="paraphrase", main="accuracy")},
    "other@1": {"test": report(0.4, 0.5, beats=False), "validation": report(None, 0.3, beats=None)},
}


def test_results_file_round_trip(tmp_path: Path) -> None:
    """What is written is read back equal, in the documented shape, and leaves no temporary file."""
    written = run_report(TASKS)
    written.write(tmp_path / "results.json")
    assert read_report(tmp_path / "results.json") == written
    raw = json.loads((tmp_path / "results.json").read_text())
    assert raw["version"] == 1
    task = raw["tasks"]["glue/rte@1"]["validation"]
    assert task["metrics"] == {"accuracy": 0.71}
    assert task["interval"] == {"accuracy": [0.66, 0.76]}
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_unknown_keys_and_infinite_numbers_are_refused() -> None:
    """A misspelled key or a NaN cannot get into a report."""
    with pytest.raises(ValidationError, match="majorty"):
        report(majorty={})
    with pytest.raises(ValidationError, match="finite"):
        report(float("nan"))


def test_damaged_and_newer_files_are_user_errors(tmp_path: Path) -> None:
    """A missing, damaged or newer results file says so and what to type."""
    path = tmp_path / "results.json"
    with pytest.raises(DataError, match="taskloom evaluate"):
        read_report(path)
    path.write_text('{"version": 1}')
    with pytest.raises(DataError, match="run: Field required"):
        read_report(path)
    run_report(TASKS).model_copy(update={"version": 9}).write(path)
    with pytest.raises(DataError, match="version 9"):
        read_report(path)


def test_aggregate_counts_only_what_is_defined() -> None:
    """Means leave undefined values out and say over how many tasks they are."""
    summary = summarize(TASKS)
    assert (summary.tasks, summary.scored, summary.with_majority, summary.above_majority) == (3, 2, 2, 2)
    assert summary.mean_score == pytest.approx((0.71 + 0.9) / 2)
    assert summary.mean_majority == pytest.approx((0.5 + 0.3) / 2)
    assert summary.mean_gain == pytest.approx(0.21)
    assert summary.by_kind["regression"].mean_majority is None
    assert summary.by_family["nli"].tasks == 2


def test_aggregate_takes_the_split_asked_for() -> None:
    """Validation stands for a task unless test is put first."""
    assert summarize(TASKS).scored == 2
    assert summarize(TASKS, order=("test", "validation")).scored == 3


def test_aggregate_of_no_tasks_is_not_zero() -> None:
    """A mean over nothing is undefined."""
    assert summarize({}).mean_score is None
    assert summarize({}).tasks == 0


def test_tables_show_every_task_and_split() -> None:
    """Rich, plain and Markdown tables have one line a task and split, with a dash where nothing is defined."""
    stream = io.StringIO()
    Console(file=stream, width=140).print(table(TASKS))
    for shown in (stream.getvalue(), plain(TASKS), markdown(TASKS)):
        assert shown.count("other@1") == 2
        assert "0.660 to 0.760" in shown
        assert HEADER[0] in shown
    undefined = next(line for line in plain(TASKS).splitlines() if "other@1" in line and "validation" in line)
    assert undefined.split()[4] == "-"
    assert undefined.endswith("undefined")


def test_subset_is_shown_as_such() -> None:
    """A score on part of the rows says of how many."""
    assert "100 of 277" in plain({"a@1": {"test": report(rows=100)}})


def test_summary_lines_name_all_tasks_first() -> None:
    """The aggregate is said for all tasks, then for each kind if there are several."""
    shown = summary_lines(summarize(TASKS))
    assert shown[0].startswith("all tasks: mean score 0.805 over 2")
    assert len(shown) == 3
    assert len(summary_lines(summarize({"a@1": TASKS["glue/rte@1"]}))) == 1
