"""The model: one loss for a mixed batch, gradients that do not depend on the cut, a folder that opens everywhere."""

from __future__ import annotations

import dataclasses
import json
from itertools import permutations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_heads import plain_loss
from torch import Tensor
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from made_batches import NLI, TASKS, described, random_batch, take
from taskloom.errors import ModelError
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.model import Model, scaled_scores
from taskloom.modeling.tensors import on_device


def made(folder: Path, tasks: list[dict[str, object]] | None = None, **options: object) -> Model:
    """Return a model with visible random heads and task embeddings, without dropout."""
    model = Model(Encoder.open(folder), HeadTable.make(tasks or TASKS), **options)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in (model.head_weight, model.head_bias, model.task_embedding):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model.eval()


@pytest.fixture(params=["bert", "deberta"])
def folder(request: pytest.FixtureRequest) -> Path:
    """The tiny encoders."""
    found: Path = request.getfixturevalue(f"tiny_{request.param}")
    return found


def gradients(model: Model) -> dict[str, Tensor]:
    """Return copies of all gradients, and forget them."""
    found = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    return found


@torch.no_grad()
def test_loss_of_a_mixed_batch(folder: Path) -> None:
    """Losses per example equal the plain ones task by task; the sums are weight x loss and weights."""
    model = made(folder, label_smoothing=0.1)
    batch = random_batch(model.table)
    output = model(model.prepare(batch))
    pooled, words = model.features(batch, use_task_embedding=True)
    logits, word_logits = (units @ model.head_weight.T + model.head_bias for units in (pooled, words))
    expected = torch.stack(
        [
            plain_loss(example, logits, word_logits, batch, model.table.heads[int(task)], smoothing=0.1)
            for example, task in enumerate(batch.task)
        ]
    )
    torch.testing.assert_close(output.example_loss, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(output.loss_sum, (expected * batch.weight).sum(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(output.weight_sum, batch.weight.sum())


@pytest.mark.parametrize("scaling", ["none", "log_labels", "uncertainty"])
def test_no_value_is_asked_of_a_device(tiny_bert: Path, scaling: str, valueless: torch.device) -> None:
    """All but the encoder's layers computes forward and backward on a device that has no values: a GPU is never waited
    for, and nothing is left on the CPU."""
    model = Model(Encoder.open(tiny_bert), HeadTable.make(TASKS), loss_scaling=scaling, label_smoothing=0.1).to(
        valueless
    )
    output = model.train()(on_device(model.prepare(random_batch(model.table)), valueless))
    output.loss_sum.backward()
    assert output.example_loss.device == valueless
    assert {name for name, value in model.named_parameters() if value.grad is not None} >= {
        *model.row_parameters(), model.word_embeddings
    }  # fmt: skip


@pytest.mark.parametrize("scaling", ["none", "log_labels", "uncertainty"])
def test_cut_into_micro_batches_does_not_change_the_step(folder: Path, scaling: str) -> None:
    """Gradients summed over micro-batches, divided once by the total weight, equal those of one big batch."""
    model = made(folder, loss_scaling=scaling).double()
    batch = random_batch(model.table, examples=24)
    batch = dataclasses.replace(batch, score=batch.score.double(), weight=batch.weight.double())
    whole = model(model.prepare(batch))
    (whole.loss_sum / whole.weight_sum).backward()
    expected = gradients(model)
    examples = torch.arange(24)
    parts = [take(batch, examples[batch.task % 3 == remainder]) for remainder in range(3)]
    losses = []
    for part in parts:
        output = model(model.prepare(part))
        (output.loss_sum / whole.weight_sum).backward()
        losses.append(output.loss_sum.detach())
    found = gradients(model)
    torch.testing.assert_close(sum(losses), whole.loss_sum.detach(), rtol=1e-6, atol=1e-6)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-6, msg=name)


def test_mask_of_ones_is_no_mask(folder: Path) -> None:
    """A batch without padding gives the same losses and gradients with a mask of ones as without one."""
    model = made(folder)
    batch = random_batch(model.table, padded=False)
    found = []
    for mask in (None, torch.ones_like(batch.input_ids)):
        output = model(model.prepare(dataclasses.replace(batch, attention_mask=mask)))
        output.loss_sum.backward()
        found.append((output.example_loss.detach(), gradients(model)))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-5)
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, rtol=1e-4, atol=1e-4, msg=name)


