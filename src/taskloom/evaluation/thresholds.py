"""Where a multi-label task says yes: the probability that gives the best micro-F1 on train rows.

Labels of which a row has few are rare, so after a short training no sigmoid passes one half, however well the labels
are ordered. The threshold is chosen on a part of the train rows, after the last step, and kept in heads.json: rows that
are scored have no part in it.
"""

from __future__ import annotations

import numpy as np

from taskloom.data.store import TaskStore
from taskloom.evaluation.evaluator import Answering, answer, chosen_places, evaluating
from taskloom.evaluation.predictions import THRESHOLD, Predictions
from taskloom.modeling.model import Model

ROWS = 2000
"""Train rows of a task that its threshold is chosen on."""


def choose_thresholds(model: Model, stores: list[TaskStore], *, how: Answering, seed: int) -> dict[str, float]:
    """Return the threshold of each multi-label task among `stores`, by id with version."""
    found = {}
    with evaluating(model):
        for store in stores:
            if store.kind == "multilabel":
                places = chosen_places(len(store.splits["train"]), ROWS, seed=seed, task=store.task)
                given = answer(model, store, "train", how=how, head=store.task, places=places)
                found[store.task] = best_threshold(given)
    return found


def best_threshold(predictions: Predictions) -> float:
    """Return the probability from which on "yes" gives the best micro-F1; of equally good ones the highest.

    It lies halfway between the lowest score that is a yes and the next one. One half where no label is ever right.
    """
    scores, gold = predictions.scores.ravel(), predictions.gold.ravel().astype(bool)
    if not gold.any():
        return THRESHOLD
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order].astype(np.float64), gold[order].cumsum()
    f1 = 2 * right / (np.arange(1, len(scores) + 1) + right[-1])
    ends = np.append(scores[:-1] > scores[1:], True)  # equal scores are all a yes or none
    last = int(np.argmax(np.where(ends, f1, -1)))
    below = scores[last + 1] if last + 1 < len(scores) else 0.0
    return float((scores[last] + below) / 2)
