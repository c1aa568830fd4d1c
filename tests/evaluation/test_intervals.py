"""Intervals: Wilson's formula, and a bootstrap that is the plain one, only faster."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, pearsonr, spearmanr

from taskloom.errors import DataError
from taskloom.evaluation.intervals import bootstrap, wilson
from taskloom.evaluation.statistics import Spearman, f1_statistic, pearson_statistic, share_statistic


@pytest.mark.parametrize(("right", "rows"), [(0, 10), (10, 10), (146, 277), (1, 3), (29_000, 30_000)])
def test_wilson_equals_scipy(right: int, rows: int) -> None:
    """The interval is scipy's Wilson interval, for shares of 0 and 1 too."""
    expected = binomtest(right, rows).proportion_ci(0.95, method="wilson")
    assert wilson(right, rows) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_rows_is_an_error() -> None:
    """No rows have no interval."""
    with pytest.raises(DataError):
        wilson(0, 0)
    with pytest.raises(DataError):
        bootstrap(lambda draws: draws.sum(1), 0, seed=0)


def draw_counts(rows: int, resamples: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return drawn row numbers and the same as counts, both (resamples, rows)."""
    drawn = np.random.default_rng(1).integers(0, rows, size=(resamples, rows))
    return drawn, np.stack([np.bincount(one, minlength=rows) for one in drawn]).astype(float)


@pytest.mark.parametrize(("statistic", "reference"), [(pearson_statistic, pearsonr), (Spearman, spearmanr)])
def test_correlation_statistics_equal_a_plain_resample(statistic: Any, reference: Any) -> None:
    """Correlations from draw counts equal scipy on the drawn rows themselves, with ties and an offset of 1,000."""
    generator = np.random.default_rng(0)
    first = generator.integers(0, 6, 40) + 1000.0
    second = first + generator.integers(0, 4, 40)
    drawn, counts = draw_counts(40)
    expected = [reference(first[one], second[one]).statistic for one in drawn]
    assert statistic(first, second)(counts) == pytest.approx(np.array(expected), abs=1e-9)


def test_f1_statistic_equals_a_plain_resample() -> None:
    """Pooled F1 from draw counts equals F1 of the drawn rows."""
    predicted, gold = np.random.default_rng(0).integers(1, 5, (2, 30))
    row_counts = np.stack([np.minimum(predicted, gold) - 1, predicted, gold], axis=1)
    drawn, counts = draw_counts(30)
    sums = row_counts[drawn].sum(1)
    assert f1_statistic(row_counts)(counts) == pytest.approx(2 * sums[:, 0] / (sums[:, 1] + sums[:, 2]))


def test_bootstrap_of_a_share_is_close_to_wilson() -> None:
    """On 400 one-word rows the bootstrap of accuracy agrees with Wilson to 0.01."""
    right = np.arange(400) % 4 == 0
    found = bootstrap(share_statistic(right, np.ones(400)), 400, seed=0)
    assert found == pytest.approx(wilson(100, 400), abs=0.01)


def test_bootstrap_is_a_function_of_the_seed() -> None:
    """The same seed gives the same bounds, another seed others."""
    values = np.random.default_rng(0).normal(size=(2, 50))
    bounds = [bootstrap(pearson_statistic(*values), 50, seed=seed) for seed in (3, 3, 4)]
    assert bounds[0] == bounds[1] != bounds[2]


def test_pieces_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many resamples are held at once, the bounds are the same."""
    values = np.random.default_rng(0).normal(size=(2, 50))
    whole = bootstrap(pearson_statistic(*values), 50, seed=3)
    monkeypatch.setattr("taskloom.evaluation.intervals.PIECE", 700)
    assert bootstrap(pearson_statistic(*values), 50, seed=3) == whole


def test_mostly_undefined_statistic_has_no_interval() -> None:
    """Where most resamples have no value, there is no interval rather than one of the rest."""
    constant = np.array([1.0, 1.0, 1.0, 1.0, 1.0])
    assert bootstrap(pearson_statistic(constant, np.arange(5.0)), 5, seed=0) is None
