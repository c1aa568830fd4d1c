"""The baseline that a practitioner would try first: TF-IDF and a linear model, fitted on the same train rows.

It reads what the model reads, the store's sub-words (so also the same cut at `max_length`): single ones and neighboring
two, the latter hashed into 2^18 columns, text and pair apart. classification: logistic regression. multilabel: one for
each label. regression: ridge regression. multiple choice: logistic regression over (prompt, choice) pairs, right or
wrong, on the words of the choice and its similarity to the prompt; the likeliest choice of a row is its answer. Tags
have an answer for each word, for which a bag of words says nothing: their counterpart is the most frequent tag of each
word among the train rows.

At most 10,000 train rows, fewer with more than 100 labels, so that fitting takes seconds; the rows are chosen by a hash
of task and row. Source of the baseline: Wang and Manning 2012, whose bag-of-bigrams models hold up on short texts.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize

from taskloom.data.hashing import hashed, key_of
from taskloom.data.kept import kept_rows
from taskloom.data.ragged import offsets_of, ragged
from taskloom.data.store import SplitStore, TaskStore
from taskloom.errors import DataError
from taskloom.evaluation.baselines import most_frequent
from taskloom.evaluation.predictions import THRESHOLD, Predictions

Array = NDArray[Any]
Matrix = Any
"""A scipy.sparse matrix in CSR form."""
VERSION = 1
"""Raised whenever the same rows would be answered otherwise; kept answers of older versions are passed over."""
MOST_ROWS = 10_000
MOST_CELLS = 1_000_000
"""Train rows times labels (or choices) at most: fitting takes seconds up to here."""
BIGRAMS = 2**18
STRENGTH = 10.0
"""C of the logistic regression: 1, the library's default, holds short texts of unit length back too much."""
ITERATIONS = 100


def name_of(kind: str) -> str:
    """Return what the baseline of a kind is called in reports."""
    return "word_tag" if kind == "token_classification" else "tfidf"


def tfidf_answers(store: TaskStore, split: str, predictions: Predictions, *, left_out: Array | None = None) -> Array:
    """Return the baseline's answers to all rows of a split, shaped as `predictions.scores` of its kind.

    `left_out` are places of train rows that the model did not see either. Raises DataError, with the reason, when there
    is nothing to fit on.
    """
    if "train" not in store.splits:
        raise DataError("no train rows to fit on")
    train, rows = store.splits["train"], store.splits[split]
    places = train_places(store, left_out)
    if len(places) == 0:
        raise DataError("no train rows to fit on")
    if store.kind == "token_classification":
        return word_tags(train, places, rows, predictions)
    if store.kind == "multiple_choice":
        return _choices(train, places, rows)
    gold = np.asarray(train.labels[places])
    fitted, asked = _text_features(train, places, rows)
    if store.kind == "regression":
        scores = Ridge(alpha=1.0, solver="sag", max_iter=ITERATIONS, random_state=0).fit(fitted, gold).predict(asked)
        return np.asarray(np.clip(scores, store.low, store.high), dtype=np.float32)
    if store.kind == "multilabel":
        columns = [_probabilities(fitted, gold[:, label], asked, 2)[:, 1] for label in range(gold.shape[1])]
        return np.stack(columns, axis=1)
    return _probabilities(fitted, gold, asked, len(store.labels))


def answered(predictions: Predictions, scores: Array) -> Predictions:
    """Return the baseline's answers in the place of the model's."""
    return dataclasses.replace(predictions, scores=scores, threshold=THRESHOLD)


def train_places(store: TaskStore, left_out: Array | None) -> Array:
    """Return the places of the train rows to fit on, ascending."""
    train = store.splits["train"]
    places = np.arange(len(train))
    if left_out is not None:
        places = np.setdiff1d(places, left_out)
    width = np.mean(train.choices) if store.kind == "multiple_choice" else max(1, len(store.labels))
    most = min(MOST_ROWS, int(MOST_CELLS / width))
    return places[kept_rows(store.id, np.asarray(train.rows)[places], most)]


def _probabilities(fitted: Matrix, gold: Array, asked: Matrix, labels: int) -> Array:
    """Return probabilities float32 (rows, labels) of a logistic regression; of a constant, where gold is one."""
    found = np.zeros((asked.shape[0], labels), dtype=np.float32)
    if np.all(gold == gold[0]):
        found[:, gold[0]] = 1.0
        return found
    model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS, tol=1e-3).fit(fitted, gold)
    found[:, model.classes_] = model.predict_proba(asked)
    return found


def _text_features(train: SplitStore, places: Array, rows: SplitStore) -> tuple[Matrix, Matrix]:
    """Return the features of train rows and of asked rows: TF-IDF of the text, and that of the pair beside it."""
    blocks = []
    for segment in (0, 1):
        counts = [counted(split, segments_at(split, at, segment))
                  for split, at in ((train, places), (rows, np.arange(len(rows))))]  # fmt: skip
        if counts[0].nnz:
            blocks.append(_tfidf(*counts))
    if not blocks:
        raise DataError("the train rows have no words")
    fitted, asked = (sparse.hstack(side).tocsr() for side in zip(*blocks, strict=True))
    return fitted, asked


