"""One task as the page shows it: a line of the table, and a part of its own with what its answers look like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from taskloom.evaluation.report import TaskReport
from taskloom.reporting.answers import Confusion, LabelScore
from taskloom.reporting.charts import interval_bar, reliability_curve, score_points
from taskloom.reporting.material import Looked, Material, Mistake
from taskloom.reporting.svg import signed
from taskloom.reporting.task_list import label_names, source_name

SURE = "Wrong with most confidence"
TITLES = {"regression": "Farthest off", "token_classification": "Most wrong words"}
HEATS = 9
FEW_LABELS = 4
"""The mistakes of so few labels are seen at once in the matrix."""


@dataclass(frozen=True)
class TaskView:
    """What the template reads, by name; numbers that are undefined are None."""

    anchor: str
    id: str
    name: Markup
    family: str
    kind: str
    train_rows: str
    metric: str
    score: float | None
    bar: Markup
    bounds: str
    trivial: float | None
    tfidf: float | None
    gain: str
    ece: float | None
    weak: bool
    question: str
    figures: tuple[tuple[str, str], ...]
    confusion: dict[str, Any] | None
    label_scores: tuple[LabelScore, ...]
    charts: tuple[Markup, ...]
    mistakes: tuple[Markup, ...]
    mistakes_title: str


def task_views(material: Material) -> list[TaskView]:
    """Return the views of all tasks, by family and name."""
    nearest = _nearest(material)
    return [_view(number, one, nearest.get(number, "")) for number, one in enumerate(material.tasks)]


def _nearest(material: Material) -> dict[int, str]:
    """Return by number of the task its nearest others on the map, in words."""
    if material.map is None:
        return {}
    names = [material.tasks[number].trained.task.id for number in material.map_of]
    return {
        number: ", ".join(f"{names[at]} ({cosine:.2f})" for at, cosine in others)
        for number, others in zip(material.map_of, material.map.nearest, strict=True)
    }


def _view(number: int, one: Looked, nearest: str) -> TaskView:
    task, report, answers = one.trained.task, one.report, one.answers
    main = report.main if report else ""
    score = report.score if report else None
    trivial = report.baseline("majority") if report else None
    tfidf = report.baseline("tfidf") if report else None
    interval = report.interval.get(main) if report else None
    return TaskView(
        anchor=f"task-{number}",
        id=task.id,
        name=breakable(task.id),
        family=task.family,
        kind=task.kind.name.replace("_", " "),
        train_rows=f"{one.trained.rows.get('train', 0):,}",
        metric=main.replace("_", " ") or "not evaluated",
        score=score,
        bar=interval_bar(score, interval, trivial, tfidf),
        bounds=f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else "–",
        trivial=trivial,
        tfidf=tfidf,
        gain="–" if score is None or trivial is None else signed(score - trivial),
        ece=answers.reliability.error if answers.reliability else None,
        weak=report is not None and report.beats_majority is False,
        question=task.question,
        figures=tuple(_figures(one, nearest)),
        confusion=_confusion(answers.confusion) if answers.confusion else None,
        label_scores=answers.label_scores,
        charts=tuple(_charts(one)),
        mistakes=tuple(map(mistake, answers.mistakes)),
        mistakes_title=TITLES.get(task.kind.name, SURE),
    )


def breakable(name: str) -> Markup:
    """Return a name that narrow pages may break after its marks rather than anywhere."""
    parts = re.split(r"(?<=[/_+.])", name)
    return Markup("<wbr>").join(parts)


def _figures(one: Looked, nearest: str) -> list[tuple[str, str]]:
    task, report = one.trained.task, one.report
    found = [("Source", source_name(task.source)), ("License", f"{task.license or 'not stated'} ({task.license_use})")]
    found += [("Labels", label_names(one.trained.labels))] if one.trained.labels else []
    found += [("Rows", ", ".join(f"{rows:,} {split}" for split, rows in one.trained.rows.items()))]
    if report:
        found += [("Scored", _scored(one.split, report)), ("Metrics", _metrics(report))]
        found += _without_embedding(report)
        unused = ", ".join(f"{rows} {reason}" for reason, rows in report.unused_rows.items() if rows)
        found += [("Rows that could not be used", unused.replace("_", " "))] if unused else []
        undefined = [f"{name}: {reason}" for name, reason in report.reasons.items() if name in report.metrics]
        found += [("Undefined", "; ".join(undefined).replace("_", " "))] if undefined else []
    return [*found, ("Nearest by embedding", nearest)] if nearest else found


def _without_embedding(report: TaskReport) -> list[tuple[str, str]]:
    score, other = report.score, report.score_without_embedding
    if score is None or other is None:
        return []
    return [("Without its task embedding", f"{other:.3f} ({signed(other - score)})")]


def _scored(split: str, report: TaskReport) -> str:
    part = "" if report.rows == report.rows_available else f" of {report.rows_available:,}"
    return f"{report.rows:,}{part} rows of {split}"


def _metrics(report: TaskReport) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {'–' if value is None else f'{value:.3f}'}" for name, value in report.metrics.items()
    )


def _confusion(found: Confusion) -> dict[str, Any]:
    """Return names, rows of (name, cells of (count, shade of its share of the row)), and the commonest mistakes."""
    totals = found.counts.sum(1)
    rows = [
        (name, [(int(count), _heat(int(count), int(total))) for count in counts])
        for name, counts, total in zip(found.names, found.counts, totals, strict=True)
    ]
    return {"names": found.names, "rows": rows, "pairs": found.pairs if len(found.names) > FEW_LABELS else ()}


def _heat(count: int, total: int) -> int:
    return 0 if not count else max(1, round(HEATS * count / total))


def _charts(one: Looked) -> list[Markup]:
    kind, answers = one.trained.task.kind, one.answers
    charts = []
    if answers.points:
        low, high = getattr(kind, "low", 0.0), getattr(kind, "high", 1.0)
        charts.append(score_points(answers.points, low=low, high=high))
    if answers.reliability:
        charts.append(reliability_curve(answers.reliability, title=f"ECE {answers.reliability.error:.3f}"))
    return charts


def mistake(one: Mistake) -> Markup:
    """Return a wrong answer: row, right and given answer, how sure, and the texts where they are known."""
    found = one.worst
    head = Markup('<span class="said">row {}: right <b>{}</b>, answered <b>{}</b>, {}</span>').format(
        found.row, found.right, found.answered, found.said
    )
    if not one.texts:
        return head
    said = _paragraphs(one.texts, numbered=found.right.startswith("choice "))
    return head + Markup("<blockquote>{}</blockquote>").format(said)


def _paragraphs(texts: Sequence[str], *, numbered: bool) -> Markup:
    """Return texts as paragraphs; choices are numbered from 1 after the prompt."""
    said = [f"{at}. {text}" if numbered and at else text for at, text in enumerate(texts)]
    return Markup().join(Markup("<p>{}</p>").format(escape(text)) for text in said if text)
