"""Duplicates among made rows: what is found, what is not, and that similarity is counted and not estimated."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.data.overlap import CHUNK, Found, OverlapIndex
from taskloom.data.shingles import jaccard, normalized, texts_of

NONE = np.zeros(0, np.uint64)
PLAIN = (
    "the old ferry left the northern harbor before dawn while two tired sailors were still loading crates of oranges "
    "for markets"
)


def texts(*rows: str | tuple[str, str]) -> pa.Table:
    """Return classification rows: a text, or a text and its pair."""
    parts = [(row, None) if isinstance(row, str) else row for row in rows]
    columns = [pa.array(list(column), pa.string()) for column in zip(*parts, strict=True)]
    return pa.table({"text": columns[0], "pair": columns[1], "row": pa.array(range(len(rows)), pa.int64())})


def choices(*rows: tuple[str, list[str]]) -> pa.Table:
    """Return choice rows."""
    return pa.table(
        {
            "prompt": [prompt for prompt, _ in rows],
            "choices": [options for _, options in rows],
            "row": list(range(len(rows))),
        }
    )


def tokens(*rows: list[str]) -> pa.Table:
    """Return tagged sentences."""
    return pa.table({"tokens": list(rows), "row": list(range(len(rows)))})


def search(train: pa.Table, evaluated: pa.Table, *, in_run: bool = True) -> Found:
    """Return what one table shares with another."""
    index = OverlapIndex()
    index.add("other/task", "test", evaluated, in_run=in_run)
    index.finish()
    return index.search("own/task", [train])


def counts(found: Found) -> tuple[int, int, int, int]:
    """Return exact, near, same_text and touched of the only pair of tasks, zeros where there is none."""
    if not found.overlaps:
        return 0, 0, 0, 0
    (one,) = found.overlaps
    return one.exact, one.near, one.same_text, one.touched


@pytest.mark.parametrize(
    ("train", "evaluated"),
    [
        ("The cat sat.", "the  CAT sat"),
        ("“Don't stop!”", "don’t stop"),
        ("ａ full-width text", "a full width text"),
        (("A man sleeps.", "He is awake."), ("a man sleeps", "he is awake")),
    ],
)
def test_case_blanks_and_punctuation_do_not_matter(train: str, evaluated: str) -> None:
    """Rows that differ in these alone are exact duplicates, and one evaluation row is touched."""
    found = search(texts(train), texts(evaluated))
    assert counts(found) == (1, 0, 0, 1)
    assert found.overlaps[0].touched_share == 1


@pytest.mark.parametrize(
    ("train", "evaluated"),
    [
        ("what is 3 - 5 then", "what is 3 + 5 then"),
        ("what is 3 - 5 then", "what is 3 5 then"),
        ("it costs 1.5 now", "it costs 15 now"),
        (":)", ":("),
        ("", "?"),
        (("a man sleeps", "he rests"), "a man sleeps he rests"),
        (("a man sleeps", "he rests"), ("a man", "sleeps he rests")),
        ("no shared words", "completely different sentence"),
    ],
)
def test_signs_and_the_border_of_texts_matter(train: str, evaluated: str) -> None:
    """Other arithmetic, other smileys and texts divided elsewhere are other rows."""
    assert counts(search(texts(train), texts(evaluated))) == (0, 0, 0, 0)


def test_one_word_changed_in_twenty_is_near() -> None:
    """It is found, with its true similarity: 36 of 42 words and pairs of words are shared; two in twenty are not."""
    words = [f"word{number}" for number in range(20)]
    one = [*words[:9], "changed", *words[10:]]
    two = [*one[:14], "again", *one[15:]]
    found = search(texts(" ".join(one), " ".join(two)), texts(" ".join(words)))
    assert counts(found) == (0, 1, 0, 1)
    example = found.overlaps[0].example
    assert example is not None
    assert (example.train_row, example.evaluation_row, example.similarity) == (0, 0, round(36 / 42, 4))
    assert found.leaked.tolist() == [0]


def test_both_parts_must_be_alike() -> None:
    """The same long premise with another hypothesis is the same text and another row."""
    train = texts((PLAIN, "The ferry was late."), (PLAIN.replace("dawn", "noon"), "The ferry was late."))
    found = search(train, texts((PLAIN, "Nobody loaded any fruit.")))
    assert counts(found) == (0, 0, 1, 0)
    assert found.leaked.tolist() == []


def test_a_shared_template_is_no_duplicate() -> None:
    """Questions about different things in the same 22 words are not flagged; a template row that is equal is."""
    template = (
        "Read the word and both of the sentences below and then say whether the word {} has the same sense in each"
    )
    evaluated = texts(*(template.format(f"noun{number}") for number in range(40)))
    train = texts(*(template.format(f"noun{number}") for number in range(39, 80)))
    plain_similarity = jaccard(texts_of(train.slice(1, 1)).sets, texts_of(evaluated.slice(0, 1)).sets, NONE)
    assert plain_similarity[0] >= 0.8
    found = search(train, evaluated)
    assert counts(found) == (1, 0, 0, 1)
    assert found.leaked.tolist() == [0]


def test_the_order_of_choices_does_not_matter() -> None:
    """Options in another order are the same row, another option is not; the prompt alone is the same text."""
    question = "Where do people keep milk at home?"
    train = choices((question, ["fridge", "in a box", "shed"]), (question, ["fridge", "attic", "shed"]))
    found = search(train, choices((question, ["Shed", "fridge", "in a box"])))
    assert counts(found) == (1, 0, 1, 1)
    assert found.leaked.tolist() == [0]


def test_kinds_are_compared_with_each_other() -> None:
    """A tagged sentence is the text of its words, and a short prompt without choices in common is none."""
    found = search(texts("Mary lives in New York ."), tokens(["Mary", "lives", "in", "New", "York", "."]))
    assert counts(found) == (1, 0, 0, 1)
    assert counts(search(choices(("Mary lives in New York", ["yes", "no"])), texts("Mary lives in New York"))) == (
        0, 0, 1, 0,
    )  # fmt: skip


def test_rows_count_once_and_touched_rows_as_often_as_they_stand_there() -> None:
    """Two equal evaluation rows are both touched by three equal train rows; shares are of all evaluation rows."""
    found = search(texts(PLAIN, PLAIN, PLAIN, "else what is there"), texts(PLAIN, PLAIN, "nothing of the kind"))
    assert counts(found) == (3, 0, 0, 2)
    assert found.overlaps[0].touched_share == pytest.approx(2 / 3)
    assert found.overlaps[0].train_rows == 4
    assert found.leaked.tolist() == [0, 1, 2]


def test_short_rows_are_reported_and_stay() -> None:
    """Two words of thanks are told and not left out; three words are."""
    found = search(texts("Thank you!", "Thank you all"), texts("thank you", "thank you all"))
    assert counts(found) == (2, 0, 0, 2)
    assert found.overlaps[0].short == 1
    assert found.leaked.tolist() == [1]


def test_what_the_run_does_not_evaluate_is_only_reported() -> None:
    """Duplicates of a benchmark beside the run are counted and stay in training."""
    found = search(texts(PLAIN), texts(PLAIN), in_run=False)
    assert counts(found) == (1, 0, 0, 1)
    assert found.leaked.tolist() == []


def test_splits_are_told_apart_and_chunks_are_not() -> None:
    """Each split has its own counts, and rows beyond the first chunk are found on both sides."""
    many = [f"row {number} of a long table about {number * 7} things" for number in range(CHUNK + 50)]
    index = OverlapIndex()
    index.add("a", "validation", texts(*many))
    index.add("b", "test", texts(PLAIN))
    index.finish()
    found = index.search("own", [texts(*many[: CHUNK + 1], PLAIN.replace("dawn", "noon"))])
    assert [(one.evaluated.task, one.exact, one.near, one.touched) for one in found.overlaps] == [
        ("a", CHUNK + 1, 0, CHUNK + 1),
        ("b", 0, 1, 1),
    ]


def test_empty_tables_and_an_empty_index() -> None:
    """Nothing against something, and something against nothing, is nothing."""
    assert counts(search(texts(PLAIN).slice(0, 0), texts(PLAIN))) == (0, 0, 0, 0)
    assert counts(search(texts(PLAIN), texts(PLAIN).slice(0, 0))) == (0, 0, 0, 0)


def test_slices_are_read_from_their_beginning() -> None:
    """A slice of choice rows or sentences has its own rows' texts, not those of the table that it was cut from."""
    table = choices(("first", ["a b", "c d"]), ("second", ["e f", "g h"]))
    assert texts_of(table.slice(1, 1)).shown.to_pylist() == ["second ‖ e f | g h"]
    assert texts_of(tokens(["a"], ["b", "c"]).slice(1, 1)).shown.to_pylist() == ["b c"]


