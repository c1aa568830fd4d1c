"""Recasts: what every recast row has to keep, whatever labels, order and pieces; and what is refused."""

from __future__ import annotations

import re
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskloom.data import recast as module
from taskloom.data.kept import kept_rows
from taskloom.data.label_options import MOST_CHOICES, MOST_OPTIONS
from taskloom.data.recast import HYPOTHESES, canonical_rows, recast
from taskloom.data.source import RawTask
from taskloom.data.standardize import CanonicalTask, to_dataset_dict
from taskloom.errors import DataError, RecastError
from taskloom.recipes.generators.base import NLI_LABELS
from taskloom.recipes.recasts import recast_task
from taskloom.recipes.recipe import RECASTS, Classification, Hub, Multilabel, Splits, Task

NAMES = ("joy", "deep anger", "cold anger", "fear_of_loss", "surprise", "other")
SAID = ("joy", "deep anger", "cold anger", "fear of loss", "surprise")
ENTAILED = NLI_LABELS.index("entailment")
Rows = list[tuple[int, str, Any]]


def base(*, several: bool = False, question: str = "Which feeling is it?", pair: bool = False) -> Task:
    """A classification or multilabel task; its rows are made here and never read."""
    fields = {"text": "t", "pair": "p" if pair else None}
    kind = Multilabel(labels="l", **fields) if several else Classification(label="l", **fields)
    splits = Splits(train="train", validation="validation")
    return Task(id="own/feelings", source=Hub("a/b"), kind=kind, splits=splits, family="emotion", question=question)


def table(rows: Rows, *, several: bool = False, pairs: list[str] | None = None) -> pa.Table:
    """Canonical rows out of (row, text, label or labels)."""
    label = pa.list_(pa.int32()) if several else pa.int32()
    return pa.table({
        "text": pa.array([text for _, text, _ in rows], pa.string()),
        "pair": pa.array(pairs or [None] * len(rows), pa.string()),
        "labels" if several else "label": pa.array([answer for _, _, answer in rows], label),
        "row": pa.array([row for row, _, _ in rows], pa.int64()),
    })  # fmt: skip


def made(form: str, rows: Rows, *, names: tuple[str, ...] = NAMES, several: bool = False, **more: Any) -> CanonicalTask:
    """Return the recast of train rows, and of validation rows where given."""
    given = {"train": rows} | {name: more.pop(name) for name in ("validation",) if name in more}
    task = base(several=several)
    splits = {name: table(part, several=several) for name, part in given.items()}
    return recast(recast_task(task, form), CanonicalTask(task, names, splits, "f"), **more)


def asked(hypothesis: str) -> str:
    """Return the label that a hypothesis names."""
    found = {
        hypothesis[len(before) : -len(after)]
        for before, after in HYPOTHESES
        if hypothesis.startswith(before) and hypothesis.endswith(after)
    }
    (name,) = found & set(SAID)
    return name


properties = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
texts = st.sampled_from(["a quiet day", "no JOY, only anger", "fear of loss and surprise", "deep anger it is"])
single = st.integers(0, len(NAMES) - 1)
multiple = st.lists(single, max_size=len(NAMES) + 1)


@st.composite
def datasets(draw: st.DrawFn) -> tuple[bool, Rows]:
    """Rows with different numbers in any order, of a single or several labels, that hold two labels at least."""
    several = draw(st.booleans())
    numbers = draw(st.lists(st.integers(0, 10_000), min_size=2, max_size=40, unique=True))
    rows = [(number, draw(texts), draw(multiple if several else single)) for number in numbers]
    return several, [(rows[0][0], "joyful", [0] if several else 0), *rows[1:]]


def golds(rows: Rows, several: bool) -> dict[int, set[str]]:
    """Return the right labels of each row in plain words; the last name has none."""
    said = {row: answer if several else [answer] for row, _, answer in rows}
    return {row: {SAID[one] for one in answers if one < len(SAID)} for row, answers in said.items()}


@properties
@given(datasets())
def test_label_nli_entails_right_labels_and_contradicts_wrong_ones(data: tuple[bool, Rows]) -> None:
    """Each usable row gives one entailed label of its own and one contradicted of others, in the same words."""
    several, rows = data
    found = made("label-nli", rows, several=several)
    right, given_texts = golds(rows, several), {row: text for row, text, _ in rows}
    usable = [row for row, _, _ in rows if 0 < len(right[row]) < len(SAID)]
    lines = found.splits["train"].to_pylist()
    assert [line["row"] for line in lines] == [row for row in usable for _ in range(2)]
    for line in lines:
        assert line["text"] == given_texts[line["row"]]
        assert (asked(line["pair"]) in right[line["row"]]) == (line["label"] == ENTAILED)
    assert {NLI_LABELS[line["label"]] for line in lines} == {"entailment", "contradiction"}
    assert sum(line["label"] == ENTAILED for line in lines) * 2 == len(lines)
    for one, other in zip(lines[::2], lines[1::2], strict=True):
        words = [line["pair"].replace(asked(line["pair"]), "{}") for line in (one, other)]
        assert words[0] == words[1]
    assert sum(found.unused["train"].values()) == len(rows) - len(usable)


