"""results.json as typed, frozen values: one report a task and split, the run's report, and the aggregate over tasks.

The shape is versioned: a new field has a default, so that older files stay readable, and VERSION is raised when a
field changes its meaning. Unknown keys are refused, so that a misspelled key cannot pass for an absent one. None stands
for an undefined value, always with a reason beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from taskloom.data.whole import write_whole
from taskloom.errors import DataError

VERSION = 1
SPLIT_ORDER = ("validation", "test", "train")
"""Of a task's splits, the first of these stands for it in the aggregate; benchmarks put test first."""


class Frozen(BaseModel):
    """A value that refuses unknown keys, non-finite numbers and change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Metrics = dict[str, float | None]
Through = Literal["trained", "same labels", "three-way NLI", "choices"]
"""Whose head answers: the task's own; that of its label set, of three-way NLI for a two-way task, or of all choices."""


class Scores(Frozen):
    """Metrics of further answers to the same rows, with 95 % intervals and a reason for each None."""

    metrics: Metrics
    interval: dict[str, tuple[float, float]] = {}
    reasons: dict[str, str] = {}


class TaskReport(Frozen):
    """Scores of one task on one split.

    `rows` were scored out of `rows_available`. `interval` is the 95 % interval of the main metric (and of some others).
    `majority` is the trivial answer under the same names. `unused_rows` counts rows that the recipe could not use, by
    reason. `reasons` says for every None why: "pearson", or "majority.pearson". `beats_majority` is whether the
    interval's lower bound lies above the trivial answer, None where that cannot be told; an undefined correlation of a
    constant is compared as 0, the expectation of an answer that knows nothing.

    `baselines` are further simple answers under the same metric names: "chance" and "tfidf"; one that there is not has
    its reason in `reasons` ("tfidf"). `without_embedding` is the same model with the task embedding left out. `through`
    says whose head answers: a task that was not trained is answered without embedding by that of the task `head`.
    `role` is the task's: "train", or "evaluation" for a benchmark.
    """

    kind: str
    family: str = "other"
    main: str
    rows: int
    rows_available: int
    metrics: Metrics
    interval: dict[str, tuple[float, float]]
    majority: Metrics
    beats_majority: bool | None
    unused_rows: dict[str, int] = {}
    reasons: dict[str, str] = {}
    baselines: dict[str, Metrics] = {}
    without_embedding: Scores | None = None
    through: Through = "trained"
    head: str | None = None
    role: str = "train"

    @property
    def score(self) -> float | None:
        """The value of the main metric."""
        return self.metrics[self.main]

    def baseline(self, name: str) -> float | None:
        """Return a baseline's value of the main metric: "majority", "chance", "tfidf"; None where there is none."""
        return (self.majority if name == "majority" else self.baselines.get(name, {})).get(self.main)

    @property
    def score_without_embedding(self) -> float | None:
        """The value of the main metric with the task embedding left out."""
        return self.without_embedding.metrics.get(self.main) if self.without_embedding else None


class Aggregate(Frozen):
    """Means over tasks of the main metric, whose kinds differ: for comparing runs over the same tasks.

    `mean_score` and `mean_majority` are over the tasks where each is defined (`scored`, `with_majority`); `mean_gain`
    over the tasks where both are. `above_majority` counts tasks above the trivial answer by more than their interval.
    `mean_chance`, `mean_tfidf` and the gain over it are over the tasks that have these baselines (`with_tfidf`);
    `mean_loss_without_embedding` is over the tasks scored both ways (`with_both`).
    """

    tasks: int
    scored: int
    with_majority: int
    mean_score: float | None
    mean_majority: float | None
    mean_gain: float | None
    above_majority: int
    mean_chance: float | None = None
    with_tfidf: int = 0
    mean_tfidf: float | None = None
    mean_gain_over_tfidf: float | None = None
    with_both: int = 0
    mean_loss_without_embedding: float | None = None


WEIGHING = (
    "Each task counts once, whatever its rows: by its main metric, on its first split of {order} (benchmarks: test). "
    "mean_over_families counts each family once: the mean of the families' means."
)


class Summary(Aggregate):
    """The aggregate over all tasks, and within each kind and family; `weighing` says how tasks count."""

    weighing: str = ""
    mean_over_families: float | None = None
    by_kind: dict[str, Aggregate] = {}
    by_family: dict[str, Aggregate] = {}


class HeadCalibration(Frozen):
    """The temperature of a head, fitted on validation rows of the tasks that read it.

    `ece` (expected calibration error, 15 bins of equal mass) and `nll` (mean negative log-likelihood, nats) are before
    and after; those after are cross-fitted: no row is judged by a temperature that it helped to fit.
    """

    tasks: tuple[str, ...]
    kind: str
    temperature: float
    rows: int
    ece_before: float
    ece_after: float
    nll_before: float
    nll_after: float


class RunReport(Frozen):
    """The content of results.json.

    `tasks` are those that were trained; `untrained` others that were evaluated through a head that fits, with an
    aggregate of their own; `skipped` those that no head answers, with the reason. `calibration` is by head, `model` the
    sha256 of the weights that answered; `weighing` in the aggregate says how tasks count. `not_trained` are tasks that
    were asked for in training and could not be used, with the reason.
    """

    version: int = VERSION
    run: str
    seed: int
    step: int
    encoder: str
    libraries: dict[str, str] = {}
    data_fingerprint: str = ""
    tasks: dict[str, dict[str, TaskReport]]
    aggregate: Summary
    training: dict[str, Any] = {}
    not_trained: dict[str, str] = {}
    untrained: dict[str, dict[str, TaskReport]] = {}
    untrained_aggregate: Summary | None = None
    skipped: dict[str, str] = {}
    calibration: dict[str, HeadCalibration] = {}
    model: str = ""

    def write(self, path: Path) -> None:
        """Write results.json; a reader sees the old file or the new one, never half of one."""
        write_whole(path, self.model_dump_json(indent=1) + "\n")


