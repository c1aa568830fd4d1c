"""The texts of rows, read back from the prepared tasks where these are still on the machine.

A store holds tokens, so a text comes back as the tokenizer writes it: an uncased one in lower case, and what training
cut off is not there. The price is small, and nothing has to be read from a hub to say what a model got wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from taskloom.data.store import SplitStore, open_store
from taskloom.errors import StoreError

LONGEST = 240
"""Characters of a text that are shown; a longer one is cut in its middle, since a prompt's question comes last."""


class Texts:
    """Looks up the texts of rows in the prepared tasks below `cache`, with the tokenizer of the run's model."""

    def __init__(self, cache: Path, tokenizer_file: Path) -> None:
        from tokenizers import Tokenizer

        self.cache = cache
        self.backend = Tokenizer.from_file(str(tokenizer_file)) if tokenizer_file.is_file() else None

    def of(self, task_id: str, fingerprint: str, split: str, rows: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return by source row its text (and pair), prompt and choices, or words; empty when they are not there."""
        if self.backend is None or not fingerprint or not rows:
            return {}
        folder = self.cache / "tasks" / f"{quote(task_id, safe='')[:80]}-{fingerprint[:20]}"
        try:
            found = open_store(folder)
        except StoreError:
            return {}  # removed since, or never on this machine
        if found.fingerprint != fingerprint or split not in found.splits:
            return {}
        store = found.splits[split]
        places = {int(store.rows[at]): int(at) for at in np.flatnonzero(np.isin(store.rows, rows))}
        return {row: self._decoded(store, places[row]) for row in rows if row in places}

    def _decoded(self, store: SplitStore, place: int) -> tuple[str, ...]:
        assert self.backend is not None
        first, end = int(store.first_segment[place]), int(store.first_segment[place + 1])
        bounds = store.offsets[first : end + 1]
        if store.kind == "token_classification":
            return (shortened(" ".join(self._words(store, place, int(bounds[0]), int(bounds[-1])))),)
        pieces = [store.tokens[bounds[at] : bounds[at + 1]].tolist() for at in range(end - first)]
        return tuple(map(shortened, self.backend.decode_batch(pieces, skip_special_tokens=False)))

    def _words(self, store: SplitStore, place: int, begin: int, end: int) -> list[str]:
        """Return the words of a row; those that were cut off, or that give no token, as dots."""
        assert self.backend is not None
        starts = store.word_starts[store.word_offsets[place] : store.word_offsets[place + 1]]
        known = [begin + int(start) for start in starts if start >= 0]
        pieces = [store.tokens[a:b].tolist() for a, b in zip(known, [*known[1:], end], strict=True)]
        decoded = iter(self.backend.decode_batch(pieces, skip_special_tokens=False))
        return [next(decoded).strip() if start >= 0 else "…" for start in starts]


def shortened(text: str) -> str:
    """Return a text on one line, without its middle when it is long."""
    text = " ".join(text.split())
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    begin, end = text[:half].rpartition(" ")[0] or text[:half], text[-half:].partition(" ")[2] or text[-half:]
    return f"{begin} … {end}"
