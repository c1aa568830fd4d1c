"""Canonical rows of a classification or multilabel task -> rows of a recast: label-NLI, multiple choice, instruction.

- **label-nli**: two rows for each, "This example is LABEL." with a label of the row (entailment) and with another one
  (contradiction): the three-way labels of NLI, so that recasts, MNLI and builtin/label_nli train one head, the one that
  `classify` reads. Wrong labels are drawn as often as they are right elsewhere, and more often when their name shares a
  word with the right one or stands in the text. The price: a label that more than half of the rows have is
  mostly right when it is asked for, and with two labels the wrong one is always the other.
- **multiple-choice**: the text and the task's question as prompt, label names as choices.
- **instruction**: the same choices under a prompt that asks for one of them by name; prompt and right choice are an
  instruction and its answer.
- **one-pass**: some label names and the text in one sequence, and for each name whether it fits; names, their number
  and their order differ by row, and in every tenth row none fits. All such tasks train one head, by which `classify`
  scores any number of labels in one pass over a text.
- **matching**: the text, and the right label name among wrong ones, those that share a word with it more often. Text
  and names are read apart and compared by their vectors.

All draws are hashes of (task id, row, label) in whole numbers, so that neither order nor pieces nor machine matter.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from taskloom.data.hashing import hashed, key_of
from taskloom.data.kept import kept_rows
from taskloom.data.label_options import choices_of, options_of
from taskloom.data.source import RawTask
from taskloom.data.standardize import CanonicalTask, standardize
from taskloom.errors import DataError
from taskloom.recipes.generators.base import NLI_LABELS
from taskloom.recipes.recasts import OPTION_LABELS, readable_labels
from taskloom.recipes.recipe import Recast, Task

Array = NDArray[Any]

PIECE_ROWS = 20_000
PIECE_CELLS = 2**21
"""Rows times labels that are looked at together: 16 MB an array, whatever the size of the task."""
NEAR = 4
"""How much likelier a wrong label is that shares a word with the right one, or whose name stands in the text."""
MOST_MENTIONED = 100
"""Labels up to which texts are searched for names: a search takes about 1 ms for each label and megabyte."""
ROUNDS = 100
FLOOR = 1 / 16
"""Weights of all labels together, at least, where the largest is 1: without it, half of the rows having one label would
leave the others no wrong label but that one."""
WHOLE = 2**20

HYPOTHESES = (
    ("This example is ", "."),
    ("This example is ", "."),
    ("This example is ", "."),
    ("It is best described as ", "."),
    ("The right label is ", "."),
    ("This is an example of ", "."),
)
"""What stands before and after the label. Half of the rows have the words that `classify` asks with by default."""
INSTRUCTIONS = (
    ("", "\n\n{ask} Options: ", "."),
    ("Text: ", "\n\n{ask}\nAnswer with one of: ", "."),
    ("", "\n\nChoose one of ", ". {ask}"),
    ("Read this text.\n\n", "\n\n{ask} The answer is one of these: ", "."),
)
"""What stands before the text, between text and options, and after them. The question is never cut off with the
beginning of a long prompt, since it comes last."""
ASK = "Which label fits the text?"


@dataclass(frozen=True)
class Labels:
    """The labels that can be said: `names`, the place of each of the task's labels among them or -1 (`places`), how
    likely each is drawn where it is wrong (`weights`), and which share a word (`near`, (names, names))."""

    names: tuple[str, ...]
    places: Array
    weights: Array
    near: Array


@dataclass(frozen=True)
class Golds:
    """The right labels of rows, each once: those of row r are flat[offsets[r]:offsets[r + 1]], places in the names."""

    flat: Array
    offsets: Array

    def of(self, rows: Array) -> tuple[Array, Array]:
        """Return the right labels of some rows, and the place in `rows` of the row that each belongs to."""
        counts = np.diff(self.offsets)[rows]
        owner = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.flat[self.offsets[rows][owner] + within], owner


@dataclass(frozen=True)
class Piece:
    """Some rows as they are turned: texts, source rows, a mask of all right labels (rows, names), one of them drawn."""

    texts: pa.Array
    rows: Array
    golds: Array
    gold: Array


def canonical_rows(task: Task, raw: RawTask, *, max_rows: int | None = None) -> CanonicalTask:
    """Return the canonical rows of any task out of raw rows; those of a recast are turned after standardizing all.

    Raises what `standardize` and `recast` raise.
    """
    if task.recast is None:
        return standardize(task, raw, max_rows=max_rows)
    return recast(task, standardize(task.recast.of, raw), max_rows=max_rows)


def recast(task: Task, canonical: CanonicalTask, *, max_rows: int | None = None) -> CanonicalTask:
    """Return the rows of `task`, a recast of the task of `canonical`; each keeps its `row` and its weight.

    With `max_rows`, only those train rows are made that the store would keep of all. Rows without a label that can be
    said, or that have every label, are counted as unused. Raises RecastError for labels that say nothing, DataError
    when no row is left.
    """
    made = task.recast
    assert made is not None and made.of == canonical.task
    labels = _labels(task, canonical)
    splits, unused = {}, {}
    for split, table in canonical.splits.items():
        table, unused[split] = _turned(task, made, table, labels, max_rows if split == "train" else None)
        unused[split] = canonical.unused.get(split, {}) | unused[split]
        if len(table):
            splits[split] = table
    if not splits:
        raise DataError(f"Task {task.id}: no row can be used; unused: {unused}.")
    missing = (*canonical.missing_splits, *(split for split in canonical.splits if split not in splits))
    names = {"label-nli": NLI_LABELS, "one-pass": OPTION_LABELS}.get(made.form, ())
    return dataclasses.replace(canonical, task=task, labels=names, splits=splits, unused=unused, missing_splits=missing)


def _labels(task: Task, canonical: CanonicalTask) -> Labels:
    """How often labels are right is counted in the first split, train if there is one, and holds for all splits."""
    readable = readable_labels(task, canonical.labels)
    names = tuple(name for name in readable if name is not None)
    said = np.array([name is not None for name in readable])
    places = np.where(said, np.cumsum(said) - 1, -1)
    golds, _ = _golds(next(iter(canonical.splits.values())), places)
    return Labels(names, places, _balanced(np.bincount(golds.flat, minlength=len(names)) + 1), _near(names))


def _balanced(counts: Array) -> Array:
    """Return whole weights with which each label is drawn about as often where it is wrong as it is right.

    Rows draw among all labels but their own, so that weights equal to the counts would draw frequent labels too seldom:
    with labels in 50, 30, 15 and 5 % of the rows, guessing from the label asked for alone gets 0.70 with even weights,
    0.59 with the counts, 0.52 with these. Scaled to fit in turns, in sums that are exact whatever their order.
    """
    weights, least = [float(count) for count in counts], FLOOR / len(counts)
    for _ in range(ROUNDS):
        total = math.fsum(weights)
        part = [count / (total - weight) for count, weight in zip(counts.tolist(), weights, strict=True)]
        every = math.fsum(part)
        drawn = [max(weight * (every - own), 1e-9) for weight, own in zip(weights, part, strict=True)]
        weights = [weight * count / said for weight, count, said in zip(weights, counts.tolist(), drawn, strict=True)]
        top = max(weights)
        weights = [max(weight / top, least) for weight in weights]
    return np.array([round(weight * WHOLE) for weight in weights], dtype=np.int64)


def _near(names: tuple[str, ...]) -> Array:
    """Tell which names share a word of three letters or more that not every name has; (names, names) of bool."""
    near = np.zeros((len(names), len(names)), dtype=bool)
    having: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        for word in set(re.findall(r"\w{3,}", name.casefold())):
            having.setdefault(word, []).append(place)
    for places in having.values():
        if len(places) < len(names):
            near[np.ix_(places, places)] = True
    return near


def _golds(table: pa.Table, places: Array) -> tuple[Golds, Array]:
    """Return the right labels of each row that can be said, and how many labels it has at all (rows,)."""
    if "labels" in table.column_names:
        column = _whole(table["labels"])
        counts = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
        given = column.flatten().to_numpy(zero_copy_only=False)
    else:
        given = table["label"].to_numpy()
        counts = np.ones(len(table), dtype=np.int64)
    flat, owner = places[given], np.repeat(np.arange(len(table)), counts)
    width = len(places) + 1
    once = np.unique((owner * width + flat)[flat >= 0])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(once // width, minlength=len(table)))])
    return Golds(once % width, offsets), counts


def _turned(
    task: Task, made: Recast, table: pa.Table, labels: Labels, most: int | None
) -> tuple[pa.Table, dict[str, int]]:
    golds, given = _golds(table, labels.places)
    counts = np.diff(golds.offsets)
    unused = {
        "no_label": int((given == 0).sum()),
        "label_without_words": int(((given > 0) & (counts == 0)).sum()),
        "every_label": int((counts == len(labels.names)).sum()),
    }
    usable = np.flatnonzero((counts > 0) & (counts < len(labels.names)))
    if most is not None:
        most = -(-most // 2) if made.form == "label-nli" else most  # two rows of one
        usable = usable[kept_rows(task.id, table["row"].to_numpy()[usable], most)]
    step = max(1, min(PIECE_ROWS, PIECE_CELLS // len(labels.names)))
    pieces = [
        _turned_piece(task, made, table, usable[start : start + step], golds, labels)
        for start in range(0, max(1, len(usable)), step)
    ]
    return pa.concat_tables(pieces), {reason: count for reason, count in unused.items() if count}


def _turned_piece(task: Task, made: Recast, table: pa.Table, chosen: Array, golds: Golds, labels: Labels) -> pa.Table:
    """Return the recast of the chosen rows, which are in order; a slice first, since take() would join 2 GB of text."""
    begin, end = (int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else (0, 0)
    some = table.slice(begin, end - begin).take(pa.array(chosen - begin, pa.int64()))
    flat, owner = golds.of(chosen)
    mask = np.zeros((len(chosen), len(labels.names)), dtype=bool)
    mask[owner, flat] = True
    counts = np.diff(golds.offsets)[chosen]
    rows = some["row"].to_numpy()
    drawn = (hashed(key_of(task.id, "gold"), rows) % counts.astype(np.uint64)).astype(np.int64)
    piece = Piece(_texts(some), rows, mask, golds.flat[golds.offsets[chosen] + drawn])
    turn = {"label-nli": _entailment, "one-pass": _fitting}.get(made.form, _choice)
    columns, copies = turn(task, piece, labels)
    columns["row"] = pa.array(np.repeat(rows, copies))
    if "weight" in some.column_names:
        columns["weight"] = pa.array(np.repeat(some["weight"].to_numpy(), copies))
    return pa.table(columns)


def _texts(table: pa.Table) -> pa.Array:
    """Return text and pair as one text, a line each."""
    text, pair = _whole(table["text"]), _whole(table["pair"])
    joined = pc.binary_join_element_wise(text, pc.fill_null(pair, ""), "\n")
    return pc.if_else(pc.is_null(pair), text, joined)


def _entailment(task: Task, piece: Piece, labels: Labels) -> tuple[dict[str, pa.Array], int]:
    """Return two rows for each: the drawn right label is entailed, a wrong one contradicted, in the same words."""
    wrong = _wrong_labels(task, piece, labels)
    asked = np.stack([piece.gold, wrong], axis=1).ravel()
    template = np.repeat(_drawn(task, "template", piece.rows, len(HYPOTHESES)), 2)
    before, after = (pa.array(part, pa.string()).take(pa.array(template)) for part in zip(*HYPOTHESES, strict=True))
    names = pa.array(labels.names, pa.string()).take(pa.array(asked))
    answers = [NLI_LABELS.index("entailment"), NLI_LABELS.index("contradiction")]
    return {
        "text": piece.texts.take(pa.array(np.repeat(np.arange(len(piece.rows)), 2))),
        "pair": pc.binary_join_element_wise(before, names, after, ""),
        "label": pa.array(np.tile(np.array(answers, np.int32), len(piece.rows))),
    }, 2


def _wrong_labels(task: Task, piece: Piece, labels: Labels) -> Array:
    """Draw a wrong label a row: as often as it is right elsewhere, NEAR times likelier when it is hard to tell."""
    weights = np.where(labels.near[piece.gold], labels.weights * NEAR, labels.weights)
    if len(labels.names) <= MOST_MENTIONED:
        lowered = pc.utf8_lower(piece.texts)
        for place, name in enumerate(labels.names):
            found = pc.match_substring(lowered, name.lower()).to_numpy(zero_copy_only=False)
            weights[found, place] *= NEAR
    reached = np.cumsum(np.where(piece.golds, 0, weights), axis=1)
    key = key_of(task.id, "wrong")
    drawn = (hashed(key, piece.rows) % reached[:, -1].astype(np.uint64)).astype(np.int64)
    return np.asarray((reached <= drawn[:, None]).sum(axis=1))


def _choice(task: Task, piece: Piece, labels: Labels) -> tuple[dict[str, pa.Array], int]:
    assert task.recast is not None
    near = labels.near if task.apart else np.zeros_like(labels.near)
    flat, offsets, right = choices_of(task.id, piece.rows, piece.golds, piece.gold, near)
    names = pa.array(labels.names, pa.string()).take(pa.array(flat))
    choices = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names)
    if task.apart:
        prompt = piece.texts
    else:
        prompt = _instruction(task, piece, choices) if task.recast.form == "instruction" else _prompt(task, piece)
    return {"prompt": prompt, "choices": choices, "label": pa.array(right.astype(np.int32))}, 1


def _fitting(task: Task, piece: Piece, labels: Labels) -> tuple[dict[str, pa.Array], int]:
    flat, offsets, fits = options_of(task.id, piece.rows, piece.golds, labels.near)
    ends = pa.array(offsets, pa.int32())
    names = pa.array(labels.names, pa.string()).take(pa.array(flat))
    return {
        "text": piece.texts,
        "tokens": pa.ListArray.from_arrays(ends, names),
        "labels": pa.ListArray.from_arrays(ends, pa.array(fits.astype(np.int32))),
    }, 1


def _prompt(task: Task, piece: Piece) -> pa.Array:
    return pc.binary_join_element_wise(piece.texts, task.question, "\n") if task.question else piece.texts


def _instruction(task: Task, piece: Piece, choices: pa.Array) -> pa.Array:
    said = [tuple(part.replace("{ask}", task.question or ASK) for part in parts) for parts in INSTRUCTIONS]
    template = pa.array(_drawn(task, "template", piece.rows, len(said)))
    before, between, after = (pa.array(part, pa.string()).take(template) for part in zip(*said, strict=True))
    return pc.binary_join_element_wise(before, piece.texts, between, pc.binary_join(choices, ", "), after, "")


def _drawn(task: Task, what: str, rows: Array, count: int) -> Array:
    return (hashed(key_of(task.id, what), rows) % np.uint64(count)).astype(np.int64)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece; one without any chunk is empty."""
    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) and joined.num_chunks else joined
