"""Recorded schemas: found by old and new names, written and read back, and made from facts alone."""

from __future__ import annotations

import json
import runpy
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as some

from taskloom.recipes.recipe import Hub
from taskloom.recipes.recorded import (
    EVIDENCE,
    MIRROR,
    PUBLISHED,
    from_compact,
    recorded_for,
    recorded_schemas,
    to_compact,
)
from taskloom.recipes.schema import Boolean, Class, Integer, ListOf, Number, Record, Text

SCRIPT = Path(__file__).parents[2] / "docs" / "make_schemas.py"
NAMES = some.text(min_size=1, max_size=5)
PLAIN = some.sampled_from([Text(), Integer(), Number(), Boolean()]) | some.builds(
    Class, some.lists(NAMES, unique=True).map(tuple)
)
TYPES = some.recursive(
    PLAIN,
    lambda inner: (
        inner.map(ListOf) | some.dictionaries(NAMES, inner, max_size=3).map(lambda parts: Record(tuple(parts.items())))
    ),
    max_leaves=5,
)


@given(TYPES)
def test_a_type_survives_being_written(found: Any) -> None:
    """Whatever its nesting, a type comes back from JSON as it was."""
    assert from_compact(json.loads(json.dumps(to_compact(found)))) == found


@pytest.mark.parametrize(
    "repo, config, columns",
    [
        ("nyu-mll/glue", "cola", {"sentence", "label", "idx"}),
        ("glue", "cola", {"sentence", "label", "idx"}),
        ("facebook/anli", None, {"premise", "hypothesis", "label"}),
        ("MoE-UNC/wikihop", "default", {"supports", "candidates", "answer"}),
        ("wiki_hop", "original", {"supports", "candidates", "answer"}),
        ("somebody/species_800", None, {"tokens", "ner_tags"}),
    ],
)
def test_old_and_new_names_find_the_schema(repo: str, config: str | None, columns: set[str]) -> None:
    """Renamed repositories, renamed configurations and sets that got an owner since 2022 are all found."""
    found = recorded_for(Hub(repo, config), PUBLISHED)
    assert found is not None
    assert columns <= set(found.schema)


@pytest.mark.parametrize(
    "source, evidence",
    [
        (Hub("jaredfern/codah", "fold_0"), PUBLISHED),
        (Hub("nyu-mll/glue", "diagnostics"), PUBLISHED),
        (Hub("nyu-mll/glue"), PUBLISHED),
        (Hub("nobody/nothing"), PUBLISHED),
        (Hub("nobody/nothing"), MIRROR),
    ],
)
def test_what_is_not_recorded_is_not_guessed(source: Hub, evidence: str) -> None:
    """Another configuration's schema is no evidence, even where it is the only one of its repository."""
    assert recorded_for(source, evidence) is None


def test_every_line_says_where_it_comes_from() -> None:
    """Each schema has columns, splits and configurations, and one of the two sources."""
    found = recorded_schemas()
    assert {one.evidence for one in found} == set(EVIDENCE)
    assert all(one.schema and one.splits and one.configs for one in found)


def written_facts(folder: Path) -> list[str]:
    """Write made-up facts: two sets of 2022, one of them renamed, and a mirror with one set."""
    label = {"class_label": [0, 1]}
    options = {"sequence": {"letter": "string", "text": "string"}}
    features = {"text": "string", "label": label, "options": options}
    schemas = {
        "old": {config: {"features": features, "splits": {"train": 5}} for config in ("one", "two")},
        "gone": {"default": {"features": {"words": {"sequence": "string"}}, "splits": {"test": 1}}},
    }  # fmt: skip
    names = [
        {"hub_2022": {"dataset": "old", "config": "one"}, "hub_now": {"dataset": "new/name", "config": "first"}},
        {"hub_2022": {"dataset": "old", "config": "two"}, "hub_now": {"dataset": "new/name", "config": "two"}},
        {"hub_2022": {"dataset": "gone", "config": None}, "hub_now": None, "hub_now_unverified": "likely/gone"},
    ]
    home = folder / "hub" / "own" / "set"
    home.mkdir(parents=True)
    config = {"config_name": "small", "data_files": [{"split": "train", "path": "train.parquet"}]}
    (home / "README.md").write_text(f"---\n{json.dumps({'configs': [config]})}\n---\n")
    made = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    Dataset.from_list([{"text": "a", "label": 1}], features=made).to_parquet(str(home / "train.parquet"))
    (folder / "schemas.json").write_text(json.dumps(schemas))
    (folder / "tasks.jsonl").write_text("\n".join(map(json.dumps, names)))
    return [str(folder / "schemas.json"), str(folder / "tasks.jsonl"), str(folder / "hub")]


def test_the_script_reads_facts_and_no_recipe(tmp_path: Path) -> None:
    """Equal schemas share a line, names of today stand beside the old ones, and classes are kept by name."""
    script = runpy.run_path(str(SCRIPT))
    made = [json.loads(line) for line in script["recorded"](*map(Path, written_facts(tmp_path))).splitlines()]
    options = {"record": {"letter": ["text"], "text": ["text"]}}
    old = {"evidence": PUBLISHED, "repo": "old", "now": ["new/name"], "splits": ["train"]}
    columns = {"text": "text", "label": {"class": ["0", "1"]}, "options": options}
    assert made == [
        {**old, "configs": ["one"], "configs_now": ["first"], "columns": columns},
        {**old, "configs": ["two"], "columns": columns},
        {"evidence": PUBLISHED, "repo": "gone", "now": ["likely/gone"], "configs": ["default"], "splits": ["test"],
         "columns": {"words": ["text"]}},
        {"evidence": MIRROR, "repo": "own/set", "configs": ["small"], "splits": ["train"],
         "columns": {"text": "text", "label": {"class": ["no", "yes"]}}},
    ]  # fmt: skip
    assert "taskloom.recipes.catalog" not in SCRIPT.read_text()


@pytest.mark.mirror
def test_the_mirror_is_recorded_as_it_is(mirror: Path) -> None:
    """The lines about the mirror in the package are those that the script makes of it today."""
    script = runpy.run_path(str(SCRIPT))
    kept = files("taskloom.recipes.catalog").joinpath("schemas.jsonl").read_text(encoding="utf-8").splitlines(True)
    made = list(script["lines"](script["mirrored"](mirror)))
    assert [line for line in kept if f'"evidence": "{MIRROR}"' in line] == made