def read_report(path: Path) -> RunReport:
    """Return the results of a run; raises DataError for a missing, damaged or newer file."""
    if not path.is_file():
        raise DataError(f"There is no {path}. Type `taskloom evaluate {path.parent}` to write it.")
    try:
        return RunReport.model_validate(_upgraded(json.loads(path.read_text(encoding="utf-8")), path))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise DataError(f"{path} is not a results file of version {VERSION}: {problems}.") from error
    except ValueError as error:
        raise DataError(
            f"{path} is damaged: {error}. Put it aside and type `taskloom evaluate {path.parent}` to write it anew."
        ) from error


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""For each older version, what turns its content into the next version's; none is older yet."""


def _upgraded(raw: Any, path: Path) -> dict[str, Any]:
    """Return a file's content in the current version; raises DataError for a newer one."""
    version = raw.get("version", VERSION) if isinstance(raw, dict) else None
    if not isinstance(version, int) or not (version == VERSION or version in UPGRADES):
        raise DataError(
            f"{path} has version {version}, this taskloom reads {VERSION}. Evaluate the run again, or use the taskloom "
            "that wrote it."
        )
    while version < VERSION:
        raw, version = UPGRADES[version](raw), version + 1
    return dict(raw)


def merged(before: RunReport, found: RunReport) -> RunReport:
    """Return a run's report with newer scores of the same model in it; aggregates are computed anew."""
    tasks, untrained = _merged(before.tasks, found.tasks), _merged(before.untrained, found.untrained)
    scored = {task.partition("@")[0] for task in (*tasks, *untrained)}
    skipped = {
        task: reason
        for task, reason in before.skipped.items()
        if task.partition(" ")[0].partition("@")[0] not in scored
    }
    return before.model_copy(
        update={
            "tasks": tasks,
            "aggregate": summarize(tasks),
            "untrained": untrained,
            "untrained_aggregate": summarize(untrained) if untrained else None,
            "skipped": skipped | found.skipped,
            "calibration": before.calibration | found.calibration,
            "model": found.model,
        }
    )


Reports = dict[str, dict[str, TaskReport]]


def _merged(before: Reports, found: Reports) -> Reports:
    """Return the reports of both by task and split, the newer ones first to count; those without extras keep them."""
    return before | {
        task: before.get(task, {})
        | {name: _completed(before.get(task, {}).get(name), one) for name, one in splits.items()}
        for task, splits in found.items()
    }


def _completed(before: TaskReport | None, found: TaskReport) -> TaskReport:
    """Return the newer report; a quick one keeps the baselines and the scores without embedding known before."""
    if before is None or before.metrics != found.metrics:
        return found
    more: dict[str, Any] = {}
    if not found.baselines and before.baselines:
        more = {"baselines": before.baselines, "reasons": before.reasons | found.reasons}
    if found.without_embedding is None:
        more["without_embedding"] = before.without_embedding
    return found.model_copy(update=more)


def representative(splits: Mapping[str, TaskReport], order: Sequence[str] = SPLIT_ORDER) -> TaskReport:
    """Return the report that stands for a task: the first split of `order` that it has, test for a benchmark."""
    if any(report.role == "evaluation" for report in splits.values()) and "test" in splits:
        return splits["test"]
    return splits[min(splits, key=lambda split: order.index(split) if split in order else len(order))]


def summarize(tasks: Mapping[str, Mapping[str, TaskReport]], order: Sequence[str] = SPLIT_ORDER) -> Summary:
    """Return the aggregate over tasks, each by its representative split, overall and by kind and family."""
    reports = [representative(splits, order) for splits in tasks.values() if splits]
    groups = {field: sorted({getattr(report, field) for report in reports}) for field in ("kind", "family")}
    by = {
        field: {name: aggregate(one for one in reports if getattr(one, field) == name) for name in names}
        for field, names in groups.items()
    }
    families = [one.mean_score for one in by["family"].values() if one.mean_score is not None]
    return Summary(
        **aggregate(reports).model_dump(),
        weighing=WEIGHING.format(order=", ".join(order)),
        mean_over_families=_mean(families),
        by_kind=by["kind"],
        by_family=by["family"],
    )


def aggregate(reports: Iterable[TaskReport]) -> Aggregate:
    """Return the means and counts over some reports; a mean over nothing is None."""
    reports = list(reports)
    majorities = _pairs(reports, "majority")
    tfidf = _pairs(reports, "tfidf")
    scores = [report.score for report in reports if report.score is not None]
    losses = [report.score - other for report in reports
              if report.score is not None and (other := report.score_without_embedding) is not None]  # fmt: skip
    return Aggregate(
        tasks=len(reports),
        scored=len(scores),
        with_majority=len(majorities),
        mean_score=_mean(scores),
        mean_majority=_mean([value for _, value in majorities]),
        mean_gain=_mean([score - value for score, value in majorities if score is not None]),
        above_majority=sum(report.beats_majority is True for report in reports),
        mean_chance=_mean([value for _, value in _pairs(reports, "chance")]),
        with_tfidf=len(tfidf),
        mean_tfidf=_mean([value for _, value in tfidf]),
        mean_gain_over_tfidf=_mean([score - value for score, value in tfidf if score is not None]),
        with_both=len(losses),
        mean_loss_without_embedding=_mean(losses),
    )


def _pairs(reports: Sequence[TaskReport], baseline: str) -> list[tuple[float | None, float]]:
    """Return the score and the baseline of the tasks that have that baseline."""
    found = [(report.score, report.baseline(baseline)) for report in reports]
    return [(score, value) for score, value in found if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
