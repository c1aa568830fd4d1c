"""Canonical rows -> what makes two of them the same text: a key for equal ones, sets of shingles for similar ones.

A row has up to two parts: text and pair, prompt and choices, or the words of a sentence. They are normalized (letter
case, white space and punctuation go; signs and digits stay, so that "3 - 5" is not "3 + 5"), choices are sorted, and a
shingle is a word or two neighboring words of one part. With pairs of words alone one changed word in 20 leaves a
Jaccard similarity of 0.81, with words alone their order would not matter; both together leave 0.86.

Everything is whole-array arithmetic on 64-bit hashes. The price: two shingles with one hash count as equal, which among
10^9 shingles happens to about one pair in 40.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from taskloom.data.hashing import hashed
from taskloom.data.ragged import offsets_of, ragged

Array = NDArray[Any]

SIGNS = (("-", "−"), ("/", "∕"), ("*", "∗"), (".", "⋅"))
"""Punctuation that is arithmetic before a digit, and the mathematical sign that it is kept as."""
APART = r"([\p{S}\p{Han}\p{Hiragana}\p{Katakana}])"
"""Signs and the letters of scripts without blanks are words of their own."""
SHOWN = 160
"""Letters of a part that an example shows."""
PAIR_SALT = np.uint64(0x70616972)


@dataclass(frozen=True)
class ShingleSets:
    """Sets of hashes: those of row r are flat[offsets[r]:offsets[r + 1]], ascending; the last bit is the part."""

    flat: Array
    offsets: Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: Array) -> ShingleSets:
        """Return the sets of some rows."""
        lengths = np.diff(self.offsets)[rows]
        return ShingleSets(self.flat[ragged(self.offsets[rows], lengths)], offsets_of(lengths))

    def without(self, hashes: Array) -> ShingleSets:
        """Return the sets less some hashes, which ascend."""
        kept = ~contains(hashes, self.flat)
        running = offsets_of(kept)
        return ShingleSets(self.flat[kept], running[self.offsets])

    @staticmethod
    def joined(sets: list[ShingleSets]) -> ShingleSets:
        """Return the rows of all, one after the other."""
        lengths = [np.diff(one.offsets) for one in sets]
        return ShingleSets(
            np.concatenate([one.flat for one in sets] or [np.zeros(0, np.uint64)]),
            offsets_of(np.concatenate(lengths or [np.zeros(0, np.int64)])),
        )


@dataclass(frozen=True)
class Texts:
    """Rows as texts: keys of the whole row and of its first part (uint64, (rows,); 0 for an empty first part), shingle
    sets, words of each row, and how the row is shown in an example."""

    rows: Array
    keys: Array
    text_keys: Array
    sets: ShingleSets
    words: Array
    shown: pa.Array


def texts_of(table: pa.Table) -> Texts:
    """Return the texts of canonical rows of any kind."""
    parts = _parts(table)
    first, second = (normalized(part) for part in parts)
    row, shingle, words = _shingles(first, second)
    blank = pc.equal(first, "").to_numpy(zero_copy_only=False)
    short = [pc.utf8_slice_codeunits(pc.fill_null(part, ""), 0, SHOWN) for part in parts]
    shown = pc.if_else(pc.equal(short[1], ""), short[0], pc.binary_join_element_wise(*short, " ‖ "))
    return Texts(
        rows=table["row"].to_numpy(),
        keys=_keys(pc.binary_join_element_wise(first, second, "\x1f")),
        text_keys=np.where(blank, np.uint64(0), _keys(first)),
        sets=_sets(row, shingle, len(table)),
        words=words,
        shown=shown,
    )


def normalized(texts: pa.Array) -> pa.Array:
    """Return texts in small letters, words and signs separated by one blank; a text of punctuation alone stays.

    A smiley is such a text: ":)" and ":(" are not the same row.
    """
    plain = pc.fill_null(texts, "")
    made = pc.utf8_lower(pc.utf8_normalize(plain, "NFKC"))
    made = pc.replace_substring_regex(made, r"(\pL)['’](\pL)", r"\1\2")
    for written, sign in SIGNS:
        made = pc.replace_substring_regex(made, rf"\{written}\s*(\d)", rf"{sign}\1")
    made = pc.replace_substring_regex(made, APART, r" \1 ")
    made = pc.utf8_trim_whitespace(pc.replace_substring_regex(made, r"[\pP\pC\pZ\s]+", " "))
    return pc.if_else(pc.equal(made, ""), pc.utf8_trim_whitespace(plain), made)


def jaccard(left: ShingleSets, right: ShingleSets, template: Array) -> Array:
    """Return the Jaccard similarity of the i-th set of `left` with that of `right`, counted exactly (float64, (rows,)).

    It is the smallest of three: that of the first parts, that of the second parts, and that of the whole rows without
    the hashes of `template`. Two rows without a second part agree there; rows that are all template agree in nothing.
    """
    rows = len(left)
    row = np.concatenate([np.repeat(np.arange(rows), np.diff(sets.offsets)) for sets in (left, right)])
    flat = np.concatenate([left.flat, right.flat])
    order = np.lexsort((flat, row))
    row, flat = row[order], flat[order]
    again = np.flatnonzero((row[1:] == row[:-1]) & (flat[1:] == flat[:-1])) + 1
    part, telling = (flat & np.uint64(1)).astype(np.int64), ~contains(template, flat)
    similarity = np.ones(rows)
    for chosen, empty in ((part == 0, 1.0), (part == 1, 1.0), (telling, 0.0)):
        both = np.bincount(row[again][chosen[again]], minlength=rows)
        either = np.bincount(row[chosen], minlength=rows) - both
        found = np.divide(both, either, out=np.full(rows, empty), where=either > 0)
        similarity = np.minimum(similarity, found)
    return similarity


def contains(ascending: Array, values: Array) -> Array:
    """Tell which of `values` stand in an ascending array."""
    if not len(ascending):
        return np.zeros(len(values), dtype=bool)
    found: Array = ascending[np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)] == values
    return found


def _parts(table: pa.Table) -> tuple[pa.Array, pa.Array]:
    nothing = pa.nulls(len(table), pa.string())
    if "tokens" in table.column_names:
        return _whole(pc.binary_join(table["tokens"], " ")), nothing
    if "choices" in table.column_names:
        return _whole(table["prompt"]), _sorted_choices(_whole(table["choices"]))
    return _whole(table["text"]), _whole(table["pair"])


def _sorted_choices(choices: pa.Array) -> pa.Array:
    """Return each row's choices as one text that does not depend on their order."""
    flat = normalized(choices.flatten()).to_pylist()
    ends = offsets_of(pc.list_value_length(choices).to_numpy(zero_copy_only=False)).tolist()
    joined = [" | ".join(sorted(flat[start:end])) for start, end in pairwise(ends)]
    return pa.array(joined, pa.string())


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _keys(texts: pa.Array) -> Array:
    """Return 64 bits of blake2b of each text (uint64, (texts,))."""
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts.to_pylist()]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _shingles(first: pa.Array, second: pa.Array) -> tuple[Array, Array, Array]:
    """Return row and hash of each word and pair of words, and the number of words of each row."""
    owners, hashes, words = [], [], np.zeros(len(first), np.int64)
    for part, texts in enumerate((first, second)):
        lists = pc.utf8_split_whitespace(texts)
        row = pc.list_parent_indices(lists).to_numpy()
        encoded = lists.flatten().dictionary_encode()
        filled = pc.not_equal(encoded.dictionary, "").to_numpy(zero_copy_only=False)[encoded.indices.to_numpy()]
        word = _keys(encoded.dictionary)[encoded.indices.to_numpy()][filled]
        row = row[filled]
        neighbors = row[1:] == row[:-1]
        pairs = hashed(PAIR_SALT, word[:-1], word[1:])[neighbors]
        owners += [row, row[1:][neighbors]]
        hashes += [(found >> np.uint64(1) << np.uint64(1)) | np.uint64(part) for found in (word, pairs)]
        words += np.bincount(row, minlength=len(first))
    return np.concatenate(owners), np.concatenate(hashes), words


def _sets(row: Array, shingle: Array, rows: int) -> ShingleSets:
    order = np.lexsort((shingle, row))
    row, shingle = row[order], shingle[order]
    fresh = np.ones(len(row), dtype=bool)
    fresh[1:] = (row[1:] != row[:-1]) | (shingle[1:] != shingle[:-1])
    return ShingleSets(shingle[fresh], offsets_of(np.bincount(row[fresh], minlength=rows)))
