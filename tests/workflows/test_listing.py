"""`taskloom tasks`: filters, lines, and the page of the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskloom.errors import UserError
from taskloom.recipes.catalog import catalog
from taskloom.recipes.facts import size_of
from taskloom.recipes.recipe import Builtin, Classification, Defect, Hub, Splits, Task
from taskloom.workflows.listing import label_count, lines, narrowed, page

ROOT = Path(__file__).resolve().parents[2]


def ids(**wanted: str | None) -> set[str]:
    """Return the ids of the catalog that a filter leaves."""
    return {task.id for task in narrowed(catalog(), **wanted)}


@pytest.mark.parametrize(
    ("given", "low", "high"),
    [("3", 3, 3), ("2..3", 2, 3), ("100..", 100, 10**9), ("..2", 1, 2)],
)
def test_label_ranges(given: str, low: int, high: int) -> None:
    """A range holds its ends, and tasks whose labels are not known or that have none are in no range."""
    found = narrowed(catalog(), labels=given)
    assert found
    assert all(low <= (label_count(task) or 0) <= high for task in found)
    assert {task.id for task in found} == {
        task.id for task in catalog() if label_count(task) and low <= label_count(task) <= high
    }
    assert not any(task.kind.name in ("regression", "multiple_choice") for task in found)


def test_row_ranges_are_about_training_rows() -> None:
    """SNLI is large and RTE small by what they are trained on; a task without train rows counts its largest split."""
    assert {"snli", "imdb"} <= ids(rows="20000..") and "glue/rte" not in ids(rows="20000..")
    assert "glue/rte" in ids(rows="2490")
    assert "super_glue/axg" in ids(rows="356")
    unknown = {task.id for task in catalog() if size_of(task) is None}
    assert unknown and not unknown & ids(rows="0..")


def test_filters_add_up() -> None:
    """Each filter takes away what it does not hold for."""
    found = narrowed(catalog(), family="nli", license_use="commercial", labels="3", rows="10000..", role="train")
    assert "WANLI" in {task.id for task in found}
    assert {(task.family, task.license_use, task.role) for task in found} == {("nli", "commercial", "train")}
    assert len(found) < len(narrowed(catalog(), family="nli"))


@pytest.mark.parametrize("given", ["", "..", "few", "3-5", "1...2", "-1"])
def test_what_is_no_range_is_refused(given: str) -> None:
    """The message shows what was typed and what may be."""
    with pytest.raises(UserError, match=r"--rows .* is no range\. Type a number such as 3, or 3\.\.10"):
        narrowed(catalog(), rows=given)


def test_lines_are_aligned_and_tell_sizes() -> None:
    """A header and a line a task, each column at one place, numbers that are not known as "?"."""
    shown = list(lines(narrowed(catalog(), family="nli")))
    at = shown[0].index("license use")
    assert all(line[at - 1] == " " and line[at] != " " for line in shown)
    rte = next(line.split() for line in shown if line.startswith("glue/rte "))
    assert rte == ["glue/rte", "classification", "nli", "2", "2,490", "unspecified"]
    assert any(line.split()[4] == "?" for line in shown)


def test_page_of_the_documentation_is_fresh() -> None:
    """docs/tasks.md is what `taskloom tasks --markdown` prints; `make docs` writes it anew."""
    assert (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8") == page(catalog())


def test_page_has_each_task_once_under_its_family() -> None:
    """Every task of the catalog stands in the table of its family."""
    shown = page(catalog())
    sections = {part.split(":")[0]: part for part in shown.split("\n## ")[1:]}
    for task in catalog():
        assert sections[task.family].count(f"\n| `{task.id}` |") == 1


def test_page_tells_gaps_and_remarks() -> None:
    """What nobody states, what has no citation, and why a task is left out are named."""
    kind = Classification(text="t", label="l", names=("a|b", "c"))
    made = [
        Task(id="x/bad", source=Hub("o/n"), kind=kind, splits=Splits(test="t"), family="topic", role="evaluation",
             defect=Defect("unsound", "a | b"), citation="nobody1900nothing"),
        Task(id="x/plain", source=Hub("o/n"), kind=kind, splits=Splits(train="t"), family="topic"),
        Task(id="x/made", source=Builtin("agreement"), kind=kind, splits=Splits(train="train"), family="procedural"),
    ]  # fmt: skip
    shown = page(made)
    assert "| evaluation; defect, unsound: a \\| b |" in shown
    assert "## No statement of a license is recorded: 2\n\n`x/bad`, `x/plain`" in shown
    assert "## No citation is known: 1\n\n`x/plain`" in shown
    assert "## Citation keys without a BibTeX entry: 1\n\n`nobody1900nothing`" in shown
    assert "| `x/made` | classification | 2 | 2,000 |" in shown
