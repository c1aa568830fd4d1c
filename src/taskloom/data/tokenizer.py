"""The tokenizer as the store needs it: segments without special tokens, and the template that joins them.

Truncation and padding that a tokenizer.json brings along (MiniLM's: 128 tokens, padded) are switched off. Where the
special tokens go and which token types they have is read off the tokenizer's own output, so that assembled sequences
equal `tokenizer(text, pair)` for every architecture. Opening goes through transformers although that takes a second or
two: it rebuilds normalizers from tokenizer_config.json, and its result is what users of an exported model will run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from taskloom.data.ragged import offsets_of
from taskloom.errors import ModelError

Array = NDArray[Any]
Item = TypeVar("Item")

CHARACTERS = 4_000_000
"""Characters tokenized at once: the library holds about 70 bytes a token until it is done, so 70 MB or so."""


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
    """One more than the largest token id."""
    uses_types: bool
    fingerprint: str

    @classmethod
    def open(cls, folder: Path) -> Tokenizer:
        """Open the fast tokenizer in an encoder's folder; raises ModelError when there is none."""
        from transformers import AutoTokenizer

        try:
            loaded = AutoTokenizer.from_pretrained(str(folder), use_fast=True)
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder} has no usable tokenizer: {error}") from error
        backend = getattr(loaded, "backend_tokenizer", None)
        if backend is None:
            raise ModelError(
                f"{folder} has a {type(loaded).__name__}, which has no fast form. Give one with a tokenizer.json."
            )
        backend.no_truncation()
        backend.no_padding()
        return cls(
            folder=Path(folder),
            backend=backend,
            single=_learn(backend, folder, pair=False),
            pair=_learn(backend, folder, pair=True),
            pad_id=0 if loaded.pad_token_id is None else loaded.pad_token_id,
            vocabulary=max(backend.get_vocab(with_added_tokens=True).values()) + 1,
            uses_types="token_type_ids" in loaded.model_input_names,
            fingerprint=hashlib.sha256(backend.to_str().encode()).hexdigest(),
        )

    @property
    def mark(self) -> int:
        """The token before each option of a one-pass row: what the template puts at the end, else at the beginning.

        Raises ModelError for a tokenizer without special tokens.
        """
        specials = (*self.single.suffix, *self.single.prefix)
        if not specials:
            raise ModelError(f"{self.folder} has a tokenizer without special tokens, which one-pass tasks need.")
        return specials[0]

    def segments(self, texts: Sequence[str]) -> tuple[Array, Array]:
        """Return the token ids of all texts, one after the other, and offsets (texts + 1), without special tokens."""
        pieces = [
            _ids(self.backend.encode_batch_fast(piece, add_special_tokens=False)) for piece in _pieces(texts, len)
        ]
        return _joined(pieces)

    def words(self, sentences: Sequence[Sequence[str]]) -> tuple[Array, Array, Array, Array]:
        """Return ids and offsets of pre-split sentences, and each word's first token and offsets (sentences + 1).

        Equal to transformers' `is_split_into_words=True`; first tokens count within the sentence, and a word that gives
        no token has -1.
        """
        pieces, owners = [], []
        for piece in _pieces([list(words) for words in sentences], lambda words: sum(map(len, words))):
            encoded = self._word_backend.encode_batch(piece, is_pretokenized=True, add_special_tokens=False)
            pieces.append(_ids(encoded))
            owners.append(_flat((encoding.word_ids for encoding in encoded), len(pieces[-1][0])))
        ids, offsets = _joined(pieces)
        word_offsets = offsets_of([len(words) for words in sentences])
        return ids, offsets, _first_tokens(_concatenated(owners), offsets, word_offsets), word_offsets

    @cached_property
    def _word_backend(self) -> Any:
        """The tokenizer for single words: a byte-level one must put the blank before each that it has in running text.

        transformers wants such a tokenizer opened with add_prefix_space=True for words; this is the same.
        """
        from tokenizers import Tokenizer as Backend

        described = json.loads(self.backend.to_str())
        return Backend.from_str(json.dumps(described)) if _prefix_spaces(described["pre_tokenizer"]) else self.backend


def _prefix_spaces(step: dict[str, Any] | None) -> bool:
    """Switch on the prefix space of byte-level pre-tokenizers; tell whether one had it off."""
    if step is None:
        return False
    if step["type"] == "Sequence":
        return sum(_prefix_spaces(inner) for inner in step["pretokenizers"]) > 0
    if step["type"] != "ByteLevel" or step["add_prefix_space"]:
        return False
    step["add_prefix_space"] = True
    return True


def _pieces(items: Sequence[Item], size: Callable[[Item], int]) -> Iterator[Sequence[Item]]:
    """Cut items into pieces of about CHARACTERS, so that a few long documents do not fill the memory."""
    sizes = np.fromiter(map(size, items), np.int64, len(items))
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // CHARACTERS)) + 1
    for start, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(items)], strict=True):
        if end > start:
            yield items[start:end]


def _ids(encoded: Sequence[Any]) -> tuple[Array, Array]:
    sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return _flat((encoding.ids for encoding in encoded), int(sizes.sum())), sizes


def _flat(lists: Iterator[list[int]], size: int) -> Array:
    return np.fromiter(chain.from_iterable(lists), np.uint32, size)


def _joined(pieces: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    return _concatenated([ids for ids, _ in pieces]), offsets_of(_concatenated([sizes for _, sizes in pieces]))


def _concatenated(parts: list[Array]) -> Array:
    return np.concatenate(parts) if parts else np.zeros(0, np.uint32)


def _first_tokens(owner: Array, offsets: Array, word_offsets: Array) -> Array:
    """Return the place of each word's first token in its sentence; `owner` is each token's word in its sentence."""
    sizes = np.diff(offsets)
    word = owner + np.repeat(word_offsets[:-1], sizes)
    place = np.arange(len(owner)) - np.repeat(offsets[:-1], sizes)
    starts = np.full(int(word_offsets[-1]), -1, np.int64)
    begins = np.diff(word, prepend=-1) != 0  # tokens stand in the order of their words
    starts[word[begins]] = place[begins]
    return starts


def _learn(backend: Any, folder: Path, *, pair: bool) -> Template:
    """Read the template off an encoded example: specials are the tokens that belong to no sequence."""
    encoding = backend.encode("a", "b") if pair else backend.encode("a")
    ids, types, owner = encoding.ids, encoding.type_ids, encoding.sequence_ids
    places = {part: [at for at, found in enumerate(owner) if found == part] for part in (0, 1)}
    if not places[0] or (pair and not places[1]):
        raise ModelError(f"{folder}: the tokenizer gives no token for the letter a or b. Give another encoder.")
    first_start, first_end = places[0][0], places[0][-1] + 1
    second_start, second_end = (places[1][0], places[1][-1] + 1) if pair else (first_end, first_end)
    prefix, middle, suffix = ids[:first_start], ids[first_end:second_start], ids[second_end:]

    def type_at(place: int) -> int:
        return int(types[place]) if place < len(types) else 0

    kinds = (type_at(0), type_at(first_start), type_at(first_end), type_at(second_start), type_at(second_end))
    return Template(tuple(prefix), tuple(middle), tuple(suffix), kinds)
