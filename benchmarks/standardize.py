"""Raw rows -> canonical rows in memory: rows a second, against the preprocessing of tasksource where it is installed.

python benchmarks/standardize.py [--rows 30000] [--repeats 5] [--seed 0]

Four recipes over two made frames (28 of 30 rows train, 1 validation, 1 test):

- pair: two columns of text and a class label, taken as they are;
- named pair: the same, the label given by its name (ours: `names`, theirs: `name(...)`);
- nested choices: a question, a record of the lists text and label, and the letter of the answer; 2 to 5 choices a row,
  all of them kept (theirs: preserve_choices=True);
- nested choices, cut: theirs as it is by default, which cuts every row to the fewest choices of any row.

One row in 100 cannot be used: a hidden label, a null text, an answer that is no choice. Ours counts them by reason;
theirs stops at an answer that is no choice, so it gets those frames without. Timed is the whole way, ours from a
RawTask to a DatasetDict with all checks and counts (and beside it the canonical tables alone, which is what `prepare`
takes), theirs from a DatasetDict to what its recipe returns (rows without limit, no progress bars, in memory). Both run
in this process by turns, and medians of the repeats count: wall time, and the processor time of all threads, which
other work on the machine disturbs less. After that the values are compared by source row. Without tasksource (`pip
install tasksource==0.1.1`) ours is measured alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from taskloom.data.source import RawTask
from taskloom.data.standardize import standardize, to_dataset_dict
from taskloom.recipes.expressions import IndexIn, Nested
from taskloom.recipes.recipe import Classification, Hub, Kind, MultipleChoice, Splits, Task

PARTS = {"train": 28, "validation": 1, "test": 1}
"""Thirtieths of the rows."""
LABELS = ("entailment", "neutral", "contradiction")
LETTERS = "ABCDE"
NO_CHOICE = "F"
UNUSABLE = 100
"""One row in so many cannot be used."""

TEXT = datasets.Value("string")
PAIR_FEATURES = datasets.Features(premise=TEXT, hypothesis=TEXT, label=datasets.ClassLabel(names=list(LABELS)))
CHOICE_FEATURES = datasets.Features(
    question=TEXT, choices={"text": datasets.List(TEXT), "label": datasets.List(TEXT)}, answerKey=TEXT
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One recipe in both systems: ours, and what makes theirs out of the module tasksource.preprocess."""

    name: str
    kind: Kind
    theirs: Callable[[Any], Any]
    features: datasets.Features
    compared: bool = True


def letters_of(module: Any) -> Callable[[Row], int]:
    """Return their expression for the place of the answer's letter, as their recipe of ARC has it."""
    return lambda row: module.get.choices.label(row).index(row["answerKey"])


def choices(**options: Any) -> Callable[[Any], Any]:
    """Return what makes their recipe of nested choices."""
    return lambda module: module.MultipleChoice(
        "question", choices_list=module.get.choices.text, labels=letters_of(module), **options
    )


PAIR = Classification(text="premise", pair="hypothesis", label="label", names={name: name for name in LABELS})
CHOICES = MultipleChoice(
    prompt="question", choices=Nested("choices", "text"), label=IndexIn("answerKey", Nested("choices", "label"))
)
CASES = (
    Case("pair", PAIR, lambda module: module.Classification("premise", "hypothesis", "label"), PAIR_FEATURES),
    Case(
        "named pair",
        PAIR,
        lambda module: module.Classification("premise", "hypothesis", module.name("label", list(LABELS))),
        PAIR_FEATURES,
    ),
    Case("nested choices", CHOICES, choices(preserve_choices=True), CHOICE_FEATURES),
    Case("nested choices, cut", CHOICES, choices(), CHOICE_FEATURES, compared=False),
)


def words(source: random.Random, low: int, high: int) -> str:
    """Return a text of made words."""
    sizes = [source.randint(2, 9) for _ in range(source.randint(low, high))]
    return " ".join("".join(source.choices("etaoinshrdlu", k=size)) for size in sizes)


def pair_row(source: random.Random, number: int) -> Row:
    """Return a pair; every other unusable row hides its label or lacks a text."""
    row = {"premise": words(source, 12, 40), "hypothesis": words(source, 4, 14), "label": source.randrange(len(LABELS))}
    if number % UNUSABLE:
        return row
    return row | ({"label": -1} if number % (2 * UNUSABLE) else {"hypothesis": None})


def choice_row(source: random.Random, number: int) -> Row:
    """Return a question with its choices; the answer of an unusable row is no letter of it."""
    letters = list(LETTERS[: source.randint(2, len(LETTERS))])
    texts = [words(source, 1, 8) for _ in letters]
    answer = source.choice(letters) if number % UNUSABLE else NO_CHOICE
    return {"question": words(source, 8, 30), "choices": {"text": texts, "label": letters}, "answerKey": answer}