def shingles(row: tuple[str, str], part: int) -> set[tuple[str, ...]]:
    """The definition, in plain words: words and pairs of neighboring words of one part."""
    words = row[part].split()
    return {(word,) for word in words} | set(pairwise(words))


def similarity(left: tuple[str, str], right: tuple[str, str]) -> float:
    """Brute force: the smallest of both parts' and the whole rows' Jaccard similarity."""
    sides = [[{(part, *one) for one in shingles(row, part)} for part in (0, 1)] for row in (left, right)]
    pairs = [(sides[0][part], sides[1][part]) for part in (0, 1)]
    whole = sides[0][0] | sides[0][1], sides[1][0] | sides[1][1]
    parts = [len(one & other) / len(one | other) if one | other else 1.0 for one, other in pairs]
    return min(*parts, len(whole[0] & whole[1]) / len(whole[0] | whole[1]) if whole[0] | whole[1] else 0.0)


WORD = st.sampled_from("ash birch cedar elm fir oak pine rowan yew willow".split())
PART = st.lists(WORD, max_size=12).map(" ".join)
ROW = st.tuples(PART, PART)


@given(st.lists(st.tuples(ROW, ROW), min_size=1, max_size=8))
@settings(deadline=None, max_examples=150)
def test_similarity_equals_brute_force(pairs: list[tuple[tuple[str, str], tuple[str, str]]]) -> None:
    """The counted similarity of any two rows is the one that sets in Python give."""
    left, right = (texts_of(texts(*side)) for side in zip(*pairs, strict=True))
    expected = [similarity(one, other) for one, other in pairs]
    assert jaccard(left.sets, right.sets, NONE) == pytest.approx(expected)