def test_only_rows_of_the_batch_have_gradients(tiny_bert: Path) -> None:
    """The routing names every row that a step touches; the others have no gradient."""
    model = made(tiny_bert, loss_scaling="uncertainty")
    batch = random_batch(model.table)
    prepared = model.prepare(take(batch, (batch.task % 2 == 1).nonzero()[:, 0]))
    model(prepared).loss_sum.backward()
    touched = {"head_weight": prepared.routing.rows, "head_bias": prepared.routing.rows}
    touched |= {"task_embedding": prepared.routing.tasks, "log_variance": prepared.routing.tasks}
    assert model.row_parameters().keys() == touched.keys()
    for name, parameter in model.row_parameters().items():
        moved = parameter.grad.reshape(len(parameter), -1).any(dim=1).nonzero()[:, 0]
        # The bias of a choice is the same for all choices of a row, so its gradient is zero up to rounding.
        choice = next(head.rows[0] for head in model.table.heads if head.kind == "multiple_choice")
        apart = {choice} if name == "head_bias" else set()
        assert set(moved.tolist()) - apart == set(touched[name].tolist()) - apart, name
    assert len(prepared.routing.rows) < model.table.size


def vectors_seen(model: Model, monkeypatch: pytest.MonkeyPatch, examples: int) -> Tensor:
    """Return the vectors that the encoder is given for `examples` examples of the first task."""
    seen: list[Tensor | None] = []

    def watched(input_ids: Tensor, _: object, *, first_vector: Tensor, **__: object) -> tuple[Tensor, Tensor]:
        seen.append(first_vector)
        width = model.encoder.hidden_width
        return torch.zeros(len(input_ids), width), torch.zeros(0, width)

    monkeypatch.setattr(model.encoder, "forward_packed", watched)
    batch = random_batch(HeadTable.make(TASKS[:1]), examples=examples, length=6, padded=False)
    model(model.prepare(batch))
    assert seen[0] is not None
    return seen[0]