def _choices(train: SplitStore, places: Array, rows: SplitStore) -> Array:
    """Return how likely each choice is the right one, float32 (choices of all rows,)."""
    every = np.arange(len(rows))
    choice = [counted(split, choices_at(split, at)) for split, at in ((train, places), (rows, every))]
    prompt = [counted(split, segments_at(split, at, 0)) for split, at in ((train, places), (rows, every))]
    words = _tfidf(*choice)
    similar = []
    for said, asked, (split, at) in zip(choice, prompt, ((train, places), (rows, every)), strict=True):
        owner = np.repeat(np.arange(len(at)), split.choices[at])
        similar.append(normalize(said).multiply(normalize(asked)[owner]).sum(1))
    fitted, asked = (sparse.hstack([side, near]).tocsr() for side, near in zip(words, similar, strict=True))
    sizes = train.choices[places]
    right = np.zeros(int(sizes.sum()), dtype=np.int64)
    right[offsets_of(sizes)[:-1] + np.asarray(train.labels[places])] = 1
    return np.asarray(_probabilities(fitted, right, asked, 2)[:, 1])


def segments_at(split: SplitStore, places: Array, number: int) -> Array:
    """Return which segment is the text (0) or the pair (1) of some rows, -1 for a row without one, (rows,)."""
    first = np.asarray(split.first_segment)
    segments = first[places] + number
    return np.where(segments < first[places + 1], segments, -1)


def choices_at(split: SplitStore, places: Array) -> Array:
    """Return the segments of all choices of some rows, one after the other."""
    return ragged(np.asarray(split.first_segment)[places] + 1, split.choices[places])


def counted(split: SplitStore, segments: Array) -> Matrix:
    """Return how often each token and each pair of neighbors is in some segments (CSR, float64); -1 has none."""
    offsets = np.asarray(split.offsets)
    starts = np.where(segments < 0, 0, offsets[segments])
    sizes = np.where(segments < 0, 0, offsets[segments + 1] - starts)
    tokens = np.asarray(split.tokens[ragged(starts, sizes)]).astype(np.int64)
    owner = np.repeat(np.arange(len(segments)), sizes)
    neighbors = owner[1:] == owner[:-1]
    bigrams = hashed(key_of("bigram"), tokens[:-1], tokens[1:])[neighbors] % np.uint64(BIGRAMS)
    columns = np.concatenate([tokens + BIGRAMS, bigrams.astype(np.int64)])
    cells = (np.ones(len(columns)), (np.concatenate([owner, owner[1:][neighbors]]), columns))
    return sparse.csr_matrix(cells, shape=(len(segments), BIGRAMS + 2**18))


def _tfidf(train: Matrix, asked: Matrix) -> tuple[Matrix, Matrix]:
    """Return both sides weighted by the train rows' document frequencies; columns that they lack are left out."""
    kept = np.flatnonzero(train.getnnz(axis=0))
    transformer = TfidfTransformer(sublinear_tf=True).fit(train[:, kept])
    return transformer.transform(train[:, kept]), transformer.transform(asked[:, kept])


def word_tags(train: SplitStore, places: Array, rows: SplitStore, predictions: Predictions) -> Array:
    """Return each word's most frequent train tag (words,); unknown words get the most frequent of all."""
    labels = len(predictions.labels)
    offsets = np.asarray(train.word_offsets)
    chosen = ragged(offsets[places], np.diff(offsets)[places])
    tags = np.asarray(train.labels)[chosen]
    known, number = np.unique(word_keys(train)[chosen], return_inverse=True)
    table = np.bincount(number * labels + tags, minlength=len(known) * labels).reshape(len(known), labels)
    asked = word_keys(rows)
    at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    usual = most_frequent(tags, labels)
    return np.where((known[at] == asked) & (asked != 0), table.argmax(1)[at], usual)


def word_keys(split: SplitStore) -> Array:
    """Return a number for each word that depends on its tokens alone, 0 for one without any (uint64, (words,))."""
    starts = np.asarray(split.word_starts).astype(np.int64)
    row = np.repeat(np.arange(len(split)), np.diff(split.word_offsets))
    offsets = np.asarray(split.offsets)
    seen = np.flatnonzero(starts >= 0)
    begin = offsets[row[seen]] + starts[seen]
    end = np.minimum(np.append(begin[1:], offsets[-1]), offsets[row[seen] + 1])
    sizes = np.maximum(end - begin, 0)
    inside = ragged(np.zeros_like(sizes), sizes)
    each = hashed(key_of("word"), np.asarray(split.tokens)[ragged(begin, sizes)], inside)
    keys = np.zeros(len(starts), dtype=np.uint64)
    ends = offsets_of(sizes)
    total = np.concatenate([[np.uint64(0)], np.cumsum(each, dtype=np.uint64)])
    keys[seen] = total[ends[1:]] - total[ends[:-1]]
    return keys