def edited(words: list[str], edits: list[tuple[int, str]]) -> list[str]:
    """Return words with some of them replaced."""
    made = list(words)
    for place, word in edits:
        made[place % len(made)] = word
    return made


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 39), WORD), max_size=4), st.integers(20, 40))
@settings(deadline=None, max_examples=60)
def test_near_rows_are_those_over_the_threshold(seed: int, edits: list[tuple[int, str]], length: int) -> None:
    """Nothing below the threshold is called near, and nothing at 0.9 or more is missed."""
    draw = random.Random(seed)
    rows = [[f"w{draw.randrange(500)}" for _ in range(length)] for _ in range(8)]
    train = [edited(row, edits) for row in rows]
    index = OverlapIndex()
    index.add("a", "test", texts(*map(" ".join, rows)))
    index.finish()
    sides = [[(" ".join(row), "") for row in side] for side in (train, rows)]
    found = index.near(texts_of(texts(*(text for text, _ in sides[0]))))
    near = {(int(row), int(index.entries.rows[entry])) for row, entry, _ in zip(*found, strict=True)}
    true = {(i, j): similarity(left, right) for i, left in enumerate(sides[0]) for j, right in enumerate(sides[1])}
    assert all(true[pair] >= 0.8 for pair in near)
    assert {pair for pair, alike in true.items() if 0.9 <= alike < 1} <= near


def test_few_pairs_at_the_threshold_are_missed() -> None:
    """Of 2,000 pairs between 0.8 and 0.9, the estimate loses fewer than one in a hundred."""
    draw = random.Random(3)
    rows = [[f"w{draw.randrange(10**6)}" for _ in range(44)] for _ in range(2000)]
    train = [edited(row, [(5, "x"), (20, "y"), (30, "z")]) for row in rows]
    index = OverlapIndex()
    index.add("a", "test", texts(*map(" ".join, rows)))
    index.finish()
    found = index.search("own", [texts(*map(" ".join, train))])
    assert 0.8 <= similarity((" ".join(rows[0]), ""), (" ".join(train[0]), "")) < 0.9
    assert found.overlaps[0].near >= 1980


def test_scripts_without_blanks_are_split_into_letters() -> None:
    """A Chinese sentence has as many words as letters, so one changed letter is one changed word."""
    assert normalized(pa.array(["我喜欢猫。"])).to_pylist() == ["我 喜 欢 猫"]
