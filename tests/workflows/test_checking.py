"""`taskloom check`: what fails it, what is only told, and the ratchet on the faults that are known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from taskloom import cli
from taskloom.errors import SourceError, UserError
from taskloom.recipes.catalog import catalog
from taskloom.recipes.check import Fault, TypesReport
from taskloom.recipes.known import known_faults
from taskloom.recipes.recorded import MIRROR, PUBLISHED
from taskloom.recipes.select import get_task
from taskloom.workflows import checking
from taskloom.workflows.checking import (
    Checked,
    check_tasks,
    figure_lines,
    problem_lines,
    remark_lines,
    report_lines,
    stats_lines,
)

STATS = Path(checking.__file__).parents[1] / "recipes" / "catalog" / "stats.jsonl"
RTE = get_task("glue/rte")


def write_rte(folder: Path, *, labels: int = 2, column: str = "sentence1") -> Path:
    """Write made rows as a mirror of glue/rte, with `labels` different labels and its first column called `column`."""
    home = folder / "nyu-mll" / "glue"
    home.mkdir(parents=True)
    config = {"config_name": "rte", "data_files": [{"split": "train", "path": "train.parquet"}]}
    (home / "README.md").write_text(f"---\n{json.dumps({'configs': [config]})}\n---\n")
    names = ClassLabel(names=["entailment", "not_entailment"])
    features = Features({column: Value("string"), "sentence2": Value("string"), "label": names, "idx": Value("int32")})
    rows = [{column: f"p{n}", "sentence2": f"h{n}", "label": n % labels, "idx": n} for n in range(60)]
    Dataset.from_list(rows, features=features).to_parquet(str(home / "train.parquet"))
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command; returns exit code, standard output and standard error."""
    code = cli.main(("check", *arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_right_rows_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A right recipe on right rows exits with 0 and is counted as read."""
    monkeypatch.setenv("TASKLOOM_MIRROR", str(write_rte(tmp_path)))
    code, out, _ = run(capsys, "glue/rte")
    assert code == 0
    assert "1 recipes checked in" in out and "1 of them on rows; 0 faulty" in out


@pytest.mark.parametrize(
    "changes, told",
    [({"labels": 1}, "all 60 rows have the same answer"), ({"column": "premise"}, "rows cannot be read: ")],
)
def test_a_fault_exits_with_1(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    told: str,
) -> None:
    """Rows that contradict the recipe, or that it cannot read, fail the check with a line that names the task."""
    monkeypatch.setenv("TASKLOOM_MIRROR", str(write_rte(tmp_path, **changes)))
    code, out, _ = run(capsys, "glue/rte")
    assert code == 1
    assert out.startswith("glue/rte: ") and told in out.splitlines()[0]
    assert "1 faulty" in out
    assert run(capsys, "glue/rte", "--no-data")[0] == 0


def test_without_a_mirror_types_are_checked_and_generators_read(capsys: pytest.CaptureFixture[str]) -> None:
    """No mirror is no mistake: hub tasks are held against schemas, built-in ones are made and read."""
    built_in = next(task.id for task in catalog() if task.id.startswith("builtin/"))
    code, out, _ = run(capsys, "glue/rte", built_in)
    assert code == 0
    assert "2 recipes checked" in out and "1 of them on rows" in out


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("glue/ret",), "Did you mean 'glue/rte'"),
        (("glue/rte", "--no-data", "--write-stats", "x.jsonl"), "Leave one of them out"),
        (("glue/rte", "--write-stats", "no/such/folder/x.jsonl"), "there is no folder"),
    ],
)
def test_a_users_mistake_exits_with_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    """One message, no report."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert told in err


def test_a_mirror_that_is_not_there(tmp_path: Path) -> None:
    """A wrong folder is told before any work, and does not matter without data."""
    with pytest.raises(SourceError, match="does not exist"):
        check_tasks([RTE], mirror=tmp_path / "nowhere")
    assert check_tasks([RTE], mirror=tmp_path / "nowhere", data=False)[0].faults == ()


def test_a_recast_is_checked_as_what_it_is_made_of(tmp_path: Path) -> None:
    """A task and its recasts are one recipe and are checked once."""
    tasks = [RTE, get_task("glue/rte+multiple-choice"), get_task("glue/rte+instruction")]
    (one,) = check_tasks(tasks, mirror=write_rte(tmp_path))
    assert (one.task, one.faults) == (RTE, ())


def test_figures_are_written(tmp_path: Path) -> None:
    """A line for each task that was read, none for the others."""
    with pytest.raises(UserError, match="--no-data"):
        check_tasks([RTE], data=False, stats=tmp_path / "stats.jsonl")
    check_tasks([RTE, get_task("glue/cola")], mirror=write_rte(tmp_path / "hub"), stats=tmp_path / "stats.jsonl")
    (line,) = (tmp_path / "stats.jsonl").read_text().splitlines()
    assert json.loads(line)["splits"]["train"]["labels"] == [30, 30]


def test_known_faults_are_counted_and_do_not_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A listed fault is known, one that is not found any more is told, and one that is not listed fails."""
    monkeypatch.setattr(checking, "known_faults", lambda: {("glue/rte", "train: constant label"): "made"})
    (one,) = check_tasks([RTE], mirror=write_rte(tmp_path / "constant", labels=1))
    assert ([fault.name for fault in one.known], one.faults, one.gone) == (["train: constant label"], (), ())
    (one,) = check_tasks([RTE], mirror=write_rte(tmp_path / "mended"))
    assert one.gone == ("train: constant label",)
    assert list(problem_lines([one])) == [
        "glue/rte: train: constant label: no longer found on these rows, but listed in known_faults.jsonl"
    ]
    (one,) = check_tasks([RTE], data=False)
    assert one.gone == ()


def made(*evidence: str, faults: int = 0, **changes: Any) -> Checked:
    """A checked task with this evidence."""
    task = dataclasses.replace(RTE, **changes)
    return Checked(TypesReport(task, evidence, tuple(Fault(task.id, f"f{n}", f"fault {n}") for n in range(faults))))


def test_evidence_is_counted_apart() -> None:
    """Source schema alone, mirror rows alone, both, neither and built in stand in columns of their own."""
    checked = [
        made(PUBLISHED), made(PUBLISHED), made(MIRROR), made(PUBLISHED, MIRROR), made("neither", faults=2),
        made("built in"),
    ]  # fmt: skip
    header, kind, every = figure_lines(checked)
    assert header.split() == "kind tasks source schema mirror rows both neither built in rows read known faulty".split()
    assert kind.split() == ["classification", "6", "2", "1", "1", "1", "1", "0", "0", "1"]
    assert every.split()[1:] == kind.split()[1:]


def test_remarks_say_on_what_recipes_rest() -> None:
    """Tasks with the same ground stand together; a task with evidence is not among them."""
    checked = [made("neither", id="a", rests_on="the paper"), made("neither", id="b", rests_on="the paper")]
    checked += [made(MIRROR, id="c", rests_on="the paper")]
    assert list(remark_lines(checked)) == ["2 tasks rest on the paper: a, b"]


def test_the_report_begins_with_what_is_wrong() -> None:
    """Faults first, figures and time last."""
    lines = list(report_lines([made(PUBLISHED), made("neither", faults=1)], seconds=1.26))
    assert lines[0] == "glue/rte: fault 0"
    assert lines[-1] == "2 recipes checked in 1.3 s, 0 of them on rows; 1 faulty"


def test_known_faults_name_tasks_of_the_catalog_and_say_why() -> None:
    """No line outlives its task, and none is without a reason."""
    ids = {task.id for task in catalog()}
    assert {task for task, _ in known_faults()} <= ids
    assert all(why for why in known_faults().values())


@pytest.mark.mirror
def test_the_ratchet(mirror: Path) -> None:
    """On all rows at hand: no new fault, no listed fault that is gone, and the committed figures are those of today."""
    checked = check_tasks(catalog(), mirror=mirror)
    assert list(problem_lines(checked)) == []
    assert sum(one.stats is not None for one in checked) >= 250
    assert "".join(stats_lines(checked)) == STATS.read_text(encoding="utf-8")