@properties
@given(datasets(), st.sampled_from(["multiple-choice", "instruction"]))
def test_choices_are_label_names_with_one_right_one(data: tuple[bool, Rows], form: str) -> None:
    """The choices are the right label and all wrong ones, once each; other right labels are not among them."""
    several, rows = data
    right = golds(rows, several)
    for line in made(form, rows, several=several).splits["train"].to_pylist():
        choices, gold = line["choices"], right[line["row"]]
        assert choices[line["label"]] in gold
        assert sorted([*choices, *gold - {choices[line["label"]]}]) == sorted(SAID)
        if form == "instruction":
            assert ", ".join(choices) in line["prompt"]
        assert "Which feeling is it?" in line["prompt"]


@properties
@given(datasets())
def test_one_pass_says_of_each_option_whether_it_fits(data: tuple[bool, Rows]) -> None:
    """Options are labels, once each; all right ones are among them and fit, or none is there and nothing fits."""
    several, rows = data
    right, given_texts = golds(rows, several), {row: text for row, text, _ in rows}
    for line in made("one-pass", rows, several=several).splits["train"].to_pylist():
        options, gold = line["tokens"], right[line["row"]]
        assert len(set(options)) == len(options) >= 1
        assert set(options) <= set(SAID)
        assert line["text"] == given_texts[line["row"]]
        fitting = {option for option, fits in zip(options, line["labels"], strict=True) if fits}
        assert fitting == gold & set(options)
        assert fitting in (gold, set()) or len(gold) > len(options) - 1


@properties
@given(datasets(), st.sampled_from(RECASTS), st.integers(1, 7), st.randoms(use_true_random=False))
def test_neither_order_nor_pieces_matter(data: tuple[bool, Rows], form: str, piece: int, random: Any) -> None:
    """The same rows in another order, cut into other pieces, are turned into the same rows."""
    several, rows = data
    whole = made(form, rows, several=several).splits["train"].to_pylist()
    shuffled = list(rows)
    random.shuffle(shuffled)
    with mock.patch.object(module, "PIECE_ROWS", piece):
        again = made(form, shuffled, several=several).splits["train"].to_pylist()

    def key(line: dict[str, Any]) -> str:
        return str(sorted(line.items()))

    assert sorted(again, key=key) == sorted(whole, key=key)


@pytest.mark.parametrize("form", RECASTS)
@pytest.mark.parametrize("several", [False, True])
def test_chunked_and_sliced_tables_are_read_alike(form: str, several: bool) -> None:
    """A table of several chunks, or a slice out of a longer one, gives what a fresh table gives."""
    rows: Rows = [(n, f"text {n}", [n % 5] if several else n % 5) for n in range(30)]
    task = base(several=several)
    fresh = table(rows[10:], several=several)
    chunked = pa.concat_tables([fresh.slice(0, 7), fresh.slice(7)])
    sliced = table(rows, several=several).slice(10)
    results = [
        recast(recast_task(task, form), CanonicalTask(task, NAMES, {"train": one}, "f")).splits["train"].to_pylist()
        for one in (fresh, chunked, sliced)
    ]
    assert results[0] == results[1] == results[2]


PINNED = [
    "This example is joy.",
    "This example is cold anger.",
    "It is best described as deep anger.",
    "It is best described as cold anger.",
    "This example is cold anger.",
    "This example is deep anger.",
    "This example is fear of loss.",
    "This example is cold anger.",
]


def test_these_rows_stay_these_rows() -> None:
    """The draws are what they were when this was written: another value is another RECAST_VERSION."""
    lines = made("label-nli", [(n, f"text {n}", n % 5) for n in range(4)]).splits["train"].to_pylist()
    assert [line["pair"] for line in lines] == PINNED


@pytest.mark.parametrize("form", RECASTS)
def test_a_capped_recast_is_what_the_store_would_keep(form: str) -> None:
    """Making only max_rows train rows gives the rows that a cap of all recast rows gives; other splits stay whole."""
    rows: Rows = [(n, f"text {n}", n % 5) for n in range(200)]
    whole = made(form, rows, validation=rows[:50]).splits
    capped = made(form, rows, validation=rows[:50], max_rows=60).splits
    kept = kept_rows(f"own/feelings+{form}", whole["train"]["row"].to_numpy(), 60)
    assert capped["train"].to_pylist() == whole["train"].take(kept).to_pylist()
    assert len(capped["train"]) == 60
    assert capped["validation"].equals(whole["validation"])