def made(features: datasets.Features, rows: int, seed: int) -> RawTask:
    """Return made rows in three splits."""
    source = random.Random(seed)
    make = pair_row if features is PAIR_FEATURES else choice_row
    splits = {
        split: [make(source, number) for number in range(rows * part // sum(PARTS.values()))]
        for split, part in PARTS.items()
    }
    tables = {split: pa.Table.from_pylist(made, schema=features.arrow_schema) for split, made in splits.items()}
    return RawTask(tables, features.to_dict(), "made", f"made with seed {seed}")


def seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """Return wall and processor time of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def ours(task: Task, raw: RawTask) -> tuple[datasets.DatasetDict, dict[str, dict[str, int]]]:
    """Return canonical rows in the public form, and the counts of unused rows."""
    canonical = standardize(task, raw)
    return to_dataset_dict(canonical), canonical.unused


def their_frame(raw: RawTask) -> datasets.DatasetDict:
    """Return the frame for one call of theirs, which changes it; rows at which it would stop are left out."""
    frame = {}
    for split, table in raw.splits.items():
        rows = datasets.Dataset(table).add_column("source_index", list(range(len(table))))
        keep = pc.not_equal(table["answerKey"], NO_CHOICE) if "answerKey" in table.column_names else None
        frame[split] = rows if keep is None else rows.select(pc.indices_nonzero(keep).to_pylist()).flatten_indices()
    return datasets.DatasetDict(frame)


def compared(mine: datasets.DatasetDict, theirs: datasets.DatasetDict) -> str:
    """Compare every value by source row and return the outcome; raises AssertionError for a value that differs."""
    same = extra = 0
    for split, rows in mine.items():
        known = {row["row"]: row for row in rows}
        for row in theirs[split]:
            found = known.pop(row["source_index"], None)
            extra += found is None
            if found is None:
                continue
            assert in_our_form(row) == {name: found[name] for name in found if name not in ("row", "weight")}, (
                row,
                found,
            )
            same += 1
        assert not known, f"theirs lacks {len(known)} rows of {split}"
    return f"{same} rows equal value by value, {extra} more of theirs that ours counts as unusable"


def in_our_form(row: Row) -> Row:
    """Return a row of theirs under our names; their lists are padded with None."""
    if "inputs" in row:
        options = [row[f"choice{at}"] for at in range(len(LETTERS)) if row.get(f"choice{at}") is not None]
        return {"prompt": row["inputs"], "choices": options, "label": row["labels"]}
    return {"text": row["sentence1"], "pair": row["sentence2"], "label": row["labels"]}


def measure(case: Case, raw: RawTask, rows: int, repeats: int, module: Any) -> None:
    """Print the figures of one case."""
    splits = Splits(**{split: split for split in PARTS})
    task = Task(id="made/rows", source=Hub("made/rows"), kind=case.kind, splits=splits, family="other")
    mine, tables, peer = [], [], []
    for _ in range(repeats):
        mine.append(seconds(lambda: ours(task, raw)))
        tables.append(seconds(lambda: standardize(task, raw)))
        if module is not None:
            frame = their_frame(raw)
            peer.append(seconds(lambda frame=frame: case.theirs(module)(frame)))
    print(f"{case.name}: ours {told(mine, rows)}; the canonical tables alone {median(tables, 0) * 1000:.1f} ms")
    if module is not None:
        wall, processor = (median(peer, at) / median(mine, at) for at in (0, 1))
        print(f"  theirs {told(peer, rows)}: {wall:.0f} times the wall time, {processor:.0f} times the processor time")
        print(f"  {median(peer, 0) / median(tables, 0):.0f} times the wall time of the canonical tables alone")
    result, unused = ours(task, raw)
    print(f"  unused by ours: {dict(sum(map(Counter, unused.values()), Counter()))}")
    if module is not None and case.compared:
        print(f"  {compared(result, case.theirs(module)(their_frame(raw), source_index=True))}")


def median(times: list[tuple[float, float]], at: int) -> float:
    """Return the median wall (0) or processor (1) time."""
    return statistics.median(one[at] for one in times)


def told(times: list[tuple[float, float]], rows: int) -> str:
    """Return the median times, the best wall time, and rows a second."""
    wall, processor = median(times, 0), median(times, 1)
    best = min(wall for wall, _ in times)
    return (
        f"{wall * 1000:.1f} ms (best {best * 1000:.1f}, processor {processor * 1000:.1f}), {rows / wall:,.0f} rows/s, "
        f"{rows / processor:,.0f} a processor second"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    datasets.disable_progress_bars()
    module = None
    if importlib.util.find_spec("tasksource") is None:
        print("tasksource is not installed: ours alone")
    else:
        module = importlib.import_module("tasksource.preprocess")
    frames = {id(case.features): made(case.features, options.rows, options.seed) for case in CASES}
    for case in CASES:
        measure(case, frames[id(case.features)], options.rows, options.repeats, module)


if __name__ == "__main__":
    main()
