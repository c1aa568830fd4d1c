"""The optimizer: row-wise AdamW against torch's, untouched rows, the schedule, groups and state."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taskloom.config import TrainingConfig
from taskloom.training.lazy_adamw import LazyAdamW
from taskloom.training.optimizer import BETAS, EPSILON, Optimizer, RowAdamW, layers_of, learning_rate


def test_all_rows_used_equals_torch_adamw() -> None:
    """With every row used in every step, the row-wise AdamW gives torch's AdamW."""
    start = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    rowwise = RowAdamW({"rows": ours}, weight_decay=0.1)
    dense = torch.optim.AdamW([theirs], lr=0.01, betas=BETAS, eps=EPSILON, weight_decay=0.1)
    for step in range(20):
        gradient = torch.randn(7, 5, generator=torch.Generator().manual_seed(step + 1))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        rowwise.step({"rows": torch.arange(7)}, rate=0.01)
        dense.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_unused_rows_do_not_move() -> None:
    """A row that no task of the step reads keeps its value, its moments and its step count."""
    parameter = torch.nn.Parameter(torch.ones(4, 3))
    rowwise = RowAdamW({"rows": parameter}, weight_decay=0.1)
    for used in ([0, 1, 2, 3], [1, 3], [1]):
        before = parameter.detach().clone()
        parameter.grad = torch.zeros(4, 3)
        parameter.grad[used] = 1.0
        rowwise.step({"rows": torch.tensor(used)}, rate=0.1)
        untouched = [row for row in range(4) if row not in used]
        assert torch.equal(parameter[untouched], before[untouched])
        assert not torch.equal(parameter[used], before[used])
    assert rowwise.state["rows"]["steps"].tolist() == [1, 3, 1, 2]


def test_a_used_row_without_gradient_does_not_move() -> None:
    """A task whose embedding was dropped in all its examples of a step gets no decay and no momentum."""
    parameter = torch.nn.Parameter(torch.ones(2, 3))
    rowwise = RowAdamW({"rows": parameter}, weight_decay=0.5)
    parameter.grad = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    rowwise.step({"rows": torch.tensor([0, 1])}, rate=0.1)
    assert torch.equal(parameter[0], torch.ones(3))
    assert not torch.equal(parameter[1], torch.ones(3))


