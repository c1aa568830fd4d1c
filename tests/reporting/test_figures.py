"""Numbers behind the charts: reliability, the map of tasks, transfer results, and the smallest parts of SVG."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from made_run import made_predictions, made_tasks, made_transfer
from taskloom.errors import DataError
from taskloom.evaluation.calibration import BINS, calibration_error
from taskloom.reporting.charts import (
    curve,
    dumbbells,
    embedding_scatter,
    interval_bar,
    score_points,
    shots_chart,
    written_names,
)
from taskloom.reporting.embedding_map import embedding_map, families_in_order
from taskloom.reporting.reliability import Stated, pooled, reliability, stated
from taskloom.reporting.svg import Scale, coordinate, element, mark, thinned, tick_name, ticks
from taskloom.reporting.transfer_results import means, read_cells, shots_order


@pytest.mark.parametrize("task", made_tasks(5), ids=lambda task: task.kind.name)
def test_reliability_has_the_error_of_the_calibration(task) -> None:
    """Curve and results.json agree on the error; scores and tags state no probability."""
    found = stated(made_predictions(task, 3, skill=1.0))
    if task.kind.name in ("regression", "token_classification"):
        assert found is None
        return
    assert found is not None
    assert reliability(found).error == calibration_error(found.confident, found.right)
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in reliability(found).bins)


def test_reliability_of_honest_answers_lies_on_the_line() -> None:
    """Answers that are right as often as they say give dots near the diagonal and a small error."""
    draw = np.random.default_rng(0)
    sure = draw.uniform(0.5, 1, 20000)
    found = reliability(Stated(sure, draw.uniform(size=20000) < sure))
    assert len(found.bins) == BINS
    assert max(abs(x - y) for x, y in found.bins) < 0.04
    assert found.error < 0.02


def test_pooled_curve_weighs_tasks_alike() -> None:
    """A small task that is always wrong counts as much as a large one that is always right."""
    large = Stated(np.full(900, 0.9), np.ones(900, bool))
    small = Stated(np.full(10, 0.9), np.zeros(10, bool))
    found = pooled([large, small])
    assert np.mean([right for _, right in found.bins]) == pytest.approx(0.5, abs=0.05)
    assert found.error == pytest.approx((0.1 + 0.9) / 2)


def test_map_is_the_plane_of_most_variance() -> None:
    """Points in a plane keep their distances, the axes hold all variance, and the same vectors give the same map."""
    draw = np.random.default_rng(1)
    flat = draw.normal(size=(30, 2))
    basis, _ = np.linalg.qr(draw.normal(size=(12, 2)))
    found = embedding_map(flat @ basis.T)
    assert found is not None
    assert found.shown == pytest.approx(1)
    apart = np.linalg.norm(found.places[:, None] - found.places[None], axis=-1)
    assert np.allclose(apart, np.linalg.norm(flat[:, None] - flat[None], axis=-1))
    again = embedding_map(flat @ basis.T)
    assert again is not None and np.array_equal(again.places, found.places)


def test_nearest_tasks_are_those_at_the_smallest_angle() -> None:
    """Length does not count, a vector that never moved is nobody's neighbor, and opposite ones are not near."""
    found = embedding_map(np.array([[1.0, 0], [9, 1], [-1, 0], [0, 0]]))
    assert found is not None
    assert [task for task, _ in found.nearest[0]] == [1]
    assert found.nearest[2] == () and found.nearest[3] == ()


@pytest.mark.parametrize("vectors", [np.zeros((5, 4)), np.ones((5, 4)), np.ones((2, 4)), np.zeros((0, 1))])
def test_nothing_to_see_is_no_map(vectors) -> None:
    """Vectors that are all alike, or two tasks, have no map."""
    assert embedding_map(vectors) is None


def test_commonest_family_comes_first() -> None:
    """Families are numbered by how many tasks they have, then by name."""
    assert families_in_order(["b", "a", "c", "c"]) == {"c": 0, "a": 1, "b": 2}


def test_transfer_means_are_over_common_tasks_and_intervals_over_seeds(tmp_path: Path) -> None:
    """A task that one model lacks counts for none; wins are over the first model; one seed has no interval."""
    cells = [("a", "x", 0, 0.5), ("a", "x", 1, 0.7), ("a", "y", 0, 0.1), ("b", "x", 0, 0.8), ("b", "x", 1, 0.8)]
    lines = [
        {"model": model, "task": task, "shots": 16, "seed": seed, "method": "probe", "score": score, "more": 1}
        for model, task, seed, score in cells
    ]
    path = tmp_path / "transfer.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n", encoding="utf-8")
    first, second = means(read_cells(path))["probe"]["16"]
    assert (first.mean, first.tasks, first.seeds) == (pytest.approx(0.6), 1, 2)
    assert (first.wins, first.losses) == (None, None)
    assert first.interval is not None
    assert first.interval[1] - first.mean == pytest.approx(12.706 * np.std([0.5, 0.7], ddof=1) / 2**0.5, rel=1e-3)
    assert (second.wins, second.losses) == (1, 0)
    assert second.interval == (pytest.approx(0.8), pytest.approx(0.8))
    alone = means(read_cells(path)[:1])["probe"]["16"]
    assert alone[0].interval is None


