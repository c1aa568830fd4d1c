"""Rows from Python values and from files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from made_models import MAX_LENGTH, made_model
from taskloom import cli
from taskloom.errors import DataError, SourceError
from taskloom.inference.inputs import (
    ChoiceRow,
    TextRow,
    WordsRow,
    choice_row,
    count_rows,
    numbered,
    read_rows,
    text_row,
    words_row,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("one", TextRow("one")),
        (("one",), TextRow("one")),
        (("one", "two"), TextRow("one", "two")),
        (["one", "two"], TextRow("one", "two")),
        ({"text": "one"}, TextRow("one")),
        ({"text": "one", "pair": "two", "label": 3}, TextRow("one", "two")),
        ({"text": "one", "pair": None}, TextRow("one")),
        ({"text": "one", "pair": ""}, TextRow("one")),
    ],
)
def test_text_rows(given, expected) -> None:
    """A text or a pair comes as a string, a tuple or a dict of canonical columns."""
    assert text_row(given) == expected


@pytest.mark.parametrize("given", [3, None, (), ("a", "b", "c"), ("a", 3), {"txt": "a"}, {"text": 3}])
def test_other_values_are_no_text_row(given) -> None:
    """Anything else names the row and what to give."""
    with pytest.raises(DataError, match="Row 7"):
        text_row(given, 7)


def test_choice_rows() -> None:
    """Prompt and choices come as a pair or a dict; choices may be JSON in a csv cell."""
    expected = ChoiceRow("p", ("a", "b"))
    assert choice_row(("p", ["a", "b"])) == expected
    assert choice_row({"prompt": "p", "choices": ["a", "b"]}) == expected
    assert choice_row({"prompt": "p", "choices": '["a", "b"]'}) == expected


@pytest.mark.parametrize("given", ["pq", ("p", []), ("p", "ab"), ("p", [1, 2]), {"prompt": "p"}])
def test_other_values_are_no_choice_row(given) -> None:
    """A string of two letters is no prompt with a choice, and a row needs choices."""
    with pytest.raises(DataError, match="Row 0"):
        choice_row(given)


def test_word_rows() -> None:
    """Words come as a list or in a dict; a string is cut at blanks."""
    for given in (["a", "b"], ("a", "b"), {"tokens": ["a", "b"]}, {"tokens": '["a", "b"]'}, "a  b", {"text": "a b "}):
        assert words_row(given) == WordsRow(("a", "b"))
    with pytest.raises(DataError, match="words"):
        words_row([1, 2])


def test_plain_lines_keep_their_numbers(tmp_path: Path) -> None:
    """One text a line; an empty line is an empty text, so line numbers and rows agree; braces are text."""
    path = tmp_path / "texts.txt"
    path.write_bytes(b'{"a"\r\n\r\nthree')
    assert [row["text"] for row in read_rows(path)] == ['{"a"', "", "three"]


def test_json_lines(tmp_path: Path) -> None:
    """Objects come as they are; a broken line is named by its number."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "pair": "b"}\n\n{"text": "c"}\n', encoding="utf-8")
    assert list(read_rows(path)) == [{"text": "a", "pair": "b"}, {"text": "c"}]
    path.write_text('{"text": "a"}\n{"text": \n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        list(read_rows(path))
    path.write_text("[1]\n", encoding="utf-8")
    with pytest.raises(DataError, match="not an object"):
        list(read_rows(path))


def test_csv_with_line_ends_in_cells(tmp_path: Path) -> None:
    """Quoted cells may hold commas and line ends; a byte-order mark is not part of the header."""
    path = tmp_path / "rows.csv"
    path.write_bytes('\ufefftext,other\n"a, b\nc",1\n'.encode())
    assert list(read_rows(path)) == [{"text": "a, b\nc", "other": "1"}]


def test_csv_without_canonical_columns(tmp_path: Path) -> None:
    """A header with none of the canonical columns is an error that names them."""
    path = tmp_path / "rows.csv"
    path.write_text("body,label\na,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="text"):
        list(read_rows(path))


def test_csv_with_too_many_cells(tmp_path: Path) -> None:
    """An unquoted comma is found, not dropped."""
    path = tmp_path / "rows.csv"
    path.write_text("text,pair\na,b,c\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a\nb\n", ["a", "b"]),
        ('{"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
        ('\ufeff{"text": "a"}\n\n{"text": "b"}\n', ["a", "b"]),
        ("\ufeffa\n\nb", ["a", "", "b"]),
        ("", []),
    ],
)
def test_standard_input_is_lines_or_json(content: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash reads standard input: JSON lines if the first line begins with a brace; a byte order mark is no text."""
    monkeypatch.setattr("sys.stdin", io.StringIO(content))
    assert [row["text"] for row in read_rows("-")] == expected


CSV = 'text,pair\n"one, or\ntwo",b\n'


@pytest.mark.parametrize(("format", "content"), [("csv", CSV), ("tsv", CSV.replace(",", "\t").replace("\t ", ", "))])
def test_a_format_that_is_given_counts(
    format: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input and files of any ending are read, and counted, in the format that is given."""
    monkeypatch.setattr("sys.stdin", io.StringIO(content))
    (tmp_path / "rows.dat").write_text(content, encoding="utf-8")
    for source in ("-", tmp_path / "rows.dat"):
        assert list(read_rows(source, format=format)) == [{"text": "one, or\ntwo", "pair": "b"}]
    assert count_rows(tmp_path / "rows.dat", format=format) == 1
    (tmp_path / "rows.csv").write_text("text\na\n", encoding="utf-8")
    assert [row["text"] for row in read_rows(tmp_path / "rows.csv", format="lines")] == ["text", "a"]


@pytest.mark.parametrize("command", ["classify", "predict"])
def test_commands_read_csv_from_standard_input(
    command: str, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --format csv the header is no text: two rows, two answers."""
    made_model(tiny_bert, names=("topics", "nli")).save(
        tmp_path / "model", tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny"
    )
    options = ["--labels", "car,day"] if command == "classify" else ["--task", "made/topics"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufefftext\na bee\nthe car\n"))
    arguments = [command, str(tmp_path / "model"), "-", "--format", "csv", "--device", "cpu", *options]
    assert cli.main(arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("name", ["rows.csv", "rows.txt", "rows.jsonl"])
def test_other_encodings_are_told(name: str, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are one message with the row before them, and the rows are not counted in advance."""
    first, row = ('{"text": "a"}', '{"text": "%s"}') if name == "rows.jsonl" else ("text", "%s")
    lines = [first, *(row % ("x" * 9000) for _ in range(3)), row % "caf\u00e9"]
    (tmp_path / name).write_bytes("\n".join(lines).encode("latin-1"))
    with pytest.raises(SourceError, match=r"after row \d.*no UTF-8"):
        list(read_rows(tmp_path / name))
    assert count_rows(tmp_path / name) is None


def test_long_cells_are_read(tmp_path: Path) -> None:
    """A cell may be longer than the 131,072 characters that Python's csv reads by default."""
    (tmp_path / "rows.csv").write_text("text\n" + "word " * 40_000 + "\n", encoding="utf-8")
    assert [len(row["text"]) for row in read_rows(tmp_path / "rows.csv")] == [200_000]


def test_missing_file_and_unknown_format(tmp_path: Path) -> None:
    """No file and no such format are user errors."""
    with pytest.raises(SourceError, match="no file"):
        list(read_rows(tmp_path / "none.txt"))
    with pytest.raises(DataError, match="Did you mean 'jsonl'"):
        list(read_rows(tmp_path / "none.txt", format="json"))


def test_results_are_numbered_in_order() -> None:
    """Each line of output is JSON with the row it answers."""
    lines = [json.loads(line) for line in numbered([{"label": "ä"}, {"label": "b"}])]
    assert lines == [{"row": 0, "label": "ä"}, {"row": 1, "label": "b"}]