def test_pair_stands_below_the_text_and_weights_go_along() -> None:
    """A pair becomes the second line; both rows of one keep its weight."""
    task = base(pair=True)
    one = table([(7, "first", 0), (8, "alone", 1)], pairs=["second", None])  # type: ignore[list-item]
    one = one.append_column("weight", pa.array([0.5, 2.0], pa.float32()))
    found = recast(recast_task(task, "label-nli"), CanonicalTask(task, NAMES, {"train": one}, "f")).splits["train"]
    assert found["text"].to_pylist() == ["first\nsecond"] * 2 + ["alone"] * 2
    assert found["weight"].to_pylist() == [0.5, 0.5, 2.0, 2.0]


def test_hard_labels_are_drawn_more_often() -> None:
    """With equal counts, a label that shares a word with the right one, or is named in the text, comes 4 to 1."""
    rows: Rows = [(n, "plain", n % 5) for n in range(5000)]
    lines = made("label-nli", rows).splits["train"].to_pylist()[1::2]
    wrong = [asked(line["pair"]) for line in lines if line["row"] % 5 == 1]  # deep anger
    assert wrong.count("cold anger") / len(wrong) == pytest.approx(4 / 7, abs=0.05)
    named: Rows = [(n, "No SURPRISE here", n % 5) for n in range(5000)]
    lines = made("label-nli", named).splits["train"].to_pylist()[1::2]
    wrong = [asked(line["pair"]) for line in lines if line["row"] % 5 == 0]  # joy
    assert wrong.count("surprise") / len(wrong) == pytest.approx(4 / 7, abs=0.05)


def test_wrong_labels_are_as_frequent_as_right_ones() -> None:
    """With uneven labels, guessing from the hypothesis alone gets less than it would with wrong labels drawn evenly."""
    names, share = ("joy", "fear", "pride", "shame"), (50, 30, 15, 5)
    rows: Rows = [(n, "plain", int(np.searchsorted(np.cumsum(share), n % 100, side="right"))) for n in range(20_000)]
    lines = made("label-nli", rows, names=names).splits["train"].to_pylist()
    count: dict[str, list[int]] = {}
    for line in lines:
        name = next(name for name in names if name in line["pair"])
        count.setdefault(name, [0, 0])[line["label"] == ENTAILED] += 1
    guessed = sum(max(pair) for pair in count.values()) / len(lines)
    even = sum(max(n, (100 - n) / 3) for n in share) / 200
    assert even == pytest.approx(0.70)
    assert guessed < 0.54


def test_half_of_the_hypotheses_have_the_words_of_classify() -> None:
    """The template that `classify` asks with by default is the most frequent one; others occur too."""
    lines = made("label-nli", [(n, "plain", n % 5) for n in range(3000)]).splits["train"].to_pylist()
    words = [line["pair"].replace(asked(line["pair"]), "{}") for line in lines]
    assert words.count("This example is {}.") / len(words) == pytest.approx(0.5, abs=0.04)
    assert len(set(words)) == len(set(HYPOTHESES)) == 4


def test_the_place_of_the_right_choice_tells_nothing() -> None:
    """With more labels than choices, the right one is always there and stands anywhere."""
    names = tuple(f"kind of {word}" for word in (f"{a}{b}ta" for a in "bdfgklm" for b in "aeiou"))
    rows: Rows = [(n, "plain", n % len(names)) for n in range(7000)]
    lines = made("multiple-choice", rows, names=names).splits["train"].to_pylist()
    assert {len(line["choices"]) for line in lines} == {MOST_CHOICES}
    assert all(line["choices"][line["label"]] == names[line["row"] % len(names)] for line in lines)
    places = np.bincount([line["label"] for line in lines], minlength=MOST_CHOICES)
    assert np.abs(places / len(lines) - 1 / MOST_CHOICES).max() < 0.015
    assert len({choice for line in lines[:500] for choice in line["choices"]}) == len(names)


def test_the_place_and_number_of_options_tell_nothing() -> None:
    """One row in ten has no option that fits; else the right one stands anywhere, among 2 to MOST_OPTIONS labels."""
    names = tuple(f"kind of {word}" for word in (f"{a}{b}ta" for a in "bdfgklmn" for b in "aeiou"))
    rows: Rows = [(n, "plain", n % len(names)) for n in range(8000)]
    lines = made("one-pass", rows, names=names).splits["train"].to_pylist()
    sizes = np.array([len(line["tokens"]) for line in lines])
    assert (sizes.min(), sizes.max()) == (2, MOST_OPTIONS)
    assert np.bincount(sizes)[2:].min() > len(rows) / 31 * 0.75
    fitting = [line for line in lines if any(line["labels"])]
    assert len(fitting) / len(lines) == pytest.approx(0.9, abs=0.02)
    places = [(line["labels"].index(1), len(line["labels"])) for line in fitting]
    assert np.mean([(at + 0.5) / size for at, size in places]) == pytest.approx(0.5, abs=0.01)
    even = np.mean([1 / size for _, size in places])
    for end in (0, -1):
        assert np.mean([range(size)[end] == at for at, size in places]) == pytest.approx(even, abs=0.01)