def test_ways_without_labels_stay_apart_and_the_later_line_counts(tmp_path: Path) -> None:
    """The ways of zero-shot are methods; a later line replaces an earlier one; a torn end is none."""
    line = {"model": "a", "task": "x", "shots": 0, "seed": 0, "method": "zero-shot/nli", "score": 0.5}
    tuned = {**line, "shots": 8, "method": "finetune", "setting": "gentle"}
    lines = [
        line,
        {**line, "method": "zero-shot/words", "score": 0.6},
        tuned,
        {**tuned, "setting": "bold", "score": 0.9},
    ]
    path = tmp_path / "transfer.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"model": "a", "ta', encoding="utf-8")
    found = means(read_cells(path))
    assert {method: by[shots][0].mean for method, by in found.items() for shots in by} == {
        "zero-shot/nli": 0.5, "zero-shot/words": 0.6, "finetune": 0.9,
    }  # fmt: skip
    with pytest.raises(DataError, match=r"There is no .*none.jsonl"):
        read_cells(tmp_path / "none.jsonl")


def test_models_without_a_common_task_are_not_compared(tmp_path: Path) -> None:
    """Two models measured on different tasks have no mean beside each other."""
    made_transfer(tmp_path)
    cells = read_cells(tmp_path / "transfer.jsonl")
    apart = [cell for cell in cells if (cell.model == "minilm") == (cell.task == "held/0")]
    assert all(not by_shots for by_shots in means(apart).values())
    assert shots_order(cells) == ["8", "16", "64", "all"]


@pytest.mark.parametrize(
    "line", ['{"model": "a"}', "[]", "{", '{"model":"a","task":"t","shots":"few","seed":0,"method":"m","score":1}',
             '{"model":"a","task":"t","shots":8,"seed":0,"method":"m","score":NaN}'],
)  # fmt: skip
def test_a_line_that_is_no_result_is_named(tmp_path: Path, line: str) -> None:
    """The message has the file, the number of the line and what it needs."""
    path = tmp_path / "transfer.jsonl"
    path.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"transfer.jsonl, line 2 .* method, score"):
        read_cells(path)


@given(some.floats(-1e6, 1e6), some.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside(low: float, width: float) -> None:
    """Between two ends there are one to ten ticks, in order, none outside."""
    found = ticks(low, low + width)
    assert len(found) <= 10
    assert found == sorted(found)
    assert all(low - width * 1e-3 - 1e-9 <= value <= low + width * 1.001 + 1e-9 for value in found)


def test_round_ticks_and_short_names() -> None:
    """Steps are 1, 2 or 5 times a power of ten; thousands are shortened."""
    assert ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(3, 3) == [3]
    assert [tick_name(value) for value in (0.2, 150, 20000, 1234)] == ["0.2", "150", "20k", "1234"]


def test_scale_stays_on_the_page() -> None:
    """What lies outside is put on the edge, and a scale without width puts all in its middle."""
    across = Scale(0, 10, 100, 200)
    assert [across(value) for value in (-5, 0, 5, 20)] == [100, 100, 150, 200]
    assert Scale(1, 1, 0, 10)(1) == 5


def test_coordinates_are_short() -> None:
    """One decimal at most, and no minus zero."""
    assert [coordinate(value) for value in (1.0, 1.26, -0.01, 1234.56)] == ["1", "1.3", "0", "1234.6"]


def test_long_curves_are_thinned_to_means() -> None:
    """A thousand values become a hundred means, few stay as they are."""
    assert thinned([1.0, 3.0], 100) == [1, 3]
    assert len(thinned(list(range(1000)), 100)) == 100
    assert thinned([1.0, 3.0, 5.0], 2) == [2, 5]


def test_everything_in_a_picture_is_escaped() -> None:
    """Names are data: in text, in titles and in attributes."""
    shown = element("text", "<b>&", aria_label='"><script>', x=None, class_="a")
    assert shown == '<text aria-label="&#34;&gt;&lt;script&gt;" class="a">&lt;b&gt;&amp;</text>'


def test_names_on_the_map_lie_over_nothing() -> None:
    """Of two tasks at one place one has its name, near the right edge it stands on the left, and a crowd has none."""
    written = written_names([(10, 10), (10, 12), (630, 100)], ["first", "second", "edge"], 640)
    assert written == [("first", (18, 10), "start"), ("edge", (622, 100), "end")]
    crowd = [(200.0 + 9 * number, 50.0) for number in range(30)]
    assert len(written_names(crowd, ["a long name"] * 30, 640)) <= 2


def test_28_groups_have_marks_of_their_own() -> None:
    """Seven colors in four shapes: no two of 28 groups look alike."""
    assert len({str(mark(0, 0, number)) for number in range(28)}) == 28


HOSTILE = '<script>&"'
CHARTS = {
    "curve": curve([1, 2, 3], [3, 2, 0.5], title=HOSTILE),
    "flat curve": curve([1, 2], [0, 0], title="x"),
    "dumbbells": dumbbells([(HOSTILE, "2", 0.5, 0.6), ("none", "1", None, None), ("half", "1", 0.5, None)]),
    "bar": interval_bar(0.5, (0.4, 0.6), 0.3, 0.2),
    "empty bar": interval_bar(None, None, None, None),
    "map": embedding_scatter([(0, 0), (1, 1)], [0, 9], [HOSTILE, "b"], ["#a", "#b"]),
    "points": score_points([(1, 2), (3, 3)], low=0, high=5),
    "shots": shots_chart({HOSTILE: [("8", 0.5, (0.4, 0.6)), ("all", 0.7, None)], "b": []}, ["8", "all"], title="x"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_well_formed(name: str) -> None:
    """Each chart is XML, says what it shows or is hidden from readers, and has no coordinate that is no number."""
    root = ElementTree.fromstring(CHARTS[name].replace("&nbsp;", " "))
    assert root.get("aria-label") or root.get("aria-hidden")
    assert "nan" not in CHARTS[name].lower().replace("<title", "")
    assert "<script" not in CHARTS[name]
