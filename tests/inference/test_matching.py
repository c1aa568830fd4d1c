"""Matching: texts and label names read apart, the same in batches of training, in evaluation and when classifying."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from taskloom.data.batches import Batcher, Drawn
from taskloom.data.standardize import CanonicalTask
from taskloom.data.store import TaskStore, build
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError, ModelError
from taskloom.evaluation.evaluator import Answering, answer
from taskloom.inference.classifying import Classifier, Question
from taskloom.inference.label_sets import label_sets
from taskloom.inference.pieces import Reading
from taskloom.inference.remembered import Remembered
from taskloom.inference.scorers import Scorers, torch_scorers
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.keeping import Keeping
from taskloom.modeling.model import SHARPNESS, Model, Prepared
from taskloom.modeling.tensors import on_device
from taskloom.recipes.labels import sharing_key
from taskloom.recipes.recasts import recast_task
from taskloom.recipes.recipe import Builtin, Classification, Splits, Task

LENGTH = 24
TEXTS = ["a bee sang all day", "the big red car " * 20, "go", "of it all day long and red"]
LABELS = ["car", "the long day", "big bees", "it", "red"]
BASE = Task(
    id="made/topics", source=Builtin("topics"), splits=Splits(train="train"), family="other",
    kind=Classification(text="text", label="label"),
)  # fmt: skip
TASK = recast_task(BASE, "matching")
PLAIN = {
    "task": "made/choices@1",
    "id": "made/choices",
    "kind": "multiple_choice",
    "labels": (),
    "key": "multiple_choice",
}


def heads() -> HeadTable:
    """Return a plain head for choices and a matching one."""
    own = {"task": TASK.versioned, "id": TASK.id, "kind": "multiple_choice", "labels": (), "key": sharing_key(TASK, ())}
    return HeadTable.make([one | {"low": None, "high": None} for one in (PLAIN, own)])


@pytest.fixture(scope="module")
def model(tiny_bert: Path) -> Model:
    """A model with a matching head and a plain one for choices; the weights of the matching head are not equal."""
    model = Model(Encoder.open(tiny_bert), heads())
    row = model.table.heads[1].rows[0]
    assert (model.head_weight[row] == SHARPNESS).all() and not (model.head_weight[0] == SHARPNESS).any()
    with torch.no_grad():
        model.head_weight[row] += torch.randn(model.head_weight.shape[1], generator=torch.Generator().manual_seed(1))
        model.task_embedding.copy_(torch.randn(model.task_embedding.shape, generator=torch.Generator().manual_seed(2)))
    return model.eval()


@pytest.fixture(scope="module")
def how(tiny_bert: Path) -> Answering:
    """Whole precision on the CPU, with task embeddings, which matching has none of."""
    return Answering(tokenizer=Tokenizer.open(tiny_bert), device=torch.device("cpu"), use_task_embedding=True)


@pytest.fixture(scope="module")
def store(how: Answering, tmp_path_factory: pytest.TempPathFactory) -> TaskStore:
    """The texts with all labels as choices, and a row with two of them."""
    rows = pa.table({
        "prompt": [*TEXTS, TEXTS[0]], "choices": [*[LABELS] * len(TEXTS), LABELS[:2]],
        "label": pa.array([0, 1, 2, 4, 1], pa.int32()), "row": range(len(TEXTS) + 1),
    })  # fmt: skip
    canonical = CanonicalTask(TASK, (), {"train": rows}, "f")
    return build(canonical, how.tokenizer, cache=tmp_path_factory.mktemp("c"), max_length=LENGTH, max_rows=100)


def vectors(model: Model, how: Answering, texts: list[str]) -> np.ndarray:
    """Return the mean of the last hidden states of each text alone, at length one, by transformers' own network."""
    found = []
    for text in texts:
        ids = how.tokenizer.segments([text])[0][: LENGTH - 2].tolist()
        ids = torch.tensor([[*how.tokenizer.single.prefix, *ids, *how.tokenizer.single.suffix]])
        with torch.inference_mode():
            hidden = model.encoder.base(input_ids=ids).last_hidden_state[0].double()
        found.append(torch.nn.functional.normalize(hidden.mean(0), dim=0).numpy())
    return np.stack(found)


def expected(model: Model, how: Answering) -> np.ndarray:
    """Return the logits of all texts and labels, (texts, labels)."""
    weight = model.head_weight[model.table.heads[1].rows[0]].detach().double().numpy()
    return (vectors(model, how, TEXTS) * weight) @ vectors(model, how, LABELS).T


def drawn(store: TaskStore) -> Drawn:
    """Return every row of the store, as rows of the model's second task."""
    count = len(store.splits["train"])
    return Drawn(np.ones(count, np.int64), np.arange(count), np.zeros(count, np.int64))


def batcher(store: TaskStore, how: Answering, **more: int | bool | None) -> Batcher:
    """Return a batcher in which the store is the second task."""
    return Batcher([store, store], "train", how.tokenizer, LENGTH, 4096, **more)  # type: ignore[arg-type]


