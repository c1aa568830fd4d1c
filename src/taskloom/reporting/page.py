"""report.html: the material of a run as one page that needs nothing else, neither network nor scripts.

Names, labels and texts are data from anywhere, so Jinja escapes everything, and the page's policy lets no script run
but its own, known by its hash. The page is whole without scripts; with them the table can be sorted and filtered.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from taskloom.evaluation.report import Aggregate, RunReport, representative
from taskloom.reporting.charts import curve, dumbbells, embedding_scatter, interval_bar, legend, reliability_curve
from taskloom.reporting.embedding_map import families_in_order
from taskloom.reporting.material import Material
from taskloom.reporting.task_view import TaskView, mistake, task_views
from taskloom.reporting.transfer_view import transfer_view

OPEN_AT_ONCE = 6
"""So few tasks are shown unfolded."""
SHOWN_MISTAKES = 12
NAMES = {
    "examples": "Examples", "seconds": "Seconds of training", "examples_per_second": "Examples a second",
    "tokens_per_second": "Tokens a second", "padding_share": "Share of padding", "precision": "Arithmetic",
    "device": "Device", "processes": "Processes", "skipped_not_finite": "Steps left out (not finite)",
    "skipped_spikes": "Steps left out (spikes)", "best_step": "Best step",
}  # fmt: skip


def page(material: Material, *, title: str | None = None) -> str:
    """Return the page of a run's material."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("taskloom.reporting", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_asset(name) for name in ("report.css", "report.js"))
    return environment.get_template("report.html").render(
        **_context(material),
        title=title or material.report.run,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _asset(name: str) -> str:
    return files("taskloom.reporting").joinpath("template", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return what a content security policy calls an inline style or script that is allowed."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _context(material: Material) -> dict[str, Any]:
    report, tasks = material.report, task_views(material)
    transfer = transfer_view(material.cells)
    space = _map(material, tasks)
    pooled = _pooled(material)
    mistakes = _mistakes(material, tasks)
    overlap = _overlap(material.plan)
    parts = {
        "families": "Scores by family", "tasks": "Tasks", "untrained": report.untrained and "Other tasks",
        "training": "Training", "transfer": transfer and "Transfer",
        "map": space and "Map", "calibration": pooled and "Calibration", "mistakes": mistakes and "Mistakes",
        "each": "Task by task",
    }  # fmt: skip
    return {
        "lead": _lead(material),
        "tiles": _tiles(material),
        "contents": [(anchor, name) for anchor, name in parts.items() if name],
        "families": _families(material),
        "tasks": tasks,
        "columns": _columns(tasks),
        "any_tfidf": any(task.tfidf is not None for task in tasks),
        "any_ece": any(task.ece is not None for task in tasks),
        "family_names": sorted({task.family for task in tasks}),
        "kind_names": sorted({task.kind for task in tasks}),
        "not_trained": sorted(report.not_trained.items()),
        "curves": _curves(material.log),
        "figures": _figures(material),
        "overlap": overlap,
        "overlap_rows": _count(sum(rows for _, rows in overlap), "train row"),
        "transfer": transfer,
        "map": space,
        "pooled": pooled,
        "calibration": [
            {"tasks": ", ".join(one.tasks), **one.model_dump(exclude={"tasks"})} for one in report.calibration.values()
        ],
        "untrained": _untrained(report),
        "skipped": sorted(report.skipped.items()),
        "mistakes": mistakes,
        "open": len(tasks) <= OPEN_AT_ONCE,
        "footer": f"Made by taskloom from the run folder {report.run}; the numbers stand in results.json.",
    }


def _lead(material: Material) -> str:
    report = material.report
    kinds = sorted({one.trained.task.kind.name.replace("_", " ") for one in material.tasks})
    return (
        f"One encoder ({report.encoder}) trained on {_count(len(material.tasks), 'task')} at once "
        f"({', '.join(kinds)}) in {_count(report.step, 'step')}."
    )


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _tiles(material: Material) -> list[dict[str, str]]:
    summary, training = material.report.aggregate, material.report.training
    rows = sum(one.trained.rows.get("train", 0) for one in material.tasks)
    examples, seconds = training.get("examples"), training.get("seconds")
    trivial, gain = (_number(value) for value in (summary.mean_majority, summary.mean_gain))
    tfidf = f"with logistic regression, over {summary.with_tfidf}; gain {_number(summary.mean_gain_over_tfidf)}"
    speed = f"{training.get('examples_per_second', '–')} examples a second"
    tiles = [
        ("Mean score", _number(summary.mean_score), f"over {_count(summary.scored, 'task')}, each by its main metric"),
        ("Trivial answer", trivial, f"over {summary.with_majority}; mean gain {gain} where both are defined"),
        *([("TF-IDF", _number(summary.mean_tfidf), tfidf)] if summary.with_tfidf else []),
        ("Above it", f"{summary.above_majority} of {summary.tasks}", "by more than their 95 % interval"),
        ("Train rows", f"{rows:,}", f"{examples:,} examples seen" if examples else ""),
        ("Time", _duration(seconds) if seconds else "–", speed),
    ]
    return [{"name": name, "value": value, "note": note} for name, value, note in tiles]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _columns(tasks: Sequence[TaskView]) -> list[dict[str, str]]:
    names = [
        ("Task", ""), ("Family", "lesser"), ("Kind", "least"), ("Rows", "n least"), ("Metric", "lesser"),
        ("Score", "n"), ("0 to 1", "plot"), ("95 % interval", "lesser bounds"), ("Trivial", "n"),
        *([("TF-IDF", "n lesser")] if any(task.tfidf is not None for task in tasks) else []), ("Gain", "n lesser"),
        *([("ECE", "n lesser")] if any(task.ece is not None for task in tasks) else []),
    ]  # fmt: skip
    return [{"name": name, "class": kind} for name, kind in names]


def _families(material: Material) -> Markup:
    found = material.report.aggregate.by_family
    rows = [_beside_trivial(name, one) for name, one in found.items()]
    rows.sort(key=lambda row: (row[2] is None or row[3] is None, (row[3] or 0) - (row[2] or 0), row[0]))
    return dumbbells([_beside_trivial("all", material.report.aggregate), *rows])


def _beside_trivial(name: str, found: Aggregate) -> tuple[str, str, float | None, float | None]:
    """Return a mean score beside the trivial answer's, over the tasks that have both; else what there is of all."""
    if found.mean_gain is None or found.mean_majority is None:
        return name, str(found.tasks), found.mean_score, found.mean_majority
    return name, str(found.with_majority), found.mean_majority + found.mean_gain, found.mean_majority


def _curves(log: Iterable[Mapping[str, Any]]) -> list[Markup]:
    """Return the loss of all tasks and of each family, and the mean score where it was taken during training."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in log:
        values = {"all tasks": line["loss"], **line.get("families", {})} if "loss" in line else {}
        if line.get("mean_score") is not None:
            values["mean score"] = line["mean_score"]
        for name, value in values.items():
            if value is not None:
                found.setdefault(name, ([], []))[0].append(float(line["step"]))
                found[name][1].append(float(value))
    first = ["all tasks", "mean score"]
    names = [name for name in first if name in found] + sorted(found.keys() - set(first))
    return [curve(*found[name], title=name) for name in names if len(set(found[name][0])) > 1]


def _figures(material: Material) -> list[tuple[str, str]]:
    """Return what was trained, with what and how fast, in words."""
    report, plan = material.report, material.plan
    found = [("Encoder", report.encoder), ("Steps", f"{report.step:,}"), ("Seed", str(report.seed))]
    if "batch_size" in plan:
        found.append(("Examples a step", str(plan["batch_size"])))
    found += [(NAMES[key], _plain(value)) for key, value in report.training.items() if key in NAMES and value]
    memory = report.training.get("peak_memory_bytes")
    found += [("Most memory", f"{memory / 1e9:.1f} GB")] if memory else []
    found += [("Libraries", ", ".join(f"{name} {version}" for name, version in report.libraries.items()))]
    return [*found, ("Data", report.data_fingerprint[:16])] if report.data_fingerprint else found


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if value >= 10 else f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _overlap(plan: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the tasks of which train rows were left out since they stand in evaluated rows, and how many."""
    found = ((task, one.get("left_out", {}).get("rows", 0)) for task, one in plan.get("tasks", {}).items())
    return sorted((task, rows) for task, rows in found if rows)


def _pooled(material: Material) -> list[Markup]:
    found = {"classes and choices": material.pooled.best_answers, "several labels": material.pooled.labels}
    titles = {name: f"{name}: mean ECE {one.error:.3f}" for name, one in found.items() if one}
    return [reliability_curve(one, title=titles[name], size=260) for name, one in found.items() if one]


def _untrained(report: RunReport) -> list[dict[str, Any]]:
    """Return the tasks that were not trained and were answered by a head that fits."""
    found = []
    for task, splits in sorted(report.untrained.items()):
        one = representative(splits)
        interval, trivial, tfidf = one.interval.get(one.main), one.baseline("majority"), one.baseline("tfidf")
        found.append({
            "task": task.partition("@")[0], "through": one.through, "head": one.head or "–", "score": one.score,
            "metric": one.main.replace("_", " "), "trivial": trivial, "weak": one.beats_majority is False,
            "bounds": f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else "–",
            "bar": interval_bar(one.score, interval, trivial, tfidf),
        })  # fmt: skip
    return found


def _map(material: Material, tasks: Sequence[TaskView]) -> dict[str, Any] | None:
    if material.map is None:
        return None
    shown = [tasks[number] for number in material.map_of]
    order = families_in_order([task.family for task in shown])
    chart = embedding_scatter(
        [(float(x), float(y)) for x, y in material.map.places],
        [order[task.family] for task in shown],
        [task.id for task in shown],
        [f"#{task.anchor}" for task in shown],
    )
    return {
        "chart": chart,
        "shown": f"{material.map.shown:.0%}",
        "nearest_note": "each task's nearest others by angle stand in its part below",
        "legend": legend(order),
    }


def _mistakes(material: Material, tasks: Sequence[TaskView]) -> list[tuple[TaskView, Markup]]:
    """Return the surest wrong answer of the tasks that state probabilities, the surest tasks first."""
    sure = [
        (one.answers.mistakes[0], task)
        for one, task in zip(material.tasks, tasks, strict=True)
        if one.answers.reliability and one.answers.mistakes
    ]
    sure.sort(key=lambda pair: (-pair[0].worst.badness, pair[1].id))
    return [(task, mistake(found)) for found, task in sure[:SHOWN_MISTAKES]]