def test_hard_options_come_more_often() -> None:
    """Of the labels that share a word with the right one more are offered than of the others."""
    names = ("deep anger", "cold anger", *(f"feeling{n}x" for n in range(18)))
    lines = made("one-pass", [(n, "plain", 0) for n in range(2000)], names=names).splits["train"].to_pylist()
    lines = [line for line in lines if any(line["labels"])]
    near = sum("cold anger" in line["tokens"] for line in lines)
    other = sum(option.startswith("feeling") for line in lines for option in line["tokens"]) / 18
    assert near > 1.4 * other


def test_the_question_stands_last_in_a_prompt() -> None:
    """A long prompt is cut at its beginning: question and options have to survive it."""
    rows: Rows = [(n, "plain words", n % 5) for n in range(40)]
    prompts = made("multiple-choice", rows).splits["train"]["prompt"].to_pylist()
    assert set(prompts) == {"plain words\nWhich feeling is it?"}
    for prompt in made("instruction", rows).splits["train"]["prompt"].to_pylist():
        assert prompt.index("plain words") < prompt.index("Which feeling is it?")
        assert re.search(r"joy.*", prompt.split("plain words")[1])


@pytest.mark.parametrize("form", RECASTS)
def test_both_splits_hold_the_same_labels(form: str) -> None:
    """Label names, and what they are worth as wrong ones, come from train and hold for validation too."""
    rows: Rows = [(n, "plain", n % 5) for n in range(50)]
    found = made(form, rows, validation=[(0, "plain", 0), (1, "plain", 0)])
    features = to_dataset_dict(found)
    assert features["train"].features == features["validation"].features
    same = made(form, rows, validation=rows)
    assert same.splits["train"].equals(same.splits["validation"])


def test_rows_that_cannot_be_said_are_counted_by_reason() -> None:
    """No label, a label without words, every label: each is counted, and standardizing's counts stay."""
    task = base(several=True)
    rows: Rows = [(0, "a", []), (1, "b", [5]), (2, "c", [0, 1, 2, 3, 4]), (3, "d", [0, 0, 5])]
    before = CanonicalTask(task, NAMES, {"train": table(rows, several=True)}, "f", {"train": {"empty_text": 2}})
    found = recast(recast_task(task, "label-nli"), before)
    assert found.unused["train"] == {"empty_text": 2, "no_label": 1, "label_without_words": 1, "every_label": 1}
    assert found.splits["train"]["row"].to_pylist() == [3, 3]


def test_a_split_without_usable_rows_is_missing() -> None:
    """A split whose labels all say nothing is listed as missing; if all are, it is an error that counts them."""
    found = made("label-nli", [(0, "a", 0), (1, "b", 1)], validation=[(0, "a", 5)])
    assert set(found.splits) == {"train"}
    assert found.missing_splits == ("validation",)
    with pytest.raises(DataError, match="label_without_words"):
        made("label-nli", [(0, "a", 5)])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("0", "1", "2"), "say nothing"),
        (("yes", "no"), "say nothing"),
        (("True", "False"), "say nothing"),
        (("LABEL_0", "LABEL_1"), "say nothing"),
        (("low", "medium", "high"), "say nothing"),
        (("spam", "other"), "say nothing"),
        (("A1", "B2", "C1"), "say nothing"),
        (("not_spam", "not spam", "spam"), "read 'not spam'"),
        (("entailment", "not_entailment"), "those of entailment"),
    ],
)
def test_labels_without_words_are_refused(names: tuple[str, ...], message: str) -> None:
    """Digits, yes and no, LABEL_0 and the like: the message names the labels and says what to do."""
    with pytest.raises(RecastError, match=message) as caught:
        made("label-nli", [(0, "a", 0), (1, "b", 1)], names=names)
    assert "own/feelings+label-nli" in str(caught.value)
    assert names[0] in str(caught.value)


def test_canonical_rows_turns_only_recasts() -> None:
    """Raw rows of a plain task are standardized, of its recast standardized and turned."""
    columns = {"t": ["good", "bad"], "l": ["joy", "fear"]}
    text = {"dtype": "string", "_type": "Value"}
    raw = RawTask({"train": pa.table(columns)}, {"t": text, "l": text}, "made", "f")
    task = base()
    assert len(canonical_rows(task, raw).splits["train"]) == 2
    found = canonical_rows(recast_task(task, "label-nli"), raw)
    assert found.labels == NLI_LABELS
    assert len(found.splits["train"]) == 4
