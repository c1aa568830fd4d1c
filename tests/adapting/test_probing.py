"""Features and linear heads on them: the same numbers as the model gives, and as scikit-learn gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from made_models import KINDS, MAX_LENGTH, made_model, made_store, made_task
from taskloom.adapting.features import Features, features_of
from taskloom.adapting.probing import ABSENT, LinearHead, fit_head, pooling_of, probe_predictions, targets
from taskloom.data.store import TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.evaluation.evaluator import Answering, answer


@pytest.fixture(scope="module")
def stores(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TaskStore]:
    """Prepared rows of each kind."""
    cache = tmp_path_factory.mktemp("cache")
    return {name: made_store(name, Tokenizer.open(tiny_bert), cache) for name in KINDS}


def how(folder: Path) -> Answering:
    """Return how rows are run through a model in these tests."""
    return Answering(tokenizer=Tokenizer.open(folder), device=torch.device("cpu"), use_task_embedding=False)


@pytest.mark.parametrize("name", list(KINDS))
def test_head_on_features_answers_as_the_model_does(name: str, tiny_bert: Path, stores: dict[str, TaskStore]) -> None:
    """The features of rows with a head's rows on top give the very answers of the model, whatever the kind."""
    model, store = made_model(tiny_bert, names=(name,)).eval(), stores[name]
    places = np.arange(3, len(store.splits["validation"]))
    expected = answer(model, store, "validation", how=how(tiny_bert), head=made_task(name).versioned, places=places,
                      unseen=0)  # fmt: skip
    rows = list(model.table.heads[0].rows)
    head = LinearHead(model.head_weight[rows].detach().numpy(), model.head_bias[rows].detach().numpy())
    found = features_of(model.encoder, store, "validation", places, how=how(tiny_bert), max_length=MAX_LENGTH)
    given = probe_predictions(head, found, store, "validation", pooling="own", unseen=0)
    assert given.row.tolist() == expected.row.tolist()
    assert given.gold.tolist() == expected.gold.tolist()
    np.testing.assert_allclose(given.scores, expected.scores, atol=2e-5)


def test_poolings_are_what_they_say(tiny_bert: Path, stores: dict[str, TaskStore]) -> None:
    """The mean is over real tokens only, the first is the first token; padding in a batch changes neither."""
    model, store = made_model(tiny_bert, names=("topics",)).eval(), stores["topics"]
    places = np.arange(len(store.splits["validation"]))
    together = features_of(model.encoder, store, "validation", places, how=how(tiny_bert), max_length=MAX_LENGTH)
    for place in (0, 7, 20):
        alone = features_of(
            model.encoder, store, "validation", np.array([place]), how=how(tiny_bert), max_length=MAX_LENGTH
        )
        for pooling in ("own", "first", "mean"):
            np.testing.assert_allclose(alone.values[pooling][0], together.values[pooling][place], atol=2e-5)
    assert not np.allclose(together.values["mean"], together.values["first"])


def made_features(kind: str, values: np.ndarray) -> Features:
    """Return features of one unit a row, as if an encoder had given them."""
    name = pooling_of(kind, "own")
    return Features(kind, {name: values}, np.arange(len(values)), np.zeros(len(values), np.int64))


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_folded_rows_are_scikit_learns(penalty: float, stores: dict[str, TaskStore]) -> None:
    """Centering and scaling are folded into weight and bias: the logits are those of the fit on scaled features."""
    draw = np.random.default_rng(0)
    store = stores["nli"]
    labels = np.asarray(store.splits["validation"].labels)
    given = draw.normal(size=(len(labels), 6)) * 5 + 3 + labels[:, None]
    head = fit_head(made_features("classification", given), store, "validation", pooling="own", penalty=penalty)
    scaled = (given - given.mean(0)) / np.sqrt(np.square(given - given.mean(0)).mean())
    fitted = LogisticRegression(C=penalty, max_iter=200).fit(scaled, labels)
    np.testing.assert_allclose(head.logits(given), fitted.decision_function(scaled), atol=1e-3)


def test_regression_is_ridge_on_the_scale_of_the_task(stores: dict[str, TaskStore]) -> None:
    """Scores from 1 to 5 are fitted in 0..1."""
    store = stores["similarity"]
    scores = np.asarray(store.splits["validation"].labels)
    given = scores[:, None] + np.random.default_rng(0).normal(size=(len(scores), 4))
    features = made_features("regression", given)
    assert targets(features, store, "validation").tolist() == pytest.approx(((scores - 1) / 4).tolist())
    head = fit_head(features, store, "validation", pooling="own", penalty=0.1)
    scaled = (given - given.mean(0)) / np.sqrt(np.square(given - given.mean(0)).mean())
    expected = Ridge(alpha=10).fit(scaled, (scores - 1) / 4).predict(scaled)
    np.testing.assert_allclose(head.logits(given)[:, 0], expected, atol=1e-4)


def test_two_classes_and_absent_ones(stores: dict[str, TaskStore]) -> None:
    """A two-way fit gives two opposite rows, and a label without rows is never the answer."""
    store = stores["nli"]
    places = np.flatnonzero(np.asarray(store.splits["validation"].labels) < 2)
    values = np.random.default_rng(0).normal(size=(len(places), 5))
    features = Features("classification", {"own": values}, places, np.zeros(len(places), np.int64))
    head = fit_head(features, store, "validation", pooling="own", penalty=1.0)
    np.testing.assert_allclose(head.weight[0], -head.weight[1])
    assert (head.bias[2], head.weight[2].any()) == (ABSENT, False)
    one = Features("classification", {"own": values[:1]}, places[:1], np.zeros(1, np.int64))
    alone = fit_head(one, store, "validation", pooling="own", penalty=1.0)
    assert int(alone.logits(values[:1]).argmax()) == int(store.splits["validation"].labels[places[0]])


def test_label_names_count_as_a_row_each(stores: dict[str, TaskStore]) -> None:
    """With names, the fit is that of the rows and one more for each label, in the order of the labels."""
    store, draw = stores["nli"], np.random.default_rng(0)
    labels = np.asarray(store.splits["validation"].labels)
    given, names = draw.normal(size=(len(labels), 4)), draw.normal(size=(3, 4))
    features = made_features("classification", given)
    head = fit_head(features, store, "validation", pooling="own", penalty=1.0, names={"own": names})
    every = np.concatenate([given, names])
    scaled = (every - every.mean(0)) / np.sqrt(np.square(every - every.mean(0)).mean())
    fitted = LogisticRegression(C=1.0, max_iter=200).fit(scaled, [*labels, 0, 1, 2])
    np.testing.assert_allclose(head.logits(every), fitted.decision_function(scaled), atol=1e-3)
