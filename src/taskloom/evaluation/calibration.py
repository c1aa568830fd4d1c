"""Do probabilities mean what they say? A temperature a head, and the calibration error before and after it.

Temperature scaling (Guo et al. 2017): logits divided by one number that makes the likelihood of validation rows the
largest; no answer changes, only how sure it is. Softmax gives logits back up to a constant, so the kept probabilities
are enough. Fitted for each head, since tasks that share one share its logits: on all their rows together.

The error is the expected calibration error of the given answer over 15 bins of equal mass, sorted by confidence
(Nixon et al. 2019: bins of equal width leave most of them empty for a model that is mostly sure). Chance alone gives up
to 0.4 x sqrt(bins / rows), 0.08 for 400 rows: below that nothing can be told. What stands after scaling is
cross-fitted: rows are dealt to 5 parts, and each part is scaled by a temperature fitted on the other four.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from taskloom.data.hashing import hashed, key_of
from taskloom.data.whole import write_whole
from taskloom.errors import DataError, ModelError
from taskloom.evaluation.predictions import Predictions
from taskloom.evaluation.report import HeadCalibration
from taskloom.modeling.model import HEADS_JSON, read_record

Array = NDArray[Any]
BINS = 15
PARTS = 5
FEWEST = 50
"""Rows below which a temperature is noise: with 50, its standard error is already about a fifth."""
BOUNDS = (0.05, 20.0)
SMALLEST = 1e-7
"""Probabilities below this are float32 rounding, and their logarithm is not a logit any more."""
KINDS = ("classification", "multilabel", "multiple_choice")
"""Kinds whose answers come with probabilities; kept tags and scores have none."""


@dataclass(frozen=True)
class Evidence:
    """Probabilities as flat logits by group, with what was right.

    A group is a row's classes or choices, or one label of a row against its absence: `logits` (entries,), `offsets`
    (groups + 1,), `right` and `given` (groups,) the places of the right entry and of the answer within their group,
    `row` (groups,) what keeps groups of one row in one part. The answer is the likeliest entry, but that labels are
    answered from their task's own threshold on; a temperature changes neither.
    """

    logits: Array
    offsets: Array
    right: Array
    given: Array
    row: Array

    def __len__(self) -> int:
        return len(self.right)


def evidence(predictions: Predictions) -> Evidence:
    """Return the evidence of a task's answers; raises DataError for a kind without probabilities."""
    if predictions.kind not in KINDS:
        raise DataError(f"{predictions.kind} answers have no probabilities to calibrate. Allowed: {', '.join(KINDS)}.")
    logits = _log(predictions.scores)
    groups, row = len(predictions), hashed(key_of(predictions.task), predictions.row)
    right, given = (np.asarray(part).ravel().astype(np.int64) for part in (predictions.gold, predictions.answers()))
    if predictions.kind == "multiple_choice":
        return Evidence(logits, predictions.word_offsets, right, given, row)
    labels = len(predictions.labels)
    if predictions.kind == "classification":
        return Evidence(logits.ravel(), np.arange(groups + 1) * labels, right, given, row)
    both = np.stack([_log(1 - predictions.scores), logits], axis=-1).reshape(-1)
    return Evidence(both, np.arange(groups * labels + 1) * 2, right, given, np.repeat(row, labels))


def fit_temperature(found: Evidence) -> float:
    """Return the temperature with the smallest mean negative log-likelihood, between 1/20 and 20."""
    low, high = np.log(BOUNDS)
    best = minimize_scalar(lambda log: _nll(found, np.exp(log)).mean(), bounds=(low, high), method="bounded")
    return float(np.exp(best.x))


def calibrate_head(predictions: Sequence[Predictions]) -> HeadCalibration:
    """Return the temperature of a head from validation answers of the tasks that read it, and what it mends.

    Raises DataError for fewer than 50 rows, and for kinds without probabilities.
    """
    found = joined(evidence(one) for one in predictions)
    rows = sum(map(len, predictions))
    if rows < FEWEST:
        raise DataError(f"{rows} rows are too few to fit a temperature; {FEWEST} are needed.")
    part = found.row % np.uint64(PARTS)
    scaled = np.zeros(len(found.logits))
    entry_part = np.repeat(part, np.diff(found.offsets))
    for number in range(PARTS):
        others = part != number
        if others.any():
            scaled[entry_part == number] = found.logits[entry_part == number] / fit_temperature(taken(found, others))
    after = Evidence(scaled, found.offsets, found.right, found.given, found.row)
    return HeadCalibration(
        tasks=tuple(one.task for one in predictions),
        kind=predictions[0].kind,
        temperature=fit_temperature(found),
        rows=rows,
        ece_before=calibration_error(*confidence(found)),
        ece_after=calibration_error(*confidence(after)),
        nll_before=float(_nll(found, 1.0).mean()),
        nll_after=float(_nll(after, 1.0).mean()),
    )


