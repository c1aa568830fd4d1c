"""`taskloom show`: everything that is known of a task, and rows before and after."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taskloom.recipes.expressions import IndexIn, Nested
from taskloom.recipes.recipe import (
    Classification,
    Defect,
    Files,
    Held,
    Hub,
    MultipleChoice,
    Regression,
    Splits,
    Task,
    Where,
)
from taskloom.recipes.select import get_task
from taskloom.workflows.showing import ELEMENTS, describe_task


def facts(page: str) -> dict[str, str]:
    """Return name -> value of a page's column of facts."""
    found = (line.split(":", 1) for line in page.splitlines() if line and not line.startswith(" ") and ":" in line)
    return {name: value.strip() for name, value in found}


def test_a_page_says_everything_that_is_known() -> None:
    """Source, family, question, labels in order, splits with rows, license and who states it, citation, head."""
    page = describe_task(get_task("anli/r1"), rows=0)
    found = facts(page)
    assert found["source"].startswith("facebook/anli")
    assert found["family"].startswith("nli, role train")
    assert found["question"].startswith("Does the second text follow")
    assert found["labels"] == "entailment, neutral, contradiction"
    assert (found["train"], found["test"]) == ("train_r1, 16,946 rows", "test_r1, 1,000 rows")
    assert found["license"] == "cc-by-nc-4.0, non-commercial use"
    assert "hub card of facebook/anli: cc-by-nc-4.0" in found["stated by"]
    assert found["citation"] == "@inproceedings{nie2020anli,"
    assert "title = {Adversarial NLI" in page
    assert found["head"] == "classification by name: contradiction | entailment | neutral"
    assert "shared with glue/mnli, super_glue/cb" in page


def test_what_is_not_known_is_said() -> None:
    """A task of one's own has no recorded facts, even under the id of a task of the catalog."""
    own = Task(
        id="anli/r1", source=Files((("train", ("rows.csv",)),)), kind=Regression(text="t", score="s", low=1, high=5),
        splits=Splits(train="train", validation=Held(0.2, by="user")), family="own",
        where=(Where("language", ("en", "de")), Where("score", (0,), keep=False)),
    )  # fmt: skip
    found = facts(describe_task(own, rows=0))
    assert found["train"] == "train, rows unknown"
    assert found["validation"] == "about 20% of train, by user, rows unknown"
    assert found["license"] == "not named, unspecified use"
    assert found["stated by"].startswith("nobody")
    assert found["citation"] == "none is known"
    assert found["labels"] == "a score from 1 to 5"
    assert found["rows"] == "not where score is 0"
    assert "collections" not in found


def test_a_defect_and_a_missing_entry_are_shown() -> None:
    """Why a task is left out stands in its page, and a citation key without BibTeX says so."""
    task = Task(
        id="made/task", source=Hub("o/n"), kind=Classification(text="t", label="l", names=("hot", "cold")),
        splits=Splits(train="train"), family="topic", citation="nobody1900nothing", defect=Defect("unsound", "noise"),
    )  # fmt: skip
    found = facts(describe_task(task, rows=0))
    assert found["defect"] == "unsound: noise"
    assert found["citation"] == "nobody1900nothing, without a BibTeX entry"
    assert found["head"].startswith("classification by name: cold | hot")


@pytest.fixture
def made_mirror(tmp_path: Path) -> Path:
    """A mirror with one set of nested choices, one row of which has no answer."""
    rows = [
        {"q": f"question {n}", "c": {"text": [f"{n} a", f"{n} b"], "key": ["A", "B"]}, "k": "Z" if n == 1 else "B"}
        for n in range(6)
    ]
    rows[0]["c"] = {"text": ["x" * 1000] * 30, "key": [f"K{n}" for n in range(29)] + ["B"]}  # type: ignore[assignment]
    folder = tmp_path / "o" / "n"
    (folder / "default").mkdir(parents=True)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: default/train-*\n---\n"
    )
    pq.write_table(pa.Table.from_pylist(rows), folder / "default" / "train-0.parquet")
    return tmp_path


CHOICES = Task(
    id="made/choices", source=Hub("o/n"), splits=Splits(train="train"), family="reading",
    kind=MultipleChoice(prompt="q", choices=Nested("c", "text"), label=IndexIn("k", Nested("c", "key"))),
)  # fmt: skip


def test_rows_before_and_after_belong_together(made_mirror: Path) -> None:
    """Three rows as the source has them and as the model gets them, unused rows counted by reason."""
    page = describe_task(CHOICES, rows=3, mirror=str(made_mirror))
    assert "train: 5 rows, unused: 1 answer_not_in_choices" in page
    before = [json.loads(line[8:]) for line in page.splitlines() if line.startswith("before: ")]
    after = [json.loads(line[8:]) for line in page.splitlines() if line.startswith("after:  ")]
    assert (
        [row["q"] for row in before] == [row["prompt"] for row in after] == ["question 0", "question 2", "question 3"]
    )
    assert after[1] == {"prompt": "question 2", "choices": ["2 a", "2 b"], "label": 1, "row": 2}


def test_long_values_are_cut_wherever_they_stand(made_mirror: Path) -> None:
    """Texts and lists inside of records are shortened too, and say how much is not shown."""
    page = describe_task(CHOICES, rows=1, mirror=str(made_mirror))
    row = next(json.loads(line[8:]) for line in page.splitlines() if line.startswith("before: "))
    assert len(row["c"]["text"]) == ELEMENTS + 1
    assert row["c"]["text"][-1] == "... and 10 more"
    assert row["c"]["text"][0] == "x" * 300 + "..."


def test_rows_that_cannot_be_read_are_told_in_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without data the facts are shown all the same."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    page = describe_task(CHOICES, rows=3, mirror=str(tmp_path))
    assert "No rows: Data set o/n is in no mirror folder" in page
    assert facts(page)["task"] == "made/choices@1"
