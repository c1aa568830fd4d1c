"""What `classify` asks of a network: token ids in, two numbers a pair out; whatever runs it.

The engine around it (`zero_shot`) tokenizes, sorts, cuts and averages, and knows numpy alone, so that any runtime that
can answer this call serves: torch here, others beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from taskloom.evaluation.evaluator import Answering
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


def torch_mark_scorer(model: Model, head: Head, how: Answering) -> MarkScorer:
    """Return the scorer of a model's own network and its one-pass head, without the task embedding."""
    import torch

    def placed(values: Array | None) -> Any:
        return None if values is None else torch.from_numpy(values).to(how.device)

    @torch.inference_mode()
    def score(ids: Array, types: Array | None, mask: Array | None, sequence: Array, position: Array) -> Array:
        with how.arithmetic():
            _, hidden = model.encoder(placed(ids), attention_mask=placed(mask), token_type_ids=placed(types))
        logits = how.head_logits(model, hidden[placed(sequence), placed(position)], head)
        return np.asarray((logits[:, 1] - logits[:, 0]).cpu().numpy(), np.float32)

    return score


def torch_scorer(model: Model, head: Head, how: Answering) -> PairScorer:
    """Return the scorer of a model's own network and one of its entailment heads, where and as `how` says."""
    import torch

    columns = nli_columns(head)
    vector = model.task_embedding[model.table.places[head.task]] if how.use_task_embedding else None

    def placed(values: Array | None) -> Any:
        return None if values is None else torch.from_numpy(values).to(how.device)

    @torch.inference_mode()
    def score(ids: Array, types: Array | None, mask: Array | None) -> Array:
        with how.arithmetic():
            pooled, _ = model.encoder(
                placed(ids),
                attention_mask=placed(mask),
                token_type_ids=placed(types),
                first_vector=None if vector is None else vector.expand(len(ids), -1),
            )
        found: Array = how.head_logits(model, pooled, head)[:, columns].cpu().numpy()
        return np.asarray(found, np.float32)

    return score


def nli_columns(head: Head) -> list[int]:
    """Return which of the head's columns say entailment and contradiction (not-entailment for a two-way head)."""
    against = head.row_of("contradiction")
    rows = [head.row_of("entailment"), head.row_of("not_entailment") if against is None else against]
    return [head.rows.index(row) for row in rows if row is not None]
