"""What a step is made of: class weights, and the largest micro-batch of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from taskloom.config import RunConfig
from taskloom.data.hashing import hashed, key_of
from taskloom.data.rows import CHOICE, CLASSES, SCORE, Drawn
from taskloom.progress import Progress
from taskloom.run_file import load_config
from taskloom.training.building import build_model
from taskloom.training.plan import Plan, make_plan
from taskloom.training.steps import StepSource, balanced_weights
from taskloom.workflows.preparing import prepare


@pytest.fixture
def run_file(tmp_path: Path, tiny_bert: Path) -> Path:
    """A run file over an uneven classification, a regression, and rows of very different lengths."""
    labels = ["a"] * 30 + ["b"] * 15 + ["c"] * 5
    rows = [f"{'long text ' * (30 if n == 44 else 1)}cat {n},{label},{n % 3}" for n, label in enumerate(labels)]
    (tmp_path / "rows.csv").write_text("text,label,score\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "held.csv").write_text("text,label,score\ncat,a,0\n", encoding="utf-8")
    common = 'files = { train = "rows.csv", validation = "held.csv" }\ntext = "text"\n'
    path = tmp_path / "run.toml"
    path.write_text(
        f'encoder = "{tiny_bert}"\n[data]\ntasks = []\nmax_length = 64\n'
        '[training]\nsteps = 4\nbatch_size = 25\nprecision = "fp32"\ntokens_per_micro_batch = 256\n'
        f'[[task]]\nid = "own/classes"\nkind = "classification"\nlabel = "label"\n{common}'
        f'[[task]]\nid = "own/scores"\nkind = "regression"\nscore = "score"\nlow = 0\nhigh = 2\n{common}',
        encoding="utf-8",
    )
    return path


def source_of(config: RunConfig) -> tuple[Plan, StepSource]:
    """Return the plan of a run and what makes its steps."""
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.modeling.encoder import resolve_encoder

    pairs = list(prepare(config).trainable())
    plan = make_plan(config, [task for task, _ in pairs], [store for _, store in pairs])
    folder = resolve_encoder(config.encoder)
    model = build_model(config, plan, folder, progress=Progress())
    return plan, StepSource(plan, model, Tokenizer.open(folder), config)


def weights_of(batch: Any) -> dict[tuple[int, int], set[float]]:
    """Return (task, label) -> the weights that its examples have."""
    found: dict[tuple[int, int], set[float]] = {}
    for prepared in batch.micro_batches:
        micro = prepared.batch
        for task, label, weight in zip(micro.task.tolist(), micro.label.tolist(), micro.weight.tolist(), strict=True):
            found.setdefault((task, label), set()).add(round(weight, 5))
    return found


def test_balanced_weights_are_scikit_learns(run_file: Path) -> None:
    """rows / (classes x rows of the class), for classification alone; on average a row weighs 1."""
    plan, source = source_of(load_config(run_file, ["training.class_weights=balanced"]))
    labels = plan.train_splits[0].labels
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    weights = balanced_weights(plan, source.model.table)
    assert weights[:3].tolist() == pytest.approx(expected.tolist())
    assert weights[3:].tolist() == [1.0]
    assert weights[torch.tensor(labels)].mean().item() == pytest.approx(1.0)
    found = weights_of(source(1))
    assert {key: value for key, value in found.items() if key[0] == 0} == {
        (0, label): {round(float(weight), 5)} for label, weight in enumerate(expected) if (0, label) in found
    }
    assert found[1, -1] == {1.0}


def test_choices_have_no_class_weight(run_file: Path) -> None:
    """A choice's label is a place, up to `max_choices` - 1, and no row of the head: its examples weigh 1."""
    rows = [{"q": f"cat {n}", "options": [f"dog {n} {place}" for place in range(6)], "at": n % 6} for n in range(30)]
    (run_file.parent / "choices.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    with run_file.open("a", encoding="utf-8") as file:
        file.write('[[task]]\nid = "own/choices"\nkind = "multiple_choice"\nfiles = { train = "choices.jsonl" }\n')
        file.write('prompt = "q"\nchoices = "options"\nlabel = "at"\n')
    _, source = source_of(load_config(run_file, ["training.class_weights=balanced"]))
    found: dict[tuple[int, int], set[float]] = {}
    for step in range(1, 5):
        for key, values in weights_of(source(step)).items():
            found.setdefault(key, set()).update(values)
    assert {label for task, label in found if task == 2} == set(range(6))
    assert all(values == {1.0} for (task, _), values in found.items() if task == 2)
    assert all(values != {1.0} for (task, _), values in found.items() if task == 0)


def test_without_the_setting_every_row_weighs_one(run_file: Path) -> None:
    """The default changes nothing."""
    _, source = source_of(load_config(run_file))
    assert set().union(*weights_of(source(1)).values()) == {1.0}


def test_the_longest_micro_batch_holds_the_longest_row(run_file: Path) -> None:
    """It fills the budget and is at least as long as any micro-batch of the run's steps."""
    plan, source = source_of(load_config(run_file))
    longest = next(source.rehearsals()).micro_batches[0]
    assert longest.batch.input_ids.shape[1] == 64
    assert longest.batch.input_ids.numel() <= 256
    widest = max(one.batch.input_ids.shape[1] for step in range(1, 5) for one in source(step).micro_batches)
    assert widest == 64
    assert plan.steps == 4


def test_every_kind_of_task_is_rehearsed(run_file: Path) -> None:
    """A run with choices beside classes has a batch of each, with the longest rows of its kind."""
    rows = [{"q": "which?", "options": ["a", "b " * at], "at": 0} for at in range(30)]
    (run_file.parent / "choices.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    with run_file.open("a", encoding="utf-8") as file:
        file.write('[[task]]\nid = "own/choices"\nkind = "multiple_choice"\nfiles = { train = "choices.jsonl" }\n')
        file.write('prompt = "q"\nchoices = "options"\nlabel = "at"\n')
    plan, source = source_of(load_config(run_file))
    found = list(source.rehearsals())
    kinds = [{int(kind) for micro in batch.micro_batches for kind in micro.batch.kind} for batch in found]
    assert kinds == [{CLASSES}, {SCORE}, {CHOICE}]
    lengths = plan.train_splits[2].lengths
    (choices,) = found[2].micro_batches
    assert int(lengths.argmax()) in choices.batch.place.tolist()


def test_a_pool_is_drawn_once(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps in order draw each step of the mixture once, and have the rows that each has when asked for alone: its part
    of the pool sorted by length."""
    plan, source = source_of(load_config(run_file, ["training.pool_steps=3"]))
    expected = []
    for step in range(1, 8):
        pool, part = divmod(step - 1, 3)
        drawn = [plan.drawn(one) for one in range(3 * pool + 1, 3 * pool + 4)]
        rows = Drawn(*(np.concatenate([getattr(one, name) for one in drawn]) for name in ("task", "place", "epoch")))
        order = source.batcher.by_length(rows)
        turn = np.argsort(hashed(key_of("pool", source.seed, pool), np.arange(3)))
        size = len(order) // 3
        expected.append(rows.take(order[turn[part] * size : (turn[part] + 1) * size]))
    asked: list[int] = []
    original = Plan.drawn
    monkeypatch.setattr(Plan, "drawn", lambda self, step: (asked.append(step), original(self, step))[1])
    for step in (*range(1, 8), 2):  # and back
        found, wanted = source.drawn(step), expected[step - 1]
        for name in ("task", "place", "epoch"):
            assert np.array_equal(getattr(found, name), getattr(wanted, name)), (step, name)
    assert asked == [*range(1, 10), 1, 2, 3]


def test_word_rows_of_a_step_are_those_with_a_gradient(run_file: Path) -> None:
    """What travels between processes of the word embeddings is all that has a gradient."""
    _, source = source_of(load_config(run_file))
    batch = source(1)
    for prepared in batch.micro_batches:
        source.model(prepared).loss_sum.backward()
    gradient = source.model.encoder.word_embeddings.weight.grad
    assert gradient is not None
    touched = gradient.abs().sum(1).nonzero()[:, 0]
    assert torch.isin(touched, batch.used[source.word_embeddings]).all()


def test_padding_is_what_is_computed_and_not_read(run_file: Path) -> None:
    """An encoder that packs computes tokens rounded up, in parts of about equal size; another one the padding."""
    config = load_config(run_file, ["training.batch_size=90", "training.tokens_per_micro_batch=8192"])
    _, source = source_of(config)
    batch = source(1)
    assert batch.tokens <= batch.padded_tokens < batch.tokens + 64 * len(batch.micro_batches)
    assert len(batch.micro_batches) == 4
    source.model.encoder.compiled = True
    padded = StepSource(source.plan, source.model, source.batcher.tokenizer, config)(1)
    assert padded.padded_tokens == sum(one.batch.input_ids.numel() for one in padded.micro_batches)
    rows = [sorted(row for one in found.micro_batches for row in one.batch.row.tolist()) for found in (batch, padded)]
    assert rows[0] == rows[1]
