"""Sequences -> padded matrices of token ids: the tokenizer's own template, for all micro-batches of a step at once.

Everything is written into one flat buffer, of which each micro-batch is a part. The price: the buffer lives as long as
any of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.data.ragged import offsets_of, ragged
from taskloom.data.rows import Sequences
from taskloom.data.tokenizer import Template, Tokenizer

Array = NDArray[Any]
Matrix = tuple[Array, Array | None, Array | None]
"""Token ids, types and mask of a micro-batch, (sequences, length)."""


def matrices(tokens: Array, sequences: Sequences, ends: Array, tokenizer: Tokenizer) -> list[Matrix]:
    """Return token ids, types and mask of micro-batches that begin and end at the sequences `ends`.

    Types are None for a tokenizer that has none, the mask where nothing is padded. Each sequence has its own stretch of
    one flat buffer, as long as the longest of its micro-batch, from `begin` on.
    """
    single, pair, paired = tokenizer.single, tokenizer.pair, sequences.paired
    total = sequences.first_size + sequences.second_size + np.where(paired, pair.specials, single.specials)
    widths = np.maximum.reduceat(total, ends[:-1])
    begin = offsets_of(np.repeat(widths, np.diff(ends)))
    ids = np.full(int(begin[-1]), tokenizer.pad_id, np.int64)
    types, mask = np.zeros((2, len(ids)), np.int64)
    mask[ragged(begin[:-1], total)] = 1
    for template, mine in ((single, np.flatnonzero(~paired)), (pair, np.flatnonzero(paired))):
        _fill(ids, types, template, begin[mine], tokens, sequences.take(mine))
    parts = [slice(start, end) for start, end in zip(begin[ends[:-1]], begin[ends[1:]], strict=True)]
    full = np.add.reduceat(total, ends[:-1]) == np.diff(begin[ends])
    return [
        (
            ids[part].reshape(-1, width),
            types[part].reshape(-1, width) if tokenizer.uses_types else None,
            None if whole else mask[part].reshape(-1, width),
        )
        for part, width, whole in zip(parts, widths, full, strict=True)
    ]


def _fill(ids: Array, types: Array, template: Template, begin: Array, tokens: Array, sequences: Sequences) -> None:
    """Write sequences of one template into the flat buffers, each from its `begin` on."""
    segments = ((sequences.first_start, sequences.first_size), (sequences.second_start, sequences.second_size))
    specials = (template.prefix, template.middle, template.suffix)
    for part, kind in enumerate(template.types):
        if part % 2 == 0:
            for token in specials[part // 2]:
                ids[begin], types[begin] = token, kind
                begin = begin + 1
        else:
            start, size = segments[part // 2]
            target = ragged(begin, size)
            ids[target], types[target] = tokens[ragged(start, size)], kind
            begin = begin + size