def confidence(found: Evidence) -> tuple[Array, Array]:
    """Return how probable the given answer of each group is, and whether it is right, (groups,) each."""
    probabilities = _softmax(found.logits, found.offsets, 1.0)
    return probabilities[found.offsets[:-1] + found.given], found.given == found.right


def calibration_error(confident: Array, right: Array, *, bins: int = BINS) -> float:
    """Return the expected calibration error over bins of equal mass from confidences and hits, (answers,) each.

    Raises DataError for no answers. Answers of one confidence stay in the order in which they are given.
    """
    if len(confident) == 0:
        raise DataError("There are no answers to judge calibration by.")
    order = np.argsort(confident, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    gaps = [abs(float(np.mean(confident[part]) - np.mean(right[part]))) * len(part) for part in parts]
    return sum(gaps) / len(order)


def scaled(probabilities: Array, temperature: float, *, kind: str, offsets: Array | None = None) -> Array:
    """Return probabilities after dividing their logits by a temperature, in the shape given, float32."""
    logits = _log(probabilities)
    if kind == "multilabel":
        against = _log(1 - np.asarray(probabilities, dtype=np.float64))
        return np.asarray(1 / (1 + np.exp(np.clip((against - logits) / temperature, -80, 80))), dtype=np.float32)
    groups = np.arange(len(logits) + 1) * logits.shape[1] if offsets is None else offsets
    found = _softmax(logits.ravel(), groups, temperature)
    return np.asarray(found.reshape(logits.shape), dtype=np.float32)


def write_temperatures(folder: Path, temperatures: Mapping[str, float]) -> None:
    """Put temperatures by head key into heads.json of a model folder; those of other heads stay."""
    path = folder / HEADS_JSON
    record = read_record(folder)
    record["temperatures"] = read_temperatures(record) | {key: round(value, 6) for key, value in temperatures.items()}
    write_whole(path, json.dumps(record, indent=1, ensure_ascii=False))


def read_temperatures(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the temperatures by head key in heads.json; raises ModelError for one that is no positive number."""
    found = record.get("temperatures", {})
    for key, value in found.items():
        if not isinstance(value, (int, float)) or not value > 0:
            raise ModelError(f"{HEADS_JSON} has the temperature {value!r} for {key!r}. Calibrate the model again.")
    return {str(key): float(value) for key, value in found.items()}


def joined(parts: Iterable[Evidence]) -> Evidence:
    """Return the groups of several tasks together."""
    several = list(parts)
    sizes = np.concatenate([np.diff(part.offsets) for part in several])
    logits, right, given, row = (
        np.concatenate([getattr(part, name) for part in several]) for name in ("logits", "right", "given", "row")
    )
    return Evidence(logits, np.concatenate([[0], np.cumsum(sizes)]), right, given, row)


def taken(found: Evidence, groups: Array) -> Evidence:
    """Return the groups where a mask (groups,) is true."""
    sizes = np.diff(found.offsets)
    offsets = np.concatenate([[0], np.cumsum(sizes[groups])])
    logits = found.logits[np.repeat(groups, sizes)]
    return Evidence(logits, offsets, found.right[groups], found.given[groups], found.row[groups])


def _nll(found: Evidence, temperature: float) -> Array:
    """Return the negative log-likelihood of what is right in each group, nats (groups,)."""
    logits, starts, sizes = found.logits / temperature, found.offsets[:-1], np.diff(found.offsets)
    largest = np.maximum.reduceat(logits, starts)
    total = np.add.reduceat(np.exp(logits - np.repeat(largest, sizes)), starts)
    return np.asarray(largest + np.log(total) - logits[starts + found.right])


def _softmax(logits: Array, offsets: Array, temperature: float) -> Array:
    sizes, starts = np.diff(offsets), offsets[:-1]
    if len(sizes) == 0:
        return logits
    powers = np.exp((logits - np.repeat(np.maximum.reduceat(logits, starts), sizes)) / temperature)
    return np.asarray(powers / np.repeat(np.add.reduceat(powers, starts), sizes))


def _log(probabilities: Array) -> Array:
    return np.asarray(np.log(np.clip(np.asarray(probabilities, dtype=np.float64), SMALLEST, 1.0)))
