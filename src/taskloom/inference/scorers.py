"""What `classify` asks of a network: token ids in, two numbers a pair out; whatever runs it.

The engine around it (`zero_shot`) tokenizes, sorts, cuts and averages, and knows numpy alone, so that any runtime that
can answer this call serves: torch here, others beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from taskloom.inference.remembered import Remembered

if TYPE_CHECKING:
    from taskloom.evaluation.evaluator import Answering
    from taskloom.modeling.encoder import Encoder
    from taskloom.modeling.head_table import Head
    from taskloom.modeling.model import Model

Array = NDArray[Any]


class PairScorer(Protocol):
    """Scores pairs of a text and a hypothesis. It is called from one thread at a time."""

    def __call__(self, ids: Array, types: Array | None, mask: Array | None) -> Array:
        """Return logits float32 (pairs, 2): entailment, and contradiction (not-entailment of a two-way head).

        `ids`, `types` and `mask` are int64 (pairs, length), assembled with the tokenizer's own template; `types` is
        None for a tokenizer without token types, `mask` where nothing is padded.
        """


class MarkScorer(Protocol):
    """Scores labels that stand in one sequence with a text. It is called from one thread at a time."""

    def __call__(self, ids: Array, types: Array | None, mask: Array | None, sequence: Array, position: Array) -> Array:
        """Return the log odds, float32 (labels,), that each label fits.

        The mark of a label stands at `position` (labels,) of row `sequence` (labels,) of `ids`; the others as above.
        """


class VectorScorer(Protocol):
    """Turns sequences into the vectors that are compared. It is called from one thread at a time."""

    weight: Array
    """What the product of two vectors is weighed by, float32 (width,)."""

    def __call__(self, ids: Array, types: Array | None, mask: Array | None) -> Array:
        """Return vectors of length one, float32 (sequences, width); arguments as above."""


@dataclass(frozen=True)
class Scorers:
    """What a model can score labels with, None where it lacks the head for a way; `names` are vectors of label names
    that `vectors` has read."""

    pairs: PairScorer | None = None
    marks: MarkScorer | None = None
    vectors: VectorScorer | None = None
    names: Remembered = field(default_factory=Remembered)


def torch_scorer(model: Model, head: Head, how: Answering, *, encoder: Encoder | None = None) -> PairScorer:
    """Return the scorer of a model's own network and one of its entailment heads, where and as `how` says.

    It keeps the weights as they are now: a copy in bf16 where `how` asks for that. `encoder` is such a copy, if there
    is one already.
    """
    import torch

    from taskloom.modeling.scoring import at_first_token, scoring_encoder

    encoder = at_first_token(encoder or scoring_encoder(model.encoder, dtype=how.autocast or torch.float32))
    weight, bias = (values[[head.rows[column] for column in nli_columns(head)]].float() for values in
                    (model.head_weight.detach(), model.head_bias.detach()))  # fmt: skip
    vector = model.task_embedding[model.table.places[head.task]].detach() if how.use_task_embedding else None

    @torch.inference_mode()
    def score(ids: Array, types: Array | None, mask: Array | None) -> Array:
        pooled, _ = encoder(
            _placed(ids, how),
            attention_mask=_placed(mask, how),
            token_type_ids=_placed(types, how),
            first_vector=None if vector is None else vector.expand(len(ids), -1),
        )
        # fp32: the 8 bits of a bf16 logit make ties of different answers
        return np.asarray(torch.addmm(bias, pooled.float(), weight.T).cpu().numpy(), np.float32)

    return score


def torch_mark_scorer(model: Model, head: Head, how: Answering, *, encoder: Encoder | None = None) -> MarkScorer:
    """Return the scorer of a model's own network and its one-pass head, without the task embedding; `encoder` as
    above."""
    import torch

    from taskloom.modeling.scoring import scoring_encoder

    encoder = encoder or scoring_encoder(model.encoder, dtype=how.autocast or torch.float32)
    weight = (model.head_weight[head.rows[1]] - model.head_weight[head.rows[0]]).detach().float()
    bias = (model.head_bias[head.rows[1]] - model.head_bias[head.rows[0]]).detach().float()

    @torch.inference_mode()
    def score(ids: Array, types: Array | None, mask: Array | None, sequence: Array, position: Array) -> Array:
        _, hidden = encoder(_placed(ids, how), attention_mask=_placed(mask, how), token_type_ids=_placed(types, how))
        marks = hidden[_placed(sequence, how), _placed(position, how)].float()
        return np.asarray((marks @ weight + bias).cpu().numpy(), np.float32)

    return score


class _TorchVectors:
    """The scorer of a model's own network and its matching head, without the task embedding."""

    def __init__(self, model: Model, head: Head, how: Answering, encoder: Encoder) -> None:
        self.weight = np.asarray(model.head_weight[head.rows[0]].detach().float().cpu().numpy())
        self.encoder, self.how = encoder, how

    def __call__(self, ids: Array, types: Array | None, mask: Array | None) -> Array:
        import torch
        import torch.nn.functional as functional

        from taskloom.modeling.encoder import pooled_by

        with torch.inference_mode():
            seen = _placed(mask, self.how)
            pooled, hidden = self.encoder(
                _placed(ids, self.how), attention_mask=seen, token_type_ids=_placed(types, self.how)
            )
            means = pooled_by("mean", pooled, hidden.float(), seen)
            return np.asarray(functional.normalize(means, dim=1).cpu().numpy(), np.float32)


def torch_scorers(model: Model, how: Answering) -> Scorers:
    """Return the scorers of the heads that a model has for labels given on the spot; they share one encoder."""
    import torch

    from taskloom.modeling.scoring import scoring_encoder

    encoder = scoring_encoder(model.encoder, dtype=how.autocast or torch.float32)
    entailment, one_pass, matching = model.table.zero_shot(), model.table.one_pass(), model.table.matching()
    return Scorers(
        torch_scorer(model, entailment, how, encoder=encoder) if entailment else None,
        torch_mark_scorer(model, one_pass, how, encoder=encoder) if one_pass else None,
        _TorchVectors(model, matching, how, encoder) if matching else None,
    )


def _placed(values: Array | None, how: Answering) -> Any:
    import torch

    return None if values is None else torch.from_numpy(values).to(how.device)


def nli_columns(head: Head) -> list[int]:
    """Return which of the head's columns say entailment and contradiction (not-entailment for a two-way head)."""
    against = head.row_of("contradiction")
    rows = [head.row_of("entailment"), head.row_of("not_entailment") if against is None else against]
    return [head.rows.index(row) for row in rows if row is not None]
