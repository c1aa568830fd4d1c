"""Do the rows say what the recipe says? Figures of a task's canonical rows, and the faults that follow from them.

Types cannot tell that an answer is always the first, that labels contradict each other or that a test row stands in
train. All of it is counted here in one pass over the rows in memory: shares and counts only, so that the figures of a
whole catalog can be published without any of its texts. A threshold turns a figure into a fault; a fault that the data
set itself has is not mended by a recipe, and is then listed by name in `recipes/catalog/known_faults.jsonl`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from taskloom.data.source import RawTask
from taskloom.data.standardize import EXPECTED, CanonicalTask
from taskloom.recipes.check import Fault
from taskloom.recipes.recipe import Held

FORBIDDEN = ("label_out_of_range", "answer_not_in_choices", "length_mismatch", "score_out_of_range")
"""Reasons that a right recipe never meets: one row is a fault."""
UNUSED, DUPLICATES, CONTRADICTIONS, SHARED = 0.01, 0.05, 0.01, 0.01
"""Shares of a split's rows above which it is a fault: unusable for another reason, the same text and label as an
earlier row, an earlier row's text with another label, and a text that stands in an earlier split too."""
TELLING, CERTAIN, ENOUGH = 0.10, 5.0, 50
"""The right answer's place tells something when one place has this share of rows more than chance gives it, this many
standard deviations above chance; in splits of fewer rows nothing is concluded from places or from a constant label."""


@dataclass(frozen=True)
class SplitStats:
    """Figures of one split; all are numbers of rows unless said otherwise.

    `unused` counts by reason. `duplicates` have the text and label of an earlier row, `contradictions` the text of an
    earlier row and another label. `also_in` counts rows whose text stands in an earlier split. `labels` are rows by
    label (a multilabel row counts once for each of its labels, a tagged row once for each word), or by place of the
    right answer. `chance` is how many rows each place would have if places told nothing. `scores` are lowest, median
    and highest. `characters` are median, 95th percentile and highest of a row's whole text.
    """

    rows: int
    unused: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    contradictions: int = 0
    also_in: dict[str, int] = field(default_factory=dict)
    labels: tuple[int, ...] = ()
    chance: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    characters: tuple[int, ...] = ()


@dataclass(frozen=True)
class TaskStats:
    """Figures of a task's splits by role, the names of its labels, and what its rows were read from."""

    task: str
    where: str
    labels: tuple[str, ...]
    splits: dict[str, SplitStats]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready line for `stats.jsonl`; what is empty is left out."""
        splits = {role: {name: part for name, part in asdict(one).items() if part} for role, one in self.splits.items()}
        line = {"task": self.task, "where": self.where, "labels": list(self.labels), "splits": splits}
        return {name: part for name, part in line.items() if part}


def examine(raw: RawTask, canonical: CanonicalTask) -> tuple[TaskStats, tuple[Fault, ...]]:
    """Return the figures of a task's rows and its faults; a split that the source lacks is neither."""
    seen: dict[str, pa.Array] = {}
    splits = {}
    for role, table in canonical.splits.items():
        texts = row_texts(table)
        splits[role] = _split_stats(canonical, role, table, texts, seen)
        seen[role] = texts
    stats = TaskStats(canonical.task.versioned, raw.where, canonical.labels, splits)
    return stats, tuple(_faults(raw, canonical, stats))


def row_texts(table: pa.Table) -> pa.Array:
    """Return what a row shows as one text: text and pair, prompt and choices in any order, or its words."""
    if "tokens" in table.column_names:
        return pc.binary_join(_whole(table["tokens"]), " ")
    if "choices" in table.column_names:
        ordered = [sorted(choices) for choices in table["choices"].to_pylist()]
        joined = pc.binary_join(pa.array(ordered, pa.list_(pa.string())), "\n")
        return pc.binary_join_element_wise(_whole(table["prompt"]), joined, "\n")
    return pc.binary_join_element_wise(_whole(table["text"]), pc.fill_null(_whole(table["pair"]), ""), "\n")


def _whole(values: pa.ChunkedArray) -> pa.Array:
    found = values.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks or [pa.array([], values.type)])


def _split_stats(
    canonical: CanonicalTask, role: str, table: pa.Table, texts: pa.Array, seen: dict[str, pa.Array]
) -> SplitStats:
    places = texts.dictionary_encode().indices.to_numpy()
    firsts = np.unique(places, return_index=True)[1][places]
    answers = np.array(_answers(table), dtype=object)
    repeated = firsts != np.arange(len(places))
    same = answers == answers[firsts]
    also_in = {other: int(pc.sum(pc.is_in(texts, value_set=others)).as_py() or 0) for other, others in seen.items()}
    labels, chance = _label_counts(canonical, table)
    scores = _quantiles(table["score"].to_numpy(), (0, 50, 100)) if "score" in table.column_names else ()
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    return SplitStats(
        rows=len(table),
        unused=canonical.unused[role],
        duplicates=int((repeated & same).sum()),
        contradictions=int((repeated & ~same).sum()),
        also_in={other: count for other, count in also_in.items() if count},
        labels=labels,
        chance=chance,
        scores=tuple(round(score, 4) for score in scores),
        characters=tuple(map(int, _quantiles(lengths, (50, 95, 100)))),
    )


def _quantiles(values: NDArray[Any], percents: tuple[int, ...]) -> tuple[float, ...]:
    """The values themselves, never something between two of them."""
    return tuple(float(value) for value in np.percentile(values, percents, method="lower"))