def _both(
    steps: int, *, rows: int, seed: int, scale: float = 1.0, before: int = 0
) -> tuple[torch.nn.Parameter, LazyAdamW, torch.Tensor]:
    """Train a matrix by lazy AdamW and another by torch's, with some rows used in each step; return both.

    Row 0 is used in every step; after `before` row 1 once, the last one never, the rest now and then.
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(rows, 6, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    lazy = LazyAdamW(ours, betas=BETAS, epsilon=EPSILON, weight_decay=0.1)
    dense = torch.optim.AdamW([theirs], lr=0.01, betas=BETAS, eps=EPSILON, weight_decay=0.1, fused=True)
    for step in range(1, before + steps + 1):
        often = [row for row in range(2, rows - 1) if step > before and step % row == 1 % row]
        used = torch.tensor([0] + [1] * (step == before + 1) + often)
        gradient = torch.randn(len(used), 6, generator=generator) * scale
        lazy.catch_up(used)
        dense.param_groups[0]["lr"] = rate = 0.01 * (1 - step / (before + steps + 1))
        theirs.grad = torch.zeros_like(theirs).index_copy_(0, used, gradient)
        assert (ours[used] - theirs[used]).abs().max() < 0.15 * 0.01
        dense.step()
        lazy.step(used, gradient, rate=rate)
    return ours, lazy, theirs.detach()


@pytest.mark.parametrize(
    "steps, scale, before", [(3, 1.0, 0), (60, 1.0, 0), (60, 1e-5, 500), (60, 1e-8, 500), (400, 1e-3, 100)]
)
def test_lazy_adamw_is_torch_adamw(steps: int, scale: float, before: int) -> None:
    """Once they are caught up, all rows are where AdamW has them; so they are in an evaluation on the way."""
    ours, lazy, theirs = _both(steps, rows=40, seed=1, scale=scale, before=before)
    assert not torch.allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    with lazy.settled():
        torch.testing.assert_close(ours.detach(), theirs, rtol=2e-5, atol=4e-6)
    assert not torch.allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    lazy.catch_up()
    torch.testing.assert_close(ours.detach(), theirs, rtol=2e-5, atol=4e-6)


@pytest.mark.parametrize("scale", [1e-4, 1e-6, 1e-8])
def test_lazy_adamw_at_the_start_is_off_by_less_than_a_step(scale: float) -> None:
    """From the first step on, with gradients near epsilon, no row is ever off by 0.15 of the rate."""
    ours, lazy, theirs = _both(60, rows=12, seed=2, scale=scale)
    lazy.catch_up()
    assert (ours - theirs).abs().max() < 0.15 * 0.01


def test_settled_rows_go_back_to_their_bits() -> None:
    """An evaluation in the middle changes neither a weight nor the state."""
    ours, lazy, _ = _both(20, rows=9, seed=3)
    before = [ours.detach().clone(), *(value.clone() for value in lazy.state_tensors().values())]
    with lazy.settled():
        pass
    after = [ours.detach(), *lazy.state_tensors().values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@given(
    steps=st.integers(1, 3000), warmup=st.integers(0, 1000), schedule=st.sampled_from(["linear", "cosine", "constant"])
)
@settings(max_examples=60, deadline=None)
def test_learning_rate_is_positive_and_at_most_the_peak(steps: int, warmup: int, schedule: str) -> None:
    """Every step of every schedule trains with a rate above 0 and at most the peak; the peak is reached."""
    rates = [
        learning_rate(step, steps=steps, peak=1.0, schedule=schedule, warmup_steps=warmup)
        for step in range(1, steps + 1)
    ]
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) == 1.0


def test_warmup_is_at_most_a_tenth_of_the_steps() -> None:
    """500 warm-up steps in a run of 100 become 10, after which the rate is at its peak."""
    rates = [learning_rate(step, steps=100, peak=1.0, schedule="linear", warmup_steps=500) for step in range(1, 101)]
    assert rates.index(1.0) == 9
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def _optimizer(model: torch.nn.Module, sparse: tuple[str, ...] = (), **changes: object) -> Optimizer:
    parameters = dict(model.named_parameters())
    encoder = {name: parameter for name, parameter in parameters.items() if name != "rows"}
    return Optimizer(
        encoder=encoder,
        rows={"rows": parameters["rows"]},
        layer_of=layers_of(encoder),
        settings=TrainingConfig(**{"learning_rate": 0.01, "warmup_steps": 0} | changes),
        steps=10,
        sparse=sparse,
    )


class _Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embeddings = torch.nn.Embedding(5, 4)
        self.layer = torch.nn.ModuleList([torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)])
        self.rows = torch.nn.Parameter(torch.randn(3, 4))

    def loss(self, step: int) -> torch.Tensor:
        ids = torch.tensor([step % 5, (step + 2) % 5])
        hidden = self.layer[1](torch.tanh(self.layer[0](self.embeddings(ids))))
        return (hidden @ self.rows[:2].T).square().sum()


def _used(step: int) -> dict[str, torch.Tensor]:
    return {"rows": torch.tensor([0, 1]), "embeddings.weight": torch.tensor([step % 5, (step + 2) % 5])}


def _train(model: _Small, optimizer: Optimizer, steps: range, *, clip: float = 0.0) -> None:
    for step in steps:
        optimizer.begin(_used(step))
        model.loss(step).backward()
        optimizer.clip(clip, _used(step))
        optimizer.step(step, _used(step))
        optimizer.zero_grad(_used(step))


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_sparse_parameters_train_as_dense_ones(layer_decay: float) -> None:
    """With lazy word embeddings, clipping and a decay of rates by layer, training ends where dense AdamW ends."""
    ends = []
    for sparse in ((), ("embeddings.weight",)):
        model = _Small()
        optimizer = _optimizer(model, sparse, layer_decay=layer_decay)
        _train(model, optimizer, range(1, 11), clip=0.5)
        optimizer.settle()
        ends.append(model.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-5, atol=1e-6)


def test_zeroing_used_rows_is_dropping_all_gradients() -> None:
    """Steps that keep the matrices and clear the rows they used end in the very weights of steps that drop them all."""
    ends = []
    for keep in (False, True):
        model = _Small()
        optimizer = _optimizer(model)
        for step in range(1, 9):
            model.loss(step).backward()
            used = _used(step)
            optimizer.step(step, used)
            matrix = model.embeddings.weight.grad
            optimizer.zero_grad(used if keep else None)
            assert (model.embeddings.weight.grad is matrix) == keep
        ends.append(model.state_dict())
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name]), name


@pytest.mark.parametrize("sparse", [(), ("embeddings.weight",)])
def test_state_restores_bit_for_bit(sparse: tuple[str, ...]) -> None:
    """Ten steps in one go equal five, a saved and restored state, and five more, bit for bit."""
    whole = _Small()
    _train(whole, _optimizer(whole, sparse), range(1, 11))
    first = _Small()
    optimizer = _optimizer(first, sparse)
    _train(first, optimizer, range(1, 6))
    saved = {name: value.clone() for name, value in optimizer.state_tensors().items()}
    second = _Small()
    second.load_state_dict(first.state_dict())
    resumed = _optimizer(second, sparse)
    resumed.load_state_tensors(saved)
    _train(second, resumed, range(6, 11))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_state_goes_where_its_parameter_is() -> None:
    """All that is restored lies on the parameter's device, the count of steps included; the given tensors are copied.

    The fused AdamW refuses a count that lies elsewhere. The device without memory stands for a GPU.
    """
    model = _Small()
    optimizer = _optimizer(model)
    _train(model, optimizer, range(1, 3))
    saved = {name: value.clone() for name, value in optimizer.state_tensors().items()}
    away = torch.nn.Parameter(torch.empty_like(model.layer[0].weight, device="meta"))
    optimizer.encoder["layer.0.weight"] = away
    optimizer.load_state_tensors(saved)
    state = optimizer.dense.state
    assert {part: value.device.type for part, value in state[away].items()} == dict.fromkeys(state[away], "meta")
    assert state[away].keys() == {"step", "exp_avg", "exp_avg_sq"}
    here = state[model.layer[1].weight]
    assert all(value.data_ptr() != saved[f"dense.layer.1.weight.{part}"].data_ptr() for part, value in here.items())


def test_the_room_of_moments_is_what_the_first_step_takes() -> None:
    """Two values for each one of a dense parameter, and nothing once they are there."""
    model = _Small()
    optimizer = _optimizer(model, ("embeddings.weight",))
    room = optimizer.room_for_moments()
    _train(model, optimizer, range(1, 2))
    taken = [value for state in optimizer.dense.state.values() for part, value in state.items() if part != "step"]
    assert sum(one.numel() for one in room) == sum(one.numel() for one in taken) > 0
    assert not optimizer.room_for_moments()


def test_groups_spare_biases_from_decay_and_scale_layers() -> None:
    """Biases do not decay; with layer_decay 0.5 each layer below the top trains at half the rate of the one above."""
    model = _Small()
    optimizer = _optimizer(model, layer_decay=0.5, weight_decay=0.3)
    scale = {
        id(parameter): (group["weight_decay"], group["scale"])
        for group in optimizer.dense.param_groups
        for parameter in group["params"]
    }
    assert scale[id(model.layer[1].weight)] == (0.3, 1.0)
    assert scale[id(model.layer[1].bias)] == (0.0, 1.0)
    assert scale[id(model.layer[0].weight)] == (0.3, 0.5)
    assert scale[id(model.embeddings.weight)] == (0.3, 0.25)


def test_layers_are_read_off_the_names() -> None:
    """Embeddings lie below layer 0, and what has no number (pooler) at the top."""
    names = [
        "bert.embeddings.word.weight",
        "bert.encoder.layer.0.a",
        "bert.encoder.layer.1.a",
        "bert.pooler.dense.weight",
    ]
    assert list(layers_of(names).values()) == [0, 1, 2, 2]


@pytest.mark.parametrize("used", [None, {"rows": torch.tensor([0])}])
@pytest.mark.parametrize("limit, expected", [(1.0, 1.0), (0.0, 5.0), (10.0, 5.0)])
def test_clip_returns_the_norm_before(limit: float, expected: float, used: dict[str, torch.Tensor] | None) -> None:
    """Clipping scales to the limit and reports the norm before; 0 leaves gradients alone."""
    model = _Small()
    optimizer = _optimizer(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model.rows.grad[0, :2] = torch.tensor([3.0, 4.0])  # type: ignore[index]
    assert optimizer.clip(limit, used) == pytest.approx(5.0)
    assert float(model.rows.grad.norm()) == pytest.approx(expected, rel=1e-4)  # type: ignore[union-attr]
