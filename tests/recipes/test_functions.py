"""The column functions: texts taken apart, and rows that cannot be."""

from __future__ import annotations

import pytest

from taskloom.errors import RecipeError
from taskloom.recipes.functions import FUNCTIONS, column_function, declared_type
from taskloom.recipes.schema import ListOf, Text


def apply(name: str, *row: object) -> object:
    """Return what a function makes of one row."""
    (value,) = column_function(name).call(*([part] for part in row))
    return value


@pytest.mark.parametrize(
    "name, row, expected",
    [
        ("lines_then_question", (["A: Hi.", "B: Bye."], "Who leaves?"), "A: Hi.\nB: Bye.\nWho leaves?"),
        ("documents_then_query", (["Oslo is in Norway."], "located_in oslo"),
         'Oslo is in Norway.\nWhat is the value of "located in" for oslo?'),
        ("picked", (1, "first", "second"), "second"),
        ("picked", (2, "first", "second"), None),
        ("picked", (-1, "first", "second"), None),
        ("marked_word", ("it is it", "it", 6), "it is *it*"),
        ("marked_word", ("it is it", "it", 5), None),
        ("marked_word", ("it is it", "it", -1), None),
        ("edited", ('" <System/> fails " today', "Toaster"), '" Toaster fails " today'),
        ("edited", ("Hour by \\1 <hour/> ", "\\1 day"), "Hour by \\1 \\1 day"),
        ("edited", ("no gap", "word"), None),
        ("edited", ("<two/> <gaps/>", "word"), None),
        ("unescaped", ('Rude.\\n\\nA \\""table\\"" outside.',), 'Rude.\n\nA "table" outside.'),
        ("unquoted", ('"a ""big"" fan"',), 'a "big" fan'),
        ("unquoted", ('"""okay,"""',), '"okay,"'),
        ("unquoted", ('"no," he said, "not now"',), '"no," he said, "not now"'),
        ("unquoted", ("plain",), "plain"),
        ("before_mark", ("He left a tip. [SEP] generous",), "He left a tip."),
        ("after_mark", ("He left a tip. [SEP] generous",), "generous"),
        ("before_mark", ("He left a tip.",), None),
        ("after_mark", ("He left a tip.",), None),
        ("first_question", ({"id": [1, 2], "text": ["Why?", "How?"]},), "Why?"),
        ("second_question", ({"id": [1, 2], "text": ["Why?", "How?"]},), "How?"),
        ("lettered_options", ("a ) 1 , b ) 2,500 , c ) none",), ["1", "2,500", "none"]),
        ("option_letters", ("a ) 1 , b ) 2,500 , c ) none",), ["a", "b", "c"]),
        ("lettered_options", ("a ) , b ) 2",), []),
        ("without_letters", (["A)5", "B) 6"],), ["5", "6"]),
        ("without_letters", (["A.yes", "B . no"],), ["yes", "no"]),
        ("without_letters", (["A. Smith", "C. Jones"],), ["A. Smith", "C. Jones"]),
        ("stem", ("Ice is (A) cold (B) hot",), "Ice is"),
        ("two_options", ("Ice is (A) cold (B) hot",), ["cold", "hot"]),
        ("stem", ("Ice is cold",), None),
        ("two_options", ("Ice is cold",), None),
        ("without_markers", ("[header] Tea [title] Boil water. [step] Pour.",), "Tea. Boil water. Pour."),
        ("endings", ("She", ["runs. [substeps] Far.", "sits."]), ["She runs. Far.", "She sits."]),
        ("endings", ("", ["runs.", "sits."]), ["runs.", "sits."]),
        ("dialogue", ("\n\nHuman: Hi\n\nAssistant: Yo", "\n\nHuman: Hi\n\nAssistant: No"), "Human: Hi\n\nAssistant:"),
        ("dialogue", ("\n\nHuman: Hi\n\nAssistant: Yo", "\n\nHuman: Ho\n\nAssistant: No"), None),
        ("dialogue", ("\n\nHuman: Hi\n\nAssistant: Yo", "\n\nHuman: Hi\n\nAssistant:"), None),
        ("dialogue", ("\n\nHuman: Hi\n\nAssistant: Yo", "\n\nHuman: Hi\n\nAssistant: Yo"), None),
        ("replies", ("\n\nHuman: Hi\n\nAssistant: Yo", "\n\nHuman: Hi\n\nAssistant: No"), ["Yo", "No"]),
    ],
)  # fmt: skip
def test_function(name: str, row: tuple[object, ...], expected: object) -> None:
    """Each function gives what its docstring says, and null or nothing for a row that it cannot read."""
    assert apply(name, *row) == expected


COLUMNS = {
    "lines_then_question": 2, "documents_then_query": 2, "picked": 3, "marked_word": 3, "edited": 2, "endings": 2,
    "dialogue": 2, "replies": 2,
}  # fmt: skip
"""How many columns a function takes, where it is not one."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_null_stays_null(name: str) -> None:
    """A null in any column makes the row unusable, not an error."""
    columns = COLUMNS.get(name, 1)
    assert apply(name, *[None] * columns) is None


def test_declared_types_and_unknown_names() -> None:
    """The type is known without a row; an unknown name is an error with the nearest known one."""
    assert declared_type("stem") == Text()
    assert declared_type("replies") == ListOf(Text())
    with pytest.raises(RecipeError, match="without_letters"):
        column_function("without_letter")
