"""Fine-tuning on one task: it learns, it is repeatable, it leaves its start alone, it begins where it can."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from made_models import MAX_LENGTH, made_model, made_store, made_task
from taskloom.adapting.finetuning import Settings, Tuned, answers_of, fine_score, fine_tune, report_on
from taskloom.adapting.probing import LinearHead, fit_head, probe_predictions
from taskloom.adapting.start import Start, open_start
from taskloom.data.store import TaskStore
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import ConfigError
from taskloom.modeling.encoder import POOLINGS
from taskloom.modeling.model import Model
from taskloom.workflows.tuning import settings_of

QUICK = Settings(learning_rate=3e-3, head_learning_rate=1e-2, least_steps=20, most_steps=20, batch_size=8)


@pytest.fixture(scope="module")
def model_folder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a three-way NLI head and a tag head."""
    folder = tmp_path_factory.mktemp("models") / "made"
    made_model(tiny_bert, names=("nli", "entities", "choices")).save(
        folder, tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny"
    )
    return folder


@pytest.fixture
def start(model_folder: Path) -> Start:
    """The model, opened to start from."""
    return open_start(str(model_folder), device="cpu", precision="fp32", length=MAX_LENGTH)


@pytest.fixture(scope="module")
def topics(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> TaskStore:
    """A task that the model does not know."""
    return made_store("topics", Tokenizer.open(tiny_bert), tmp_path_factory.mktemp("cache"))


def tuned(start: Start, store: TaskStore, name: str, **options: object) -> Tuned:
    """Fine-tune on all train rows."""
    given = {"settings": QUICK, "seed": 0, "max_length": MAX_LENGTH} | options
    places = np.arange(len(store.splits["train"]))
    return fine_tune(start, made_task(name), store, places, **given)  # type: ignore[arg-type]


def weights(model: Model) -> dict[str, bytes]:
    """Return the bytes of all parameters."""
    return {name: value.detach().numpy().tobytes() for name, value in model.named_parameters()}


@pytest.mark.parametrize("name", ["nli", "topics", "similarity", "choices", "entities"])
def test_it_learns_its_rows(name: str, start: Start, tiny_bert: Path, tmp_path: Path) -> None:
    """From a new head, the eight training rows of every kind are answered better than before the first step."""
    store = made_store(name, Tokenizer.open(tiny_bert), tmp_path)
    new = dataclasses.replace(QUICK, head="new", least_steps=40, most_steps=40)
    every = np.arange(8)

    def score(model: Model) -> float:
        return fine_score(model, made_task(name), store, "train", how=start.how, places=every)

    before = tuned(start, store, name, settings=dataclasses.replace(new, least_steps=1, most_steps=1)).model
    first = score(before)
    after = tuned(start, store, name, settings=new)
    assert (after.head, after.steps) == ("new", 40)
    assert score(after.model) > first


def test_the_same_seed_gives_the_same_weights(start: Start, topics: TaskStore) -> None:
    """Two trainings from one opened start are equal bit for bit, and another seed differs: nothing is left behind."""
    first = weights(tuned(start, topics, "topics").model)
    other = weights(tuned(start, topics, "topics", seed=1).model)
    assert weights(tuned(start, topics, "topics").model) == first
    assert other != first


def test_features_are_those_of_the_untouched_encoder(start: Start, topics: TaskStore) -> None:
    """Training does not change what a start gives afterwards."""
    places = np.arange(8)
    before = start.features(topics, "train", places, max_length=MAX_LENGTH).values["own"]
    tuned(start, topics, "topics")
    after = start.features(topics, "train", places, max_length=MAX_LENGTH).values["own"]
    assert np.array_equal(before, after)


def test_a_head_of_the_same_labels_is_taken_over(start: Start, tiny_bert: Path, tmp_path: Path) -> None:
    """The labels' rows come in the new task's own order; without steps to speak of the answers are the old head's."""
    store = made_store("nli", Tokenizer.open(tiny_bert), tmp_path)
    turned = dataclasses.replace(store, labels=("Neutral", "entailment", "CONTRADICTION"))
    found = start.matching_head(turned, "other/task")
    assert found is not None
    head = start.table.heads[start.table.places["made/nli"]]
    rows = [head.rows[head.labels.index(name)] for name in ("neutral", "entailment", "contradiction")]
    assert np.array_equal(found.weight, start.heads["head_weight"][rows].numpy())
    assert tuned(start, store, "nli", settings=dataclasses.replace(QUICK, head="reuse")).head == "reuse"


def test_auto_reads_the_pooler_under_a_known_head_only(start: Start, tiny_bert: Path, tmp_path: Path) -> None:
    """A head that is taken over reads what it was trained on; a new one reads the mean."""
    auto = dataclasses.replace(QUICK, pooling="auto")
    store = made_store("nli", Tokenizer.open(tiny_bert), tmp_path)
    known = tuned(start, store, "nli", settings=dataclasses.replace(auto, head="reuse"))
    assert (known.head, known.model.encoder.pooling) == ("reuse", "own")
    other = dataclasses.replace(store, labels=("yes", "no", "perhaps"))
    probed = tuned(start, other, "nli", settings=auto)
    assert (probed.head.split()[0], probed.model.encoder.pooling) == ("probe", "mean")


def test_two_way_entailment_starts_from_the_three_way_head(start: Start, tiny_bert: Path, tmp_path: Path) -> None:
    """Entailment has its row, and what is not entailed the mean of the other two, with the odds of two classes."""
    store = dataclasses.replace(
        made_store("nli", Tokenizer.open(tiny_bert), tmp_path), labels=("not_entailment", "entailment")
    )
    found = start.matching_head(store, "other/task")
    assert found is not None
    head = start.table.heads[start.table.places["made/nli"]]
    against = [head.rows[head.labels.index(name)] for name in ("neutral", "contradiction")]
    np.testing.assert_allclose(found.weight[0], start.heads["head_weight"][against].mean(0).numpy(), atol=1e-6)
    assert found.bias[0] == pytest.approx(float(start.heads["head_bias"][against].mean()) + np.log(2), abs=1e-5)


@pytest.mark.parametrize("labels", [("yes", "no"), ("0", "1", "2"), ("entailment", "neutral")])
def test_labels_that_say_nothing_or_differ_share_no_head(
    labels: tuple[str, ...], start: Start, tiny_bert: Path, tmp_path: Path
) -> None:
    """Generic names, and a part of a label set, start from a probe."""
    store = dataclasses.replace(made_store("nli", Tokenizer.open(tiny_bert), tmp_path), labels=labels)
    assert start.matching_head(store, "other/task") is None


def test_choices_of_any_task_share_their_row(start: Start, tiny_bert: Path, tmp_path: Path) -> None:
    """How good a choice is, is asked in the same way everywhere; tags only where the tags are the same."""
    assert start.matching_head(made_store("choices", Tokenizer.open(tiny_bert), tmp_path), "other/task") is not None
    assert start.matching_head(made_store("parts", Tokenizer.open(tiny_bert), tmp_path), "other/task") is None


def test_the_best_step_is_kept_and_patience_ends(start: Start, topics: TaskStore) -> None:
    """The weights are those of the best evaluation, and two evaluations without a better one end the training."""
    scores: Iterator[float] = iter([0.1, 0.3, 0.9, 0.5, 0.4, 0.99])
    kept: list[dict[str, bytes]] = []

    def evaluate(model: Model) -> float:
        kept.append(weights(model))
        return next(scores)

    found = tuned(start, topics, "topics", evaluate=evaluate, evaluations=10, patience=2)
    assert (found.step, found.steps, found.score) == (4, 8, 0.9)
    assert weights(found.model) == kept[2]


def test_frozen_layers_do_not_move(start: Start, topics: TaskStore) -> None:
    """With two parts frozen, the embeddings and the first layer stay, and the layer above learns."""
    before = {name: value.clone() for name, value in start.fresh().state_dict().items()}
    model = tuned(start, topics, "topics", settings=dataclasses.replace(QUICK, frozen=2)).model
    moved = {name for name, value in model.encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not [name for name in moved if "embeddings" in name or "layer.0." in name]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_training_starts_from_the_probe(pooling: str, start: Start, topics: TaskStore) -> None:
    """Before the first step the model answers as the probe that its head was taken from, whatever pooling it reads."""
    settings = dataclasses.replace(QUICK, pooling=pooling, head="probe", names=False)
    places = np.arange(len(topics.splits["train"]))
    features = start.features(topics, "train", places, max_length=MAX_LENGTH)
    head = fit_head(features, topics, "train", pooling=pooling, penalty=settings.penalty)
    expected = probe_predictions(head, features, topics, "train", pooling=pooling, unseen=0)
    found: list[NDArray[Any]] = []

    def evaluate(model: Model) -> float:
        found.append(answers_of(model, made_task("topics"), topics, "train", how=start.how, places=places).scores)
        return 0.0

    tuned(start, topics, "topics", settings=settings, evaluate=evaluate, evaluations=1)
    np.testing.assert_allclose(found[0], expected.scores, atol=1e-5)


@pytest.mark.parametrize("name", ["topics", "choices", "entities"])
def test_a_model_to_be_saved_reads_its_own_pooler(name: str, start: Start, tiny_bert: Path, tmp_path: Path) -> None:
    """Trained on the first token's state, it answers the same through the own pooler, and opened from its folder."""
    store = made_store(name, Tokenizer.open(tiny_bert), tmp_path / "cache")
    places, task = np.arange(len(store.splits["train"])), made_task(name)
    settings = dataclasses.replace(QUICK, pooling="first", head="probe", names=False)
    model = tuned(start, store, name, settings=settings).model
    expected = answers_of(model, task, store, "train", how=start.how, places=places).scores
    model = tuned(start, store, name, settings=dataclasses.replace(settings, pooling="saved")).model
    assert model.encoder.pooling == "own"
    np.testing.assert_allclose(
        answers_of(model, task, store, "train", how=start.how, places=places).scores, expected, atol=0.02
    )
    model.save(tmp_path / "model", tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny")
    opened = Model.load(tmp_path / "model").eval()
    np.testing.assert_allclose(
        answers_of(opened, task, store, "train", how=start.how, places=places).scores, expected, atol=0.02
    )


def test_more_frozen_parts_than_there_are_is_told(start: Start, topics: TaskStore) -> None:
    """All parts may stay, so that the head alone learns; one more is a mistake that names how many there are."""
    before = {name: value.clone() for name, value in start.fresh().state_dict().items()}
    parts = start.fresh().config.num_hidden_layers + 1
    model = tuned(start, topics, "topics", settings=dataclasses.replace(QUICK, frozen=parts)).model
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())
    with pytest.raises(ConfigError, match=rf"frozen = {parts + 1}: this encoder has {parts} parts"):
        tuned(start, topics, "topics", settings=dataclasses.replace(QUICK, frozen=parts + 1))


@pytest.mark.parametrize(
    ("given", "told"),
    [({"epochs": 0}, "epochs = 0"), ({"learning_rate": -1.0}, "learning_rate = -1.0"),
     ({"layer_decay": 1.5}, "layer_decay = 1.5: give a factor"), ({"frozen": -1}, "frozen = -1: give 0 for none")],
)  # fmt: skip
def test_settings_that_cannot_be_are_told(given: dict[str, Any], told: str) -> None:
    """A number that no training can have is a mistake; the others change what they say."""
    with pytest.raises(ConfigError, match=re.escape(told)):
        settings_of(**given)
    found = settings_of(layer_decay=0.7, frozen=2)
    assert (found.layer_decay, found.frozen, found.learning_rate) == (0.7, 2, settings_of().learning_rate)


def test_a_report_needs_rows(start: Start, topics: TaskStore) -> None:
    """No row is no report, never a score of zero."""
    model = tuned(start, topics, "topics").model
    nothing = np.zeros(0, np.int64)
    task = made_task("topics")
    assert report_on(model, task, topics, "validation", how=start.how, places=nothing, seed=0) is None
    report = report_on(model, task, topics, "validation", how=start.how, places=None, seed=0)
    assert report is not None and report.rows == 30


def test_label_names_are_read_where_they_say_something(start: Start, tiny_bert: Path, tmp_path: Path) -> None:
    """Words have features, in the order of the labels; digits, other kinds and sets with an empty name have none."""
    store = made_store("nli", Tokenizer.open(tiny_bert), tmp_path)
    task = made_task("nli")
    moods = dataclasses.replace(store, labels=("good_mood", "bad mood", "No"), fingerprint="a")
    assert start.name_features(task, moods) is None
    moods = dataclasses.replace(store, labels=("good_mood", "bad mood", "red"), fingerprint="b")
    found = start.name_features(task, moods)
    assert found is not None and found["mean"].shape == (3, 32)
    np.testing.assert_allclose(found["mean"], start.text_features(["good mood", "bad mood", "red"])["mean"])
    assert start.name_features(task, dataclasses.replace(store, labels=("1", "2", "3"), fingerprint="c")) is None
    topics = dataclasses.replace(store, kind="multilabel", fingerprint="d")
    assert start.name_features(made_task("topics"), topics) is None
    assert tuned(start, moods, "nli").head == "probe with names"


@pytest.mark.parametrize(("right", "head"), [(True, "reuse"), (False, "probe with names")])
def test_a_known_head_is_taken_over_where_it_is_no_worse_than_a_probe(
    right: bool, head: str, start: Start, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that answers the very rows rightly is kept; one that turns the labels round gives way to a probe."""
    store = made_store("nli", Tokenizer.open(tiny_bert), tmp_path)
    places = np.arange(len(store.splits["train"]))
    features = start.features(store, "train", places, max_length=MAX_LENGTH)
    good = fit_head(features, store, "train", pooling="own", penalty=1e6)
    turned = good if right else LinearHead(np.roll(good.weight, 1, axis=0), np.roll(good.bias, 1))
    monkeypatch.setattr(Start, "matching_head", lambda *_: turned)
    monkeypatch.setattr(Start, "name_features", lambda *_: {"own": features.values["own"][:3]})
    assert tuned(start, store, "nli").head == head


@pytest.mark.parametrize(
    ("rows", "epochs", "expected"), [(32, 8, 16), (8, 8, 12), (3200, 8, 200), (320, 8, 64), (3200, 0.5, 100)]
)
def test_many_rows_are_all_read_once(rows: int, epochs: float, expected: int) -> None:
    """Steps keep their bounds, but the upper one ends no training before one pass over the rows, or the part asked."""
    assert Settings(epochs=epochs, least_steps=12, most_steps=64, batch_size=16).steps(rows) == expected
