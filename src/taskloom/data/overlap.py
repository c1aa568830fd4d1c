"""What is trained on against what is evaluated: rows that stand in both, letter by letter or nearly so.

The index holds the evaluation rows, which are few, and train rows are streamed through it, so memory does not grow with
them (about 1 kB an evaluation row). Candidates for near duplicates come from MinHash signatures (rensa) in bands; each
candidate's Jaccard similarity is then counted on the shingles themselves, so an estimate never decides. With 21 bands
of 6 a pair at the threshold is missed once in 500 times, one at 0.9 not once in a million.

Words and pairs of words that stand in more than a fifth of the rows of an evaluated split are its template. Rows must
agree without them too: two questions about other things in the same words are no duplicates. The price: minimal pairs
of long texts, one word of twenty changed on purpose, count as near duplicates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from taskloom.data.hashing import hashed, key_of
from taskloom.data.ragged import ragged
from taskloom.data.shingles import ShingleSets, Texts, jaccard, texts_of

Array = NDArray[Any]

THRESHOLD = 0.8
"""The Jaccard similarity from which rows are near duplicates."""
TEMPLATE_SHARE, TEMPLATE_ROWS = 0.2, 10
"""A shingle is template when it stands in more than this share of a split's rows, and in at least so many."""
PERMUTATIONS, BANDS, BAND_ROWS = 128, 21, 6
SEED = 1
SLACK = 0.14
"""How far an estimate may lie below the threshold before its pair is passed over: four standard deviations."""
SHORTEST = 3
"""Rows of fewer words are reported and stay in training: "Okay." and "Thank you!" are no leak but what people say. Of
1,000 train rows of silicone/maptask, 341 are such duplicates: without them its commonest answers are not learned."""
CHUNK = 10_000
"""Rows that are looked at together."""
BLOCK = 20_000
"""Candidate pairs that are counted together."""


@dataclass(frozen=True)
class Evaluated:
    """One evaluated split: task, split and rows; `in_run` tells whether the run itself evaluates it."""

    task: str
    split: str
    rows: int
    in_run: bool = True


@dataclass(frozen=True)
class Example:
    """A pair of rows: their source rows, how they look, and how alike they are (1 for equal ones)."""

    train_row: int
    evaluation_row: int
    train_text: str
    evaluation_text: str
    similarity: float


@dataclass(frozen=True)
class Overlap:
    """Train rows of one task against one evaluated split.

    exact, near: train rows with a duplicate there, near ones without an equal one. same_text: train rows whose text
    stands there in another row (the same premise with another hypothesis), neither exact nor near. touched: evaluation
    rows that have an exact or near duplicate. short: those among the exact ones that have fewer than SHORTEST words.
    """

    train: str
    train_rows: int
    evaluated: Evaluated
    exact: int
    near: int
    same_text: int
    touched: int
    short: int
    example: Example | None

    @property
    def touched_share(self) -> float:
        """The part of the evaluation rows that is touched."""
        return self.touched / self.evaluated.rows


@dataclass(frozen=True)
class Found:
    """What one task's train rows share with the index, by split, and the source rows to leave out (ascending).

    `leaked` are the exact and near duplicates of rows that the run evaluates, but for the short ones.
    """

    overlaps: tuple[Overlap, ...]
    leaked: Array


@dataclass
class Tally:
    """Counts of one train task by evaluated split, added up chunk by chunk."""

    exact: Array
    near: Array
    same_text: Array
    short: Array
    touched: Array
    rows: int = 0
    leaked: list[Array] = field(default_factory=list)
    examples: dict[int, Example] = field(default_factory=dict)


