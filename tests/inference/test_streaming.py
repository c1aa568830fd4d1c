"""Answers to a file: all rows in order, going on after the last whole line, and nothing mixed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from made_models import MAX_LENGTH, made_model
from taskloom.errors import DataError
from taskloom.inference import streaming
from taskloom.inference.classifying import Question
from taskloom.inference.inputs import count_rows, read_rows
from taskloom.inference.label_sets import label_set
from taskloom.inference.predictor import Model, load_model
from taskloom.inference.streaming import Work, summary, write_answers
from taskloom.progress import Progress

WORDS = ["bee", "red car", "go by", "all day long", "the big car and it"]
ROWS = [{"text": f"{WORDS[row % 5]} {'sang ' * (row % 7)}"} for row in range(50)]


@pytest.fixture(scope="module")
def opened(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model with an entailment head, weights random, on the CPU."""
    folder = tmp_path_factory.mktemp("streaming") / "model"
    made_model(tiny_bert, names=("topics", "nli")).save(
        folder, tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny"
    )
    return load_model(folder, device="cpu")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight rows a part, so that 50 rows take seven."""
    monkeypatch.setattr(streaming, "MOST", 8)


def work(opened: Model, labels: str | None = "car, day", **options: Any) -> Work:
    """Return fresh work with these labels."""
    return Work(opened.classifier(), Question(**options), None if labels is None else label_set(labels))


def write(work: Work, output: Path, rows: list[dict[str, Any]] = ROWS) -> list[dict[str, Any]]:
    """Write the answers and return the lines of the file."""
    write_answers(work, iter(rows), output, total=len(rows), progress=Progress())
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def test_answers_stand_in_order(opened: Model, tmp_path: Path) -> None:
    """Each row has its number and the answer that classify gives."""
    found = write(work(opened), tmp_path / "out.jsonl")
    expected = opened.classify([row["text"] for row in ROWS], "car, day")
    assert [one["row"] for one in found] == list(range(50))
    for one, other in zip(found, expected, strict=True):
        assert (one["sequence"], one["labels"]) == (other["sequence"], other["labels"])
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)


@pytest.mark.parametrize("kept", [0.0, 0.03, 0.4, 0.99, 1.0])
def test_goes_on_after_the_last_whole_line(opened: Model, tmp_path: Path, kept: float) -> None:
    """Cut anywhere, the file is the same after the command is typed again, and only the rest is answered."""
    whole = tmp_path / "whole.jsonl"
    write(work(opened), whole)
    written = whole.read_bytes()
    output = tmp_path / "out.jsonl"
    output.write_bytes(written[: int(len(written) * kept)])
    lines = output.read_bytes().count(b"\n")
    again = work(opened)
    found = write(again, output)
    expected = [json.loads(line) for line in written.splitlines()]
    assert [one["row"] for one in found] == [one["row"] for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
    assert again.tally.texts == 50 - lines


def test_answers_of_another_kind_are_not_mixed(opened: Model, tmp_path: Path) -> None:
    """Other texts, labels or options, and files of something else are refused, and stay as they are."""
    output = tmp_path / "out.jsonl"
    write(work(opened), output)
    before = output.read_bytes()
    others = [{"text": "another one"} for _ in ROWS]
    for other, rows in (
        (work(opened, "car, bee"), ROWS),
        (work(opened, multi_label=True), ROWS),
        (work(opened, none_below=0.5), ROWS),
        (work(opened), others),
    ):
        with pytest.raises(DataError, match="of another kind"):
            write(other, output, rows)
    assert output.read_bytes() == before
    for notes in ("notes\n", "notes without an end"):
        output.write_text(notes, encoding="utf-8")
        with pytest.raises(DataError, match="something else"):
            write(work(opened), output)
        assert output.read_text(encoding="utf-8") == notes


@pytest.mark.parametrize("rows", [0, 20, 49])
def test_more_answers_than_rows_are_told(opened: Model, tmp_path: Path, rows: int) -> None:
    """An input that became shorter is no matter of another model or label: both numbers are said."""
    output = tmp_path / "out.jsonl"
    write(work(opened), output)
    before = output.read_bytes()
    with pytest.raises(DataError, match=f"50 answers, more than there are rows: {rows}"):
        write(work(opened), output, ROWS[:rows])
    assert output.read_bytes() == before


def test_one_process_at_a_time_writes_a_file(opened: Model, tmp_path: Path) -> None:
    """A second command on the same file is refused before it reads or cuts anything; the first is not disturbed."""
    output = tmp_path / "out.jsonl"

    def rows() -> Iterator[dict[str, Any]]:
        yield from ROWS[:20]
        before = output.read_bytes()
        with pytest.raises(DataError, match="Another process writes answers to"):
            write(work(opened), output)
        assert output.read_bytes() == before
        yield from ROWS[20:]

    write_answers(work(opened), rows(), output, total=None, progress=Progress())
    found = [json.loads(line)["row"] for line in output.read_text(encoding="utf-8").splitlines()]
    assert found == list(range(50))


def test_each_row_may_bring_its_labels(opened: Model) -> None:
    """Lists, JSON in a csv cell, names with commas and descriptions; a row without any is named."""
    rows = [
        {"text": "bee", "labels": ["car", "it"]},
        {"text": "bee", "labels": '["car", "it"]'},
        {"text": "bee", "labels": "car, it"},
        {"text": "bee", "labels": {"x": "car", "y": "it"}},
    ]
    (found,) = work(opened, None).answers(rows)
    assert [sorted(one["labels"]) for one in found] == [["car", "it"]] * 3 + [["x", "y"]]
    assert len({round(max(one["scores"]), 4) for one in found}) == 1
    with pytest.raises(DataError, match="Row 1 has no labels"):
        list(work(opened, None).answers([rows[0], {"text": "bee"}]))
    with pytest.raises(DataError, match="Row 0 has no 'text'"):
        list(work(opened).answers([{"body": "bee"}]))


def test_rows_are_read_as_they_are_needed(opened: Model) -> None:
    """No more than a part is read ahead of the answers, so that a file may be larger than memory."""
    read = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal read
        for row in ROWS:
            read += 1
            yield row

    answers = work(opened).answers(rows())
    next(answers)
    assert read == 8


def test_what_was_too_long_is_told(opened: Model) -> None:
    """The summary counts texts, and those that were cut or read in windows."""
    rows = [{"text": "bee " * 100}, {"text": "bee"}]
    for long, said in (("truncate", "lost their end"), ("windows", "read in windows")):
        some = Work(opened.classifier(long=long), Question(), label_set("car, day"))
        list(some.answers(rows))
        first, second = summary(some)
        assert first.startswith("2 texts in")
        assert second.startswith("1 of them")
        assert said in second


def test_rows_are_counted_as_they_are_read(tmp_path: Path) -> None:
    """The count is the number of rows that reading yields, whatever the format; standard input has none."""
    (tmp_path / "a.txt").write_text("one\n\ntwo\nthree", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "one"}\n\n{"text": "two"}\n', encoding="utf-8")
    (tmp_path / "c.csv").write_text('text,labels\n"one\nline","a,b"\n\ntwo,c\n', encoding="utf-8")
    for path in sorted(tmp_path.iterdir()):
        assert count_rows(path) == len(list(read_rows(path)))
    assert count_rows("-") is None
