"""Rows of any number through a classifier: answers in order, a part at a time, also to a file that survives a kill.

The file is its own record of how far the work is: each whole line is an answer. When it is there already, its last
answer is made again and must agree, so that another model, other labels or another template are noticed before answers
of two kinds stand in one file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from taskloom.data.locks import locked
from taskloom.errors import DataError
from taskloom.inference.classifying import Classifier, Question
from taskloom.inference.inputs import text_of
from taskloom.inference.label_sets import LabelSet, label_set
from taskloom.progress import Progress

PAIRS = 4096
"""Texts times labels of a part: enough to sort by length, few enough that a killed run loses seconds."""
FEWEST, MOST = 32, 1024
"""Texts of a part."""
BEGINNING = b'{"row": '
"""How the line of an answer begins: a torn line that begins otherwise is somebody's text, and is not cut off."""
TOLERANCE = 0.05
"""How much a score may differ when it is made again: other neighbors in a batch move it by 0.01 in bf16."""


@dataclass
class Tally:
    """What was done: texts answered, those longer than the model reads, and seconds."""

    texts: int = 0
    long: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Texts answered in a second."""
        return self.texts / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Work:
    """A classifier, how it is asked, and the labels of all rows; without labels each row brings its own."""

    classifier: Classifier
    question: Question
    labels: LabelSet | None = None
    tally: Tally = field(default_factory=Tally)

    def answers(self, rows: Iterable[dict[str, Any]], *, first: int = 0) -> Iterator[list[dict[str, Any]]]:
        """Yield the answers of a part of the rows after the other; `first` is the number of the first row.

        Raises DataError for a row without a text, or without labels where it has to bring them.
        """
        numbered = enumerate(rows, first)
        while part := self._part(numbered):
            start = time.monotonic()
            texts = [text_of(row, number) for number, row, _ in part]
            found, long = self.classifier.answers(texts, [labels for _, _, labels in part], self.question)
            self.tally.texts += len(part)
            self.tally.long += long
            self.tally.seconds += time.monotonic() - start
            yield [{"row": number, **answer} for (number, _, _), answer in zip(part, found, strict=True)]

    def _part(self, rows: Iterator[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any], LabelSet]]:
        part: list[tuple[int, dict[str, Any], LabelSet]] = []
        pairs = 0
        for number, row in rows:
            labels = self.labels or row_labels(row, number)
            part.append((number, row, labels))
            pairs += len(labels.names)
            if len(part) >= MOST or (pairs >= PAIRS and len(part) >= FEWEST):
                break
        return part


def row_labels(row: dict[str, Any], number: int) -> LabelSet:
    """Return the labels of a row: a list, a JSON list, {name: description}, or names with commas in column `labels`."""
    given = row.get("labels")
    if isinstance(given, str) and given.lstrip().startswith(("[", "{")):
        try:
            given = json.loads(given)
        except json.JSONDecodeError as error:
            raise DataError(f"Row {number}: the labels are not JSON ({error.msg}).") from error
    if not given:
        raise DataError(f"Row {number} has no labels. Give --labels for all rows, or a column labels with each row's.")
    return label_set(given)


def write_answers(
    work: Work, rows: Iterable[dict[str, Any]], output: Path, *, total: int | None, progress: Progress
) -> None:
    """Append the answers of rows to a file of JSON lines, after those that it has; `total` is the number of rows.

    A last line without its end, as a killed run leaves it, is made again. Raises DataError when the file holds answers
    to other texts or of another kind, or more of them than there are rows, or when another process writes to it.
    """
    remaining = iter(rows)
    busy = DataError(f"Another process writes answers to {output}. Wait for it, or give another file.")
    with locked(output, busy=busy), output.open("a+b") as stream:
        done, last = _resumed(stream, output)
        if last is not None:
            _check_last(work, _passed(remaining, done, output), last, done, output)
            progress.say(f"{output} has the answers of {done:,} rows; going on with row {done}.")
        with progress.bar("classifying", max(total or 0, done), done) as bar:
            for part in work.answers(remaining, first=done):
                stream.write("".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in part).encode())
                stream.flush()
                bar.advance(len(part), note=_pace(work.tally, total, done))


def _pace(tally: Tally, total: int | None, done: int) -> str:
    pace = f"{tally.per_second:.1f} texts/s"
    if not total or not tally.texts:
        return pace
    left = int((total - done - tally.texts) / tally.per_second)
    return f"{pace}, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"


def _resumed(stream: IO[bytes], path: Path) -> tuple[int, dict[str, Any] | None]:
    """Cut a line without end off, and return how many answers there are and the last of them."""
    stream.seek(0)
    done, end, last, torn = 0, 0, b"", b""
    for line in stream:
        if not line.endswith(b"\n"):
            torn = line
            break
        done, end, last = done + 1, end + len(line), line
    record = _answer(last) if done else None
    ours = torn.startswith(BEGINNING[: len(torn)])
    if not ours or (done and (record is None or record.get("row") != done - 1)):
        raise DataError(f"{path} is there and holds something else than answers of classify. Give another file.")
    stream.truncate(end)
    stream.seek(end)
    return done, record


def _answer(line: bytes) -> dict[str, Any] | None:
    """Return the answer that a line is, None for anything else."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "sequence" in record else None


def _passed(rows: Iterator[dict[str, Any]], done: int, path: Path) -> dict[str, Any]:
    """Pass over the rows that are answered, and return the last of them."""
    passed, row = 0, {}
    for one in islice(rows, done):
        passed, row = passed + 1, one
    if passed < done:
        raise DataError(
            f"{path} has {done:,} answers, more than there are rows: {passed:,}. Give another file, or remove it."
        )
    return row


def _check_last(work: Work, row: dict[str, Any], last: dict[str, Any], done: int, path: Path) -> None:
    again = Work(work.classifier, work.question, work.labels)
    (made,) = chain.from_iterable(again.answers([row], first=done - 1))
    scores = dict(zip(last.get("labels", ()), last.get("scores", ()), strict=False))
    others = dict(zip(made["labels"], made["scores"], strict=True))
    same = made["sequence"] == last["sequence"] and made.keys() == last.keys() and scores.keys() == others.keys()
    if not same or any(abs(scores[name] - others[name]) > TOLERANCE for name in scores):
        raise DataError(
            f"{path} holds answers of another kind: row {done - 1} made again is not what stands there. The model, the "
            "texts, the labels or an option are others. Give another file, or remove this one."
        )


def summary(work: Work) -> list[str]:
    """Return what is said at the end: how many texts, how fast, and what became of those that were too long."""
    tally, reading = work.tally, work.classifier.reading
    lines = [f"{tally.texts:,} texts in {tally.seconds:.1f} s, {tally.per_second:.1f} texts/s."]
    if tally.long:
        did = (
            "were read in windows, whose scores are averaged"
            if reading.long == "windows"
            else "lost their end (--long windows reads all of it)"
        )
        lines.append(
            f"{tally.long:,} of them do not fit beside their labels into {reading.max_length} tokens: they {did}."
        )
    return lines