def _answers(table: pa.Table) -> list[Any]:
    """Return what the right answer of each row is: the choice's text, the label, the set of labels, the score."""
    if "choices" in table.column_names:
        rows = zip(table["choices"].to_pylist(), table["label"].to_pylist(), strict=True)
        return [choices[label] if 0 <= label < len(choices) else label for choices, label in rows]
    name = next(name for name in ("label", "labels", "score") if name in table.column_names)
    values = table[name].to_pylist()
    return [str(value) for value in values] if name == "labels" else values


def _label_counts(canonical: CanonicalTask, table: pa.Table) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return rows by label or by place of the right answer, and what chance gives each place."""
    if "score" in table.column_names:
        return (), ()
    if "choices" not in table.column_names:
        return tuple(np.bincount(np.clip(_label_ids(table), 0, None), minlength=len(canonical.labels)).tolist()), ()
    sizes = pc.list_value_length(_whole(table["choices"])).to_numpy(zero_copy_only=False)
    widest = int(sizes.max(initial=0))
    chance = [float((1 / sizes[sizes > place]).sum()) for place in range(widest)]
    found = np.bincount(np.clip(table["label"].to_numpy(), 0, None), minlength=widest)
    return tuple(found.tolist()), tuple(round(share, 1) for share in chance)


def _faults(raw: RawTask, canonical: CanonicalTask, stats: TaskStats) -> Iterator[Fault]:
    task = canonical.task
    for role, declared in task.splits.roles().items():
        source = declared.of if isinstance(declared, Held) else declared
        if role in stats.splits:
            one = stats.splits[role]
            table = canonical.splits[role]
            for check in (_out_of_place(canonical, table), _unused(one), _repeated(one), _giveaways(one, table)):
                yield from (Fault(task.id, f"{role}: {name}", f"{role}: {message}") for name, message in check)
        elif source in raw.splits and len(raw.splits[source]):
            reasons = ", ".join(f"{count} {reason}" for reason, count in canonical.unused.get(role, {}).items())
            yield Fault(task.id, f"{role}: no usable row", f"{role}: no row can be used ({reasons}).")


Found = Iterator[tuple[str, str]]


def _out_of_place(canonical: CanonicalTask, table: pa.Table) -> Found:
    """What standardizing promises, asked of the rows once more: labels that exist, answers among the choices, texts."""
    columns = set(table.column_names)
    if "choices" in columns:
        sizes, top = pc.list_value_length(_whole(table["choices"])).to_numpy(zero_copy_only=False), "choices"
        labels = table["label"].to_numpy()
    else:
        labels = np.zeros(0) if "score" in columns else _label_ids(table)
        sizes, top = np.full(len(labels), len(canonical.labels)), "labels"
    wrong = int(((labels < 0) | (labels >= sizes)).sum())
    if wrong:
        yield f"answer beyond {top}", f"{wrong} answers lie beyond the {top}."
    empty = sum(_blank(table[name]) for name in ("text", "pair") if name in columns)
    empty += _blank(_whole(table["choices"]).flatten()) if "choices" in columns else 0
    empty += int(pc.sum(pc.equal(pc.list_value_length(table["tokens"]), 0)).as_py() or 0) if "tokens" in columns else 0
    if empty:
        yield "empty text", f"{empty} texts, choices or lists of words are empty."


def _blank(values: pa.Array | pa.ChunkedArray) -> int:
    """Count blank texts; a missing pair is none."""
    return int(pc.sum(pc.equal(pc.utf8_trim_whitespace(values), "")).as_py() or 0)


def _label_ids(table: pa.Table) -> NDArray[np.int64]:
    """The ids of all labels, those of a row's words or of its several labels one after the other."""
    values = _whole(table["label"]) if "label" in table.column_names else _whole(table["labels"]).flatten()
    return np.asarray(values.to_numpy(zero_copy_only=False), np.int64)


def _unused(one: SplitStats) -> Found:
    rows = one.rows + sum(one.unused.values())
    for reason, count in one.unused.items():
        if reason in FORBIDDEN or (reason not in EXPECTED and count > UNUSED * rows):
            yield reason, f"{count} of {rows} rows cannot be used: {reason}."


def _repeated(one: SplitStats) -> Found:
    counts = {"duplicates": (one.duplicates, DUPLICATES), "contradictions": (one.contradictions, CONTRADICTIONS)}
    counts |= {f"also in {other}": (count, SHARED) for other, count in one.also_in.items()}
    for name, (count, limit) in counts.items():
        if count > limit * one.rows:
            yield name, f"{count} of {one.rows} rows: {name} ({count / one.rows:.1%})."


def _giveaways(one: SplitStats, table: pa.Table) -> Found:
    """An answer that needs no reading: always the same, or told by its place."""
    if one.rows < ENOUGH:
        return
    if one.chance:
        for place, (found, chance) in enumerate(zip(one.labels, one.chance, strict=True)):
            spread = math.sqrt(max(chance * (1 - chance / one.rows), 1e-9))
            if found - chance > max(TELLING * one.rows, CERTAIN * spread):
                told = f"the right answer is number {place + 1} in {found} of {one.rows} rows, {chance:.0f} by chance."
                yield "telling place", told
    elif len(Counter(map(str, _answers(table)))) == 1:
        yield "constant label", f"all {one.rows} rows have the same answer."