def test_sequences_are_those_of_the_tokenizer(store: TaskStore, how: Answering) -> None:
    """Prompt and choices are sequences of their own, each as the tokenizer makes it, cut at its end."""
    batch = batcher(store, how).assemble(drawn(store))
    said = [text for prompt in TEXTS for text in (prompt, *LABELS)] + [TEXTS[0], *LABELS[:2]]
    assert len(batch.input_ids) == len(said)
    for ids, mask, text in zip(batch.input_ids, batch.attention_mask, said, strict=True):
        inner = how.tokenizer.segments([text])[0][: LENGTH - 2].tolist()
        assert ids[mask.bool()].tolist() == [*how.tokenizer.single.prefix, *inner, *how.tokenizer.single.suffix]
    size = 1 + len(LABELS)
    assert batch.anchor.tolist() == [at // size * size for at in range(len(said))]
    assert batch.label.tolist() == [0, 1, 2, 4, 1]


@pytest.mark.parametrize("packed", [False, True])
def test_losses_are_those_of_weighted_cosines(
    model: Model, store: TaskStore, how: Answering, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of padded and of packed batches, with plain choices beside them, whatever the task embeddings are."""
    monkeypatch.setattr(Encoder, "packs", property(lambda _: packed))
    batch = batcher(store, how, packed=packed).assemble(drawn(store))
    logits = torch.from_numpy(expected(model, how))
    losses = torch.nn.functional.cross_entropy(logits, batch.label[:4], reduction="none").tolist()
    losses.append(float(torch.nn.functional.cross_entropy(logits[0, :2], torch.tensor(1))))
    with torch.no_grad():
        found = model(model.prepare(batch)).example_loss
    assert found.tolist() == pytest.approx(losses, abs=1e-4)


def test_gradients_reach_texts_and_names(model: Model, store: TaskStore, how: Answering) -> None:
    """A packed step moves what a padded one moves: the encoder, by both sides, and the weights of the dimensions."""
    batch = batcher(store, how).assemble(drawn(store))
    found = []
    for layout in (model.prepare(batch).layout, None):
        model.zero_grad()
        prepared = model.prepare(batch)
        model(Prepared(batch, prepared.routing, layout, prepared.compared)).loss_sum.backward()
        found.append({name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None})
    model.zero_grad()
    packed, padded = found
    assert packed.keys() == padded.keys()
    for name, gradient in packed.items():
        assert torch.allclose(gradient, padded[name], atol=1e-4), name
    assert packed["head_weight"][model.table.heads[1].rows[0]].abs().sum() > 0


def test_no_value_is_asked_of_a_device(
    tiny_bert: Path, store: TaskStore, how: Answering, valueless: torch.device
) -> None:
    """As in test_model, for compared texts and names and for what keeps their similarities."""
    model = Model(Encoder.open(tiny_bert), heads()).to(valueless)
    model.keeping = Keeping(Encoder.open(tiny_bert), 20.0)
    prepared = on_device(model.prepare(batcher(store, how).assemble(drawn(store))), valueless)
    assert prepared.compared is not None
    output = model(prepared)
    output.loss_sum.backward()
    assert output.example_loss.shape == (len(TEXTS) + 1,)
    assert model.encoder.word_embeddings.weight.grad.device == valueless


def test_training_samples_wrong_names_only(store: TaskStore, how: Answering) -> None:
    """With fewer choices than there are, the text and the right name stay, other wrong names each epoch."""
    seen = set()
    for epoch in range(6):
        rows = drawn(store)
        batch = batcher(store, how, max_choices=2).assemble(Drawn(rows.task, rows.place, rows.epoch + epoch))
        assert torch.bincount(batch.sequence_example).tolist() == [3] * 5
        for example in range(5):
            start = example * 3
            right = batch.input_ids[start + 1 + int(batch.label[example])]
            name = LABELS[(0, 1, 2, 4, 1)[example]]
            inner = how.tokenizer.segments([name])[0].tolist()
            assert right[1 : 1 + len(inner)].tolist() == inner
            assert (batch.anchor[start : start + 3] == start).all()
        seen.add(tuple(batch.input_ids[: 3 * 4].flatten().tolist()))
    assert len(seen) > 1


def test_evaluation_and_classify_agree(model: Model, store: TaskStore, how: Answering) -> None:
    """A prepared row has the probabilities that `classify` gives, which are those of the cosines."""
    powers = np.exp(expected(model, how))
    chances = powers / powers.sum(1, keepdims=True)
    known = answer(model, store, "train", how=how, head=TASK.versioned, places=np.arange(5))
    assert known.scores[:20].reshape(4, 5) == pytest.approx(chances, abs=1e-5)
    classifier = Classifier(torch_scorers(model, how), Reading(tokenizer=how.tokenizer, max_length=LENGTH))
    for labels, want in ((LABELS, chances), ([LABELS] * 3 + [LABELS[::-1]], [*chances[:3], chances[3][::-1]])):
        found = classifier.score(TEXTS, label_sets(labels, 4), Question(way="matching"))
        assert found.score.reshape(4, 5) == pytest.approx(np.array(want), abs=1e-5)
        assert found.long.tolist() == [False, True, False, False]
    some = classifier.score(TEXTS[:2], label_sets([LABELS[:2], LABELS[2:]], 2), Question(way="matching")).score
    assert some[:2].sum() == pytest.approx(1) and some[2:].sum() == pytest.approx(1)


def test_names_are_read_once(model: Model, how: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next texts wait for new names alone and get the same scores; with little room the oldest are read again."""
    scorers, reading = torch_scorers(model, how), Reading(tokenizer=how.tokenizer, max_length=LENGTH)
    asked, question = label_sets(LABELS, 1), Question(way="matching")
    fresh = [Classifier(torch_scorers(model, how), reading).score([text], asked, question) for text in TEXTS]
    read: list[int] = []
    call = type(scorers.vectors).__call__
    monkeypatch.setattr(type(scorers.vectors), "__call__", lambda *given: read.append(len(given[1])) or call(*given))  # type: ignore[func-returns-value]
    for text, wanted in zip(TEXTS, fresh, strict=True):
        found = Classifier(scorers, reading).score([text], asked, question)
        assert found.score == pytest.approx(wanted.score, abs=1e-6)
    assert sum(read) == len(LABELS) + len(TEXTS)


def test_few_are_remembered() -> None:
    """The oldest vectors go first; equal words are read once."""
    few, read = Remembered(most=2), list[str]()

    def vectors(words: list[str]) -> np.ndarray:
        read.extend(words)
        return np.array([[ord(word), 1.0] for word in words], np.float32)

    for said, wanted in (("aba", "ab"), ("b", ""), ("c", "c"), ("b", ""), ("a", "a"), ("", "")):
        read.clear()
        found = few.of([(word, 8) for word in said], vectors)
        assert "".join(read) == wanted
        assert [chr(int(vector[0])) for vector in found] == list(said)


def test_auto_is_matching_where_it_can_answer(model: Model, how: Answering) -> None:
    """Not under a template of one's own nor for labels by themselves, which take what else the model has."""
    classifier = Classifier(torch_scorers(model, how), Reading(tokenizer=how.tokenizer, max_length=LENGTH))
    assert classifier.ways(Question()) == classifier.ways(Question(way="all")) == ("matching",)
    for more in ({"multi_label": True}, {"none_below": 0.5}, {"templates": ("It is {}.",)}):
        assert classifier.ways(Question(**more)) == ("pairs",)  # type: ignore[arg-type]
        if "templates" not in more:
            with pytest.raises(ModelError, match="no entailment head"):
                classifier.ways(Question(way="all", **more))  # type: ignore[arg-type]


def test_what_matching_cannot_say_is_refused(model: Model, how: Answering) -> None:
    """Several labels at once take another way, and so does a model without the head."""
    reading = Reading(tokenizer=how.tokenizer, max_length=LENGTH)
    classifier = Classifier(torch_scorers(model, how), reading)
    for more in ({"multi_label": True}, {"none_below": 0.5}):
        with pytest.raises(DataError, match="nearest"):
            classifier.answers(TEXTS, label_sets(LABELS, 4), Question(way="matching", **more))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match='recast = \\["matching"\\]'):
        Classifier(Scorers(), reading).answers(TEXTS, label_sets(LABELS, 4), Question(way="matching"))


def test_keeping_holds_cosines_where_they_were(
    tiny_bert: Path, model: Model, store: TaskStore, how: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a text grows by the mean squared move of its cosines with texts and names of other rows, and with
    nothing moved by nothing; padded and packed alike, and never at prediction."""
    batch = batcher(store, how).assemble(drawn(store))
    untouched = Encoder.open(tiny_bert)
    moved = Encoder.open(tiny_bert, seed=1)
    with torch.no_grad():
        for parameter in moved.base.encoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)) * 0.05)
    twin = Model(moved, model.table).eval()
    twin.head_weight.data.copy_(model.head_weight)
    before, after = (
        {text: vectors(one, how, [text])[0] for text in (*TEXTS, *LABELS)} for one in (model, twin)
    )  # fmt: skip
    rows = [(text, LABELS) for text in TEXTS] + [(TEXTS[0], LABELS[:2])]
    expected = []
    for place, (text, _) in enumerate(rows):
        others = [one for other, (said, names) in enumerate(rows) if other != place for one in (said, *names)]
        moves = [after[text] @ after[name] - before[text] @ before[name] for name in others]
        expected.append(7 * float(np.mean(np.square(moves))))
    assert max(expected) > 1e-3
    for packed in (False, True):
        monkeypatch.setattr(Encoder, "packs", property(lambda _, packed=packed: packed))
        for one, want in ((twin, expected), (model, [0.0] * 5)):
            plain = one(one.prepare(batch)).example_loss
            monkeypatch.setattr(one, "keeping", Keeping(untouched, 7.0))
            assert torch.equal(one(one.prepare(batch)).example_loss, plain)
            with_dropout_off(one)
            found = one(one.prepare(batch)).example_loss - plain
            one.eval()
            assert found.tolist() == pytest.approx(want, abs=2e-4)


def with_dropout_off(model: Model) -> None:
    """Put a model into training mode with nothing random in it."""
    model.train()
    model.encoder.eval()