class OverlapIndex:
    """Evaluation rows, ready to be asked for duplicates: `add` all, then `search`.

    Equal rows of a split are one entry that counts as often as they stand there.
    """

    def __init__(self, *, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self.evaluated: list[Evaluated] = []
        self._parts: list[tuple[Texts, Array, Array]] = []

    def add(self, task: str, split: str, table: pa.Table, *, in_run: bool = True) -> None:
        """Put the rows of an evaluated split in; what the run does not evaluate is reported and never left out."""
        chunks = [texts_of(table.slice(start, CHUNK)) for start in range(0, len(table), CHUNK)]
        if not chunks:
            return
        texts = _joined(chunks)
        _, first, counts = np.unique(texts.keys, return_index=True, return_counts=True)
        distinct = Texts(
            texts.rows[first], texts.keys[first], texts.text_keys[first], texts.sets.take(first), texts.words[first],
            texts.shown.take(pa.array(first)),
        )  # fmt: skip
        self._parts.append((distinct, counts, _common(texts.text_keys, len(table))))
        self.evaluated.append(Evaluated(task, split, len(table), in_run))

    def finish(self) -> None:
        """Sort what was added; nothing can be added any more."""
        lengths = [len(texts.keys) for texts, _, _ in self._parts]
        self.split = np.repeat(np.arange(len(lengths)), lengths)
        self.in_run = np.array([one.in_run for one in self.evaluated], dtype=bool)
        self.counts = np.concatenate([counts for _, counts, _ in self._parts] or [np.zeros(0, np.int64)])
        self.template = _template([texts.sets for texts, _, _ in self._parts])
        self._sort_texts()
        self.entries = _joined([texts for texts, _, _ in self._parts])
        self._parts = []
        self._key_order = np.argsort(self.entries.keys, kind="stable")
        self._keys = self.entries.keys[self._key_order]
        telling = self.entries.sets.without(self.template)
        signatures = _signatures(telling)
        self._short_signatures = signatures.astype(np.uint16)  # an estimate needs no more than the last bits
        usable = np.flatnonzero(np.diff(telling.offsets))
        self._bands: list[tuple[Array, Array]] = []
        for band in _bands(signatures[usable]):
            order = np.argsort(band, kind="stable")
            self._bands.append((band[order], usable[order].astype(np.int32)))

    def _sort_texts(self) -> None:
        """Keep each text of a split once, without those that are its template."""
        keys, splits = [], []
        for number, (texts, _, common) in enumerate(self._parts):
            distinct = np.setdiff1d(texts.text_keys, np.append(common, np.uint64(0)))
            keys.append(distinct)
            splits.append(np.full(len(distinct), number))
        flat = np.concatenate(keys or [np.zeros(0, np.uint64)])
        order = np.argsort(flat, kind="stable")
        self._text_keys = flat[order]
        self._text_splits = np.concatenate(splits or [np.zeros(0, np.int64)])[order]

    def search(self, task: str, tables: Iterable[pa.Table]) -> Found:
        """Return what the train rows of a task, given in pieces, share with each evaluated split."""
        splits = len(self.evaluated)
        exact, near, same_text, short = np.zeros((4, splits), np.int64)
        tally = Tally(exact, near, same_text, short, touched=np.zeros(len(self.counts), dtype=bool))
        for table in tables:
            for start in range(0, len(table), CHUNK):
                self._count(texts_of(table.slice(start, CHUNK)), tally)
        touched = np.bincount(self.split[tally.touched], self.counts[tally.touched], splits).astype(np.int64)
        overlaps = tuple(
            Overlap(
                task, tally.rows, self.evaluated[at], int(tally.exact[at]), int(tally.near[at]),
                int(tally.same_text[at]), int(touched[at]), int(tally.short[at]), tally.examples.get(at),
            )
            for at in np.flatnonzero(tally.exact + tally.near + tally.same_text).tolist()
        )  # fmt: skip
        return Found(overlaps, np.unique(np.concatenate(tally.leaked or [np.zeros(0, np.int64)])))

    def _count(self, texts: Texts, tally: Tally) -> None:
        """Add what the rows of one chunk share to the counts; a row counts once for each split."""
        splits = len(self.evaluated)
        row, entry = _ranges(self._keys, texts.keys)
        entry = self._key_order[entry]
        near_row, near_entry, similarity = self.near(texts)
        text_row, text_place = _ranges(self._text_keys, texts.text_keys)
        exact = np.unique(row * splits + self.split[entry])
        near = np.setdiff1d(near_row * splits + self.split[near_entry], exact)
        same_text = np.setdiff1d(text_row * splits + self._text_splits[text_place], np.concatenate([exact, near]))
        short = texts.words < SHORTEST
        for counts, cells in (
            (tally.exact, exact), (tally.near, near), (tally.same_text, same_text),
            (tally.short, exact[short[exact // max(1, splits)]]),
        ):  # fmt: skip
            counts += np.bincount(cells % max(1, splits), minlength=splits)
        tally.touched[entry] = tally.touched[near_entry] = True
        in_run = [found[self.in_run[self.split[entries]]] for found, entries in ((row, entry), (near_row, near_entry))]
        leaked = np.concatenate(in_run)
        tally.leaked.append(texts.rows[leaked[~short[leaked]]])
        tally.rows += len(texts.keys)
        self._keep_examples(texts, row, entry, np.ones(len(row)), tally)
        self._keep_examples(texts, near_row, near_entry, similarity, tally)

    def _keep_examples(self, texts: Texts, row: Array, entry: Array, similarity: Array, tally: Tally) -> None:
        """Keep the first pair of each split that has none yet."""
        fresh, first = np.unique(self.split[entry], return_index=True)
        for split, at in zip(fresh.tolist(), first.tolist(), strict=True):
            if split not in tally.examples:
                tally.examples[split] = Example(
                    int(texts.rows[row[at]]), int(self.entries.rows[entry[at]]), texts.shown[row[at]].as_py(),
                    self.entries.shown[entry[at]].as_py(), round(float(similarity[at]), 4),
                )  # fmt: skip

    def near(self, texts: Texts) -> tuple[Array, Array, Array]:
        """Return the pairs of rows and entries at or over the threshold, equal ones left out, and their similarity."""
        telling = texts.sets.without(self.template)
        asked = np.flatnonzero(np.diff(telling.offsets))
        signatures = _signatures(telling.take(asked))
        found: list[tuple[Array, Array, Array]] = []
        for place, entry in self._candidates(signatures):
            row = asked[place]
            similarity = jaccard(texts.sets.take(row), self.entries.sets.take(entry), self.template)
            kept = (similarity >= self.threshold) & (texts.keys[row] != self.entries.keys[entry])
            found.append((row[kept], entry[kept], similarity[kept]))
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        row, entry, similarity = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((entry, row))
        return row[order], entry[order], similarity[order]

    def _candidates(self, signatures: Array) -> Iterator[tuple[Array, Array]]:
        """Yield blocks of pairs that share a band and whose estimate is not far below the threshold."""
        size = len(self.counts)
        pairs = np.zeros(0, np.int64)
        least = (self.threshold - SLACK) * PERMUTATIONS
        short = signatures.astype(np.uint16)
        for (values, order), asked in zip(self._bands, _bands(signatures), strict=False):
            for start in range(0, len(asked), 1000):  # a thousand rows at a time: one band may hold many entries
                place, within = _ranges(values, asked[start : start + 1000])
                place, entry = place + start, order[within].astype(np.int64)
                alike = _agreements(short, place, self._short_signatures, entry)
                pairs = np.union1d(pairs, (place * size + entry)[alike >= least])
        for start in range(0, len(pairs), BLOCK):
            yield np.divmod(pairs[start : start + BLOCK], size)


def _agreements(left: Array, left_rows: Array, right: Array, right_rows: Array) -> Array:
    """Return in how many places the signatures of each pair agree, some pairs at a time."""
    parts = [
        (left[left_rows[start : start + BLOCK]] == right[right_rows[start : start + BLOCK]]).sum(axis=1)
        for start in range(0, len(left_rows), BLOCK)
    ]
    return np.concatenate(parts or [np.zeros(0, np.int64)])


def _signatures(sets: ShingleSets) -> Array:
    """Return MinHash signatures (uint32, (rows, PERMUTATIONS))."""
    from rensa import RMinHash

    if not len(sets):
        return np.zeros((0, PERMUTATIONS), np.uint32)
    offsets = sets.offsets.astype(np.uint64)
    made = RMinHash.digest_matrix_from_flat_token_hashes(sets.flat, offsets, PERMUTATIONS, SEED)
    return np.array(made.to_rows(), dtype=np.uint32)


def _bands(signatures: Array) -> Iterator[Array]:
    """Yield one hash a row for each band (uint64, (rows,))."""
    for band in range(BANDS):
        columns = signatures[:, band * BAND_ROWS : (band + 1) * BAND_ROWS]
        yield hashed(key_of("band", band), *columns.T)


def _ranges(ascending: Array, values: Array) -> tuple[Array, Array]:
    """Return every (place in values, place in ascending) with equal values."""
    start = np.searchsorted(ascending, values, "left")
    lengths = np.searchsorted(ascending, values, "right") - start
    return np.repeat(np.arange(len(values)), lengths), ragged(start, lengths)


def _template(splits: list[ShingleSets]) -> Array:
    """Return the hashes that stand in many rows of any split (ascending)."""
    found = [_common(sets.flat, len(sets)) for sets in splits]
    return np.unique(np.concatenate(found or [np.zeros(0, np.uint64)]))


def _common(values: Array, rows: int) -> Array:
    distinct, counts = np.unique(values, return_counts=True)
    found: Array = distinct[(counts >= TEMPLATE_ROWS) & (counts > TEMPLATE_SHARE * rows)]
    return found


def _joined(parts: list[Texts]) -> Texts:
    def flat(name: str, kind: type) -> Array:
        return np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0, kind)])

    return Texts(
        rows=flat("rows", np.int64),
        keys=flat("keys", np.uint64),
        text_keys=flat("text_keys", np.uint64),
        sets=ShingleSets.joined([part.sets for part in parts]),
        words=flat("words", np.int64),
        shown=pa.concat_arrays([part.shown for part in parts]) if parts else pa.array([], pa.string()),
    )
