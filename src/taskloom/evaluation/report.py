"""results.json as typed, frozen values: one report a task and split, the run's report, and the aggregate over tasks.

The shape is versioned; unknown keys are refused, so that a misspelled key cannot pass for an absent one. None stands
for an undefined value, always with a reason beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from taskloom.errors import DataError

VERSION = 1
SPLIT_ORDER = ("validation", "test", "train")
"""Of a task's splits, the first of these stands for it in the aggregate; benchmarks put test first."""


class Frozen(BaseModel):
    """A value that refuses unknown keys, non-finite numbers and change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TaskReport(Frozen):
    """Scores of one task on one split.

    `rows` were scored out of `rows_available`. `interval` is the 95 % interval of the main metric (and of some others).
    `majority` is the trivial answer under the same names. `unused_rows` counts rows that the recipe could not use, by
    reason. `reasons` says for every None why: "pearson", or "majority.pearson". `beats_majority` is whether the
    interval's lower bound lies above the trivial answer, None where that cannot be told; an undefined correlation of a
    constant is compared as 0, the expectation of an answer that knows nothing.
    """

    kind: str
    family: str = "other"
    main: str
    rows: int
    rows_available: int
    metrics: dict[str, float | None]
    interval: dict[str, tuple[float, float]]
    majority: dict[str, float | None]
    beats_majority: bool | None
    unused_rows: dict[str, int] = {}
    reasons: dict[str, str] = {}

    @property
    def score(self) -> float | None:
        """The value of the main metric."""
        return self.metrics[self.main]


class Aggregate(Frozen):
    """Means over tasks of the main metric, whose kinds differ: for comparing runs over the same tasks.

    `mean_score` and `mean_majority` are over the tasks where each is defined (`scored`, `with_majority`); `mean_gain`
    over the tasks where both are. `above_majority` counts tasks above the trivial answer by more than their interval.
    """

    tasks: int
    scored: int
    with_majority: int
    mean_score: float | None
    mean_majority: float | None
    mean_gain: float | None
    above_majority: int


class Summary(Aggregate):
    """The aggregate over all tasks, and within each kind and family."""

    by_kind: dict[str, Aggregate] = {}
    by_family: dict[str, Aggregate] = {}


class RunReport(Frozen):
    """The content of results.json; `not_trained` are tasks that were asked for, with the reason."""

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

    def write(self, path: Path) -> None:
        """Write results.json; a reader sees the old file or the new one, never half of one."""
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)


def read_report(path: Path) -> RunReport:
    """Return the results of a run; raises DataError for a missing, damaged or newer file."""
    if not path.is_file():
        raise DataError(f"There is no {path}. Type `taskloom evaluate {path.parent}` to write it.")
    try:
        report = RunReport.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise DataError(f"{path} is not a results file of version {VERSION}: {problems}.") from error
    if report.version != VERSION:
        raise DataError(f"{path} has version {report.version}, this taskloom reads {VERSION}. Evaluate the run again.")
    return report


def representative(splits: Mapping[str, TaskReport], order: Sequence[str] = SPLIT_ORDER) -> TaskReport:
    """Return the report that stands for a task: the first split of `order` that it has."""
    return splits[min(splits, key=lambda split: order.index(split) if split in order else len(order))]


def summarize(tasks: Mapping[str, Mapping[str, TaskReport]], order: Sequence[str] = SPLIT_ORDER) -> Summary:
    """Return the aggregate over tasks, each by its representative split, overall and by kind and family."""
    reports = [representative(splits, order) for splits in tasks.values() if splits]
    groups = {field: sorted({getattr(report, field) for report in reports}) for field in ("kind", "family")}
    by = {
        field: {name: aggregate(one for one in reports if getattr(one, field) == name) for name in names}
        for field, names in groups.items()
    }
    return Summary(**aggregate(reports).model_dump(), by_kind=by["kind"], by_family=by["family"])


def aggregate(reports: Iterable[TaskReport]) -> Aggregate:
    """Return the means and counts over some reports; a mean over nothing is None."""
    reports = list(reports)
    pairs = [(report.score, report.majority.get(report.main)) for report in reports]
    scores = [score for score, _ in pairs if score is not None]
    majorities = [majority for _, majority in pairs if majority is not None]
    gains = [score - majority for score, majority in pairs if score is not None and majority is not None]
    return Aggregate(
        tasks=len(reports),
        scored=len(scores),
        with_majority=len(majorities),
        mean_score=_mean(scores),
        mean_majority=_mean(majorities),
        mean_gain=_mean(gains),
        above_majority=sum(report.beats_majority is True for report in reports),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