def test_task_embedding_is_dropped_for_a_tenth_of_examples(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In training 10 % of the examples go without, whole vectors, drawn by torch's seed; in evaluation none."""
    model = made(tiny_bert, TASKS[:1])
    vector = model.task_embedding[0]
    model.train()
    torch.manual_seed(5)
    first = vectors_seen(model, monkeypatch, 20_000)
    dropped = (first == 0).all(dim=1)
    assert abs(float(dropped.float().mean()) - 0.1) < 0.01
    assert torch.equal(first[~dropped], vector.expand(int((~dropped).sum()), -1))
    torch.manual_seed(5)
    assert torch.equal(vectors_seen(model, monkeypatch, 20_000), first)
    assert not torch.equal(vectors_seen(model, monkeypatch, 20_000), first)
    model.eval()
    assert torch.equal(vectors_seen(model, monkeypatch, 2_000), vector.expand(2_000, -1))
    never = made(tiny_bert, TASKS[:1], task_embedding_drop=0.0).train()
    assert torch.equal(vectors_seen(never, monkeypatch, 2_000), vector.expand(2_000, -1))


def test_task_embeddings_are_dropped_as_often_as_their_task_says(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One task's embedding is always dropped, the others' never, in the same batch."""
    drops = [1.0, *[0.0] * (len(TASKS) - 1)]
    model = made(tiny_bert, task_embedding_drop=drops).train()
    batch = random_batch(model.table, examples=64)
    vectors = model._task_vectors(batch, model.prepare(batch).routing)
    assert torch.equal((vectors == 0).all(dim=1), (batch.task == 0) | ~model.embedded[batch.task].bool())
    assert 0 < int((batch.task == 0).sum()) < 64


@torch.no_grad()
def test_task_embedding_starts_at_zero_and_can_be_left_out(tiny_bert: Path) -> None:
    """A fresh model answers the same with and without; leaving out equals vectors of zero."""
    model = made(tiny_bert)
    prepared = model.prepare(random_batch(model.table))
    without = model(prepared, use_task_embedding=False).example_loss
    assert (model(prepared).example_loss - without).abs().max() > 1e-3
    model.task_embedding.zero_()
    assert torch.equal(model(prepared).example_loss, without)
    assert not Model(Encoder.open(tiny_bert), model.table).task_embedding.any()


@torch.no_grad()
def test_loss_scalings(tiny_bert: Path) -> None:
    """log_labels divides softmax losses by the log of the count; uncertainty weighs and adds half the log variance."""
    model = made(tiny_bert)
    prepared = model.prepare(random_batch(model.table))
    plain = model(prepared).example_loss
    model.loss_scaling = "log_labels"
    torch.testing.assert_close(model(prepared).example_loss, plain / prepared.routing.log_count)
    model.loss_scaling = "uncertainty"
    torch.testing.assert_close(model(prepared).example_loss, plain)
    model.log_variance.copy_(torch.linspace(-1, 1, len(model.log_variance)))
    spread = model.log_variance[prepared.batch.task]
    torch.testing.assert_close(model(prepared).example_loss, plain / spread.exp() + spread / 2)


def test_same_seed_same_heads(tiny_bert: Path) -> None:
    """New head rows are drawn from the seed and leave torch's random state alone."""
    before = torch.get_rng_state()
    first, same, other = (Model(Encoder.open(tiny_bert), HeadTable.make(TASKS), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.head_weight, same.head_weight)
    assert not torch.equal(first.head_weight, other.head_weight)


def save(model: Model, folder: Path, encoder: Path, **options: object) -> Path:
    """Save a model trained at 48 tokens."""
    model.save(folder, tokenizer_folder=encoder, max_length=48, encoder_name="tiny", **options)
    return folder


@torch.no_grad()
def test_saved_model_opens_the_same(folder: Path, tmp_path: Path) -> None:
    """Every parameter and every loss survives; heads.json says what is in it."""
    model = made(folder, loss_scaling="uncertainty")
    again = Model.load(save(model, tmp_path / "model", folder, files={"README.md": "# Card\n"}))
    assert model.state_dict().keys() == again.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    prepared = model.prepare(random_batch(model.table))
    assert torch.equal(model(prepared).example_loss, again(prepared).example_loss)
    assert again.table == model.table and not again.training
    record = json.loads((tmp_path / "model" / "heads.json").read_text())
    assert {name: record[name] for name in ("version", "encoder", "max_length", "loss_scaling", "zero_shot")} == {
        "version": 1, "encoder": "tiny", "max_length": 48, "loss_scaling": "uncertainty", "zero_shot": "nli/a@1",
    }  # fmt: skip
    assert AutoTokenizer.from_pretrained(tmp_path / "model").model_max_length == 48
    assert (tmp_path / "model" / "README.md").read_text() == "# Card\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@torch.no_grad()
def test_saved_model_opens_with_transformers(folder: Path, tmp_path: Path) -> None:
    """AutoModel reads the encoder; AutoModelForSequenceClassification has the NLI head on top, entailment first."""
    model = made(folder)
    save(model, tmp_path / "model", folder)
    batch = random_batch(model.table)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    pooled, hidden = model.encoder(**inputs)
    base, info = AutoModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not info["missing_keys"]
    real = batch.attention_mask.bool()
    torch.testing.assert_close(base.eval()(**inputs)[0][real], hidden[real], rtol=1e-5, atol=1e-5)
    top, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert top.config.id2label == dict(enumerate(NLI))
    assert top.config.label2id == {name: place for place, name in enumerate(NLI)}
    expected = model.head_logits(pooled, model.table.heads[0])
    torch.testing.assert_close(top.eval()(**inputs).logits, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("labels", [*permutations(NLI), ("not_entailment", "entailment")])
def test_classifier_on_top_has_one_order(labels: tuple[str, ...], tiny_bert: Path, tmp_path: Path) -> None:
    """Whatever a task's own order of labels, the saved classifier has entailment first and each label's own logit."""
    model = made(tiny_bert, [TASKS[2], described("nli", "classification", labels)])
    save(model, tmp_path / "model", tiny_bert)
    top = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    ids = random_batch(model.table).input_ids
    ours = model.head_logits(model.encoder(ids)[0], model.table.heads[1])
    order = [name for name in (*NLI, "not_entailment") if name in labels]
    assert [top.config.id2label[place] for place in range(len(order))] == order
    torch.testing.assert_close(top(ids).logits, ours[:, [labels.index(name) for name in order]], rtol=1e-5, atol=1e-5)


def test_model_without_entailment_is_saved_without_classifier(tiny_bert: Path, tmp_path: Path) -> None:
    """There is then no zero-shot head, in heads.json or on top, and the folder opens all the same."""
    save(made(tiny_bert, TASKS[2:5]), tmp_path / "model", tiny_bert)
    assert json.loads((tmp_path / "model" / "heads.json").read_text())["zero_shot"] is None
    assert not [name for name in load_file(tmp_path / "model" / "model.safetensors") if name.startswith("classifier")]
    assert Model.load(tmp_path / "model").table.zero_shot() is None


def test_saving_replaces_whole_or_not_at_all(tiny_bert: Path, tmp_path: Path) -> None:
    """A second save takes the first one's place; one that fails leaves the first as it was, and nothing behind."""
    model = made(tiny_bert)
    target = save(model, tmp_path / "model", tiny_bert, files={"old.txt": ""})
    with pytest.raises(FileNotFoundError):
        save(model, target, tiny_bert, files={"no/such/folder.txt": ""})
    assert (target / "old.txt").exists() and [path.name for path in tmp_path.iterdir()] == ["model"]
    save(model, target, tiny_bert, files={"new.txt": ""})
    assert (target / "new.txt").exists() and not (target / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_training_goes_on_after_saving(tiny_bert: Path, tmp_path: Path) -> None:
    """Saving leaves the model as it was: same loss, same labels in its configuration."""
    model = made(tiny_bert)
    prepared = model.prepare(random_batch(model.table))
    before, labels = model(prepared).example_loss, dict(model.encoder.config.id2label)
    save(model, tmp_path / "model", tiny_bert)
    assert torch.equal(model(prepared).example_loss, before)
    assert model.encoder.config.id2label == labels


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "encoder", "stray"])
def test_loading_is_strict(change: str, tiny_bert: Path, tmp_path: Path) -> None:
    """A tensor too few, too many or of another shape is an error, in the heads and in the encoder."""
    target = save(made(tiny_bert), tmp_path / "model", tiny_bert)
    name = "model.safetensors" if change in ("encoder", "stray") else "heads.safetensors"
    weights = load_file(target / name)
    if change == "missing":
        del weights["task_embedding"]
    elif change == "shape":
        weights["head_bias"] = weights["head_bias"][:-1]
    elif change == "encoder":
        del weights["bert.pooler.dense.weight"]
    else:
        weights["more"] = torch.zeros(1)
    save_file(weights, target / name, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="fit"):
        Model.load(target)


def test_folders_that_are_no_model(tiny_bert: Path, tmp_path: Path) -> None:
    """An encoder's folder, a damaged heads.json and one of another version are named as such."""
    with pytest.raises(ModelError, match="not a taskloom model"):
        Model.load(tiny_bert)
    target = save(made(tiny_bert), tmp_path / "model", tiny_bert)
    record = json.loads((target / "heads.json").read_text())
    (target / "heads.json").write_text(json.dumps(record | {"version": 99}))
    with pytest.raises(ModelError, match="version 99, this taskloom reads 1"):
        Model.load(target)
    (target / "heads.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        Model.load(target)


def test_scores_are_in_units_and_clipped() -> None:
    """Outputs of 0 and 1 are the ends of the scale, and nothing lies outside."""
    head = HeadTable.make([described("s", "regression", low=1.0, high=5.0)]).heads[0]
    found = scaled_scores(torch.tensor([-0.5, 0.0, 0.25, 1.0, 2.0]).numpy(), head)
    assert found.tolist() == [1.0, 1.0, 2.0, 5.0, 5.0]
