"""The tokenizer as the store needs it: segments without special tokens, and the template that joins them.

Truncation and padding that a tokenizer.json brings along (MiniLM's: 128 tokens, padded) are switched off. Where the
special tokens go and which token types they have is read off the tokenizer's own output, so that assembled sequences
equal `tokenizer(text, pair)` for every architecture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskloom.errors import ModelError

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Template:
    """Special tokens around one or two segments, with token types: prefix + first (+ middle + second) + suffix."""

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    types: tuple[int, int, int, int, int]
    """Token types of prefix, first, middle, second, suffix."""

    @property
    def specials(self) -> int:
        """How many special tokens are added."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)


@dataclass(frozen=True)
class Tokenizer:
    """A fast tokenizer with what joining and padding need; `Tokenizer.open` makes it."""

    folder: Path
    backend: Any
    single: Template
    pair: Template
    pad_id: int
    vocabulary: int
    uses_types: bool
    fingerprint: str

    @classmethod
    def open(cls, folder: Path) -> Tokenizer:
        """Open the fast tokenizer in an encoder's folder; raises ModelError when there is none."""
        from transformers import AutoTokenizer  # some folders keep only a sentencepiece model, which it converts

        try:
            loaded = AutoTokenizer.from_pretrained(str(folder), use_fast=True)
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder} has no usable tokenizer: {error}") from error
        backend = loaded.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        return cls(
            folder=Path(folder),
            backend=backend,
            single=_learn(backend, pair=False),
            pair=_learn(backend, pair=True),
            pad_id=loaded.pad_token_id,
            vocabulary=len(loaded),
            uses_types="token_type_ids" in loaded.model_input_names,
            fingerprint=hashlib.sha256(backend.to_str().encode()).hexdigest(),
        )

    def segments(self, texts: Sequence[str]) -> tuple[Integers, Integers]:
        """Return the token ids of all texts, one after the other, and offsets (texts + 1), without special tokens."""
        encoded = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return _flat([encoding.ids for encoding in encoded])

    def words(self, sentences: Sequence[Sequence[str]]) -> tuple[Integers, Integers, Integers, Integers]:
        """Return ids and offsets of pre-split sentences, and each word's first token and offsets (sentences + 1).

        A word that gives no token has -1.
        """
        encoded = self.backend.encode_batch(
            [list(words) for words in sentences], is_pretokenized=True, add_special_tokens=False
        )
        starts = []
        for encoding, words in zip(encoded, sentences, strict=True):
            first = np.full(len(words), -1, dtype=np.int64)
            for place, word in reversed(list(enumerate(encoding.word_ids))):
                first[word] = place
            starts.append(first)
        return *_flat([encoding.ids for encoding in encoded]), *_flat(starts)


def _flat(parts: Sequence[Sequence[int] | Integers]) -> tuple[Integers, Integers]:
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts], dtype=np.int64)]).astype(np.int64)
    flat = np.concatenate([np.asarray(part, dtype=np.int64) for part in parts]) if parts else np.zeros(0, np.int64)
    return flat.astype(np.int64), offsets


def _learn(backend: Any, *, pair: bool) -> Template:
    """Read the template off an encoded example: specials are the tokens that belong to no sequence."""
    encoding = backend.encode("a", "b") if pair else backend.encode("a")
    ids, types, owner = encoding.ids, encoding.type_ids, encoding.sequence_ids
    places = {part: [at for at, found in enumerate(owner) if found == part] for part in (0, 1)}
    first_start, first_end = places[0][0], places[0][-1] + 1
    second_start, second_end = (places[1][0], places[1][-1] + 1) if pair else (first_end, first_end)
    prefix, middle, suffix = ids[:first_start], ids[first_end:second_start], ids[second_end:]

    def type_at(place: int) -> int:
        return int(types[place]) if place < len(types) else 0

    kinds = (type_at(0), type_at(first_start), type_at(first_end), type_at(second_start), type_at(second_end))
    return Template(tuple(prefix), tuple(middle), tuple(suffix), kinds)
