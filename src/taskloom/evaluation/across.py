"""Comparing two models over tasks and seeds: differences of paired scores, their intervals and tests.

A score of one seed on one task is paired with the other model's on the same rows. The test's unit is the task, since
seeds of one task are not independent evidence about others: a paired t-test and Wilcoxon's signed-rank test over the
tasks' mean differences, by scipy. Intervals over seeds say how far the figure would move with other shots, not with
other tasks; both are given and named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import stats

from taskloom.errors import DataError
from taskloom.evaluation.report import Frozen

CONFIDENCE = 0.95
Outcome = Literal["win", "loss", "level"]
Pairs = Mapping[tuple[str, int], tuple[float, float]]
"""By (task, seed) the scores of the first and of the second model."""


class Difference(Frozen):
    """The first model against the second on one task or family: mean scores, their difference, its interval over seeds.

    `low` and `high` are None with a single seed. A win or loss is an interval on one side of zero; with a single seed
    every difference is level.
    """

    name: str
    tasks: int
    seeds: int
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    outcome: Outcome


class Comparison(Frozen):
    """Two models over all tasks that both have: `overall` averages tasks within each seed.

    `task_low` and `task_high` are the interval over tasks, `t_test` and `wilcoxon` two-sided p-values over tasks; None
    where there are fewer than two tasks or no difference at all.
    """

    overall: Difference
    task_low: float | None
    task_high: float | None
    t_test: float | None
    wilcoxon: float | None
    by_family: tuple[Difference, ...]
    by_task: tuple[Difference, ...]

    def count(self, outcome: Outcome) -> int:
        """Return on how many tasks the first model wins, loses or is level."""
        return sum(one.outcome == outcome for one in self.by_task)


def mean_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Return the mean and its 95 % interval (Student's t); the interval is None for a single value.

    Raises DataError for no values.
    """
    if not len(values):
        raise DataError("There are no scores to average.")
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def compare(pairs: Pairs, families: Mapping[str, str]) -> Comparison:
    """Return the comparison of two models; `families` names the family of each task.

    Seeds that one task lacks do not count for groups of tasks, so that every seed's mean is over the same tasks. Raises
    DataError for no pairs.
    """
    if not pairs:
        raise DataError("The models have no scores in common, so they cannot be compared.")
    tasks = sorted({task for task, _ in pairs})
    by_task = tuple(difference(task, {key: pairs[key] for key in pairs if key[0] == task}) for task in tasks)
    members: dict[str, list[str]] = defaultdict(list)
    for task in tasks:
        members[families[task]].append(task)
    by_family = tuple(
        difference(family, {key: pairs[key] for key in pairs if key[0] in own})
        for family, own in sorted(members.items())
    )
    means = [one.difference for one in by_task]
    _, low, high = mean_interval(means)
    return Comparison(
        overall=difference("all", pairs), task_low=low, task_high=high, t_test=_t_test(means),
        wilcoxon=_wilcoxon(means), by_family=by_family, by_task=by_task,
    )  # fmt: skip


def difference(name: str, pairs: Pairs) -> Difference:
    """Return the difference over the tasks of `pairs`, which are averaged within each seed."""
    tasks = {task for task, _ in pairs}
    seeds = [seed for seed in sorted({seed for _, seed in pairs}) if all((task, seed) in pairs for task in tasks)]
    if not seeds:
        raise DataError(f"{name}: no seed has scores of all of {', '.join(sorted(tasks))}. Let the run finish first.")
    scores = np.array([[pairs[task, seed] for task in sorted(tasks)] for seed in seeds]).mean(1)
    mean, low, high = mean_interval([float(first - second) for first, second in scores])
    if np.ptp(scores, axis=0).max() == 0:
        low = high = None  # a probe of all rows is the same for every seed, and equal figures are no evidence
    outcome: Outcome = "level"
    if low is not None and high is not None:
        outcome = "win" if low > 0 else "loss" if high < 0 else "level"
    return Difference(
        name=name, tasks=len(tasks), seeds=len(seeds), first=float(scores[:, 0].mean()),
        second=float(scores[:, 1].mean()), difference=mean, low=low, high=high, outcome=outcome,
    )  # fmt: skip


def _t_test(differences: Sequence[float]) -> float | None:
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def _wilcoxon(differences: Sequence[float]) -> float | None:
    if len(differences) < 2 or not np.any(differences):
        return None
    return float(stats.wilcoxon(differences).pvalue)
