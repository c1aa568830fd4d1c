"""results.json, aggregates and tables."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console

from taskloom.errors import DataError
from taskloom.evaluation.report import RunReport, TaskReport, merged, read_report, summarize
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


FIRST_SHAPE = {
    "version": 1, "run": "x", "seed": 0, "step": 150, "encoder": "e", "libraries": {}, "data_fingerprint": "",
    "tasks": {"a@1": {"validation": {
        "kind": "classification", "family": "nli", "main": "accuracy", "rows": 4, "rows_available": 4,
        "metrics": {"accuracy": 0.5, "macro_f1": 0.4, "matthews": None}, "interval": {"accuracy": [0.2, 0.8]},
        "majority": {"accuracy": 0.5, "macro_f1": 0.3, "matthews": None}, "beats_majority": False, "unused_rows": {},
        "reasons": {"matthews": "every predicted class is the same"}}}},
    "aggregate": {
        "tasks": 1, "scored": 1, "with_majority": 1, "mean_score": 0.5, "mean_majority": 0.5, "mean_gain": 0.0,
        "above_majority": 0, "by_kind": {}, "by_family": {}},
    "training": {},
}  # fmt: skip
"""results.json as the first taskloom wrote it, without baselines and what else came later."""


def test_files_of_the_first_shape_are_read(tmp_path: Path) -> None:
    """Fields that came later have their defaults, and what was there is there."""
    path = tmp_path / "results.json"
    path.write_text(json.dumps(FIRST_SHAPE), encoding="utf-8")
    report = read_report(path)
    assert report.tasks["a@1"]["validation"].metrics["accuracy"] == 0.5
    assert report.tasks["a@1"]["validation"].baselines == {}
    assert (report.untrained, report.skipped, report.calibration, report.model) == ({}, {}, {}, "")


def test_a_newer_file_is_told_by_its_version_whatever_else_it_has(tmp_path: Path) -> None:
    """Unknown fields of a newer version do not hide that it is newer."""
    path = tmp_path / "results.json"
    path.write_text(json.dumps(FIRST_SHAPE | {"version": 2, "something": 1}), encoding="utf-8")
    with pytest.raises(DataError, match="has version 2, this taskloom reads 1"):
        read_report(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="is damaged"):
        read_report(path)


def test_newer_scores_go_into_a_report(tmp_path: Path) -> None:
    """Splits and tasks add up, the newer score of one counts, what a quick pass leaves out stays while scores agree."""
    full = report(baselines={"tfidf": {"accuracy": 0.6}}, reasons={"chance.x": "why"})
    before = run_report({"a@1": {"validation": full}, "b@1": {"test": report(0.3)}})
    before = before.model_copy(update={"skipped": {"c@1": "no head", "d@1 (test)": "no rows"}})
    newer = run_report({"a@1": {"validation": report(), "test": report(0.9)}, "b@1": {"test": report(0.4)}})
    newer = newer.model_copy(update={"untrained": {"d@1": {"test": report(0.2)}}, "model": "abc"})
    found = merged(before, newer)
    assert found.tasks["a@1"]["validation"] == full
    assert found.tasks["a@1"]["test"].score == 0.9
    assert found.tasks["b@1"]["test"].score == 0.4
    assert found.skipped == {"c@1": "no head"}
    assert found.untrained_aggregate.mean_score == pytest.approx(0.2)
    assert found.aggregate == summarize(found.tasks)
    assert (found.step, found.model) == (10, "abc")


def test_baselines_and_losses_in_the_aggregate() -> None:
    """Means over the tasks that have them, families each once, benchmarks by their test split."""
    scores = {"metrics": {"accuracy": 0.5}}
    one = report(0.8, baselines={"tfidf": {"accuracy": 0.6}, "chance": {"accuracy": 0.5}}, without_embedding=scores)
    other = report(0.4, family="topic", baselines={"chance": {"accuracy": 0.25}})
    third = report(0.6, family="topic", role="evaluation")
    summary = summarize({"a@1": {"validation": one}, "b@1": {"validation": other},
                         "c@1": {"validation": report(0.1), "test": third}})  # fmt: skip
    assert (summary.with_tfidf, summary.mean_tfidf) == (1, pytest.approx(0.6))
    assert summary.mean_gain_over_tfidf == pytest.approx(0.2)
    assert summary.mean_chance == pytest.approx(0.375)
    assert (summary.with_both, summary.mean_loss_without_embedding) == (1, pytest.approx(0.3))
    assert summary.mean_score == pytest.approx(0.6)
    assert summary.mean_over_families == pytest.approx((0.8 + 0.5) / 2)
    assert "benchmarks: test" in summary.weighing
