"""Train rows against evaluation rows: rows/s of the index and of the search, and of MinHash alone. No network.

python benchmarks/overlap.py

Rows are made: 15 to 45 words each, common ones as often as in English; one train row in a hundred is an evaluation row
with one word changed. The signatures of datasketch are measured beside those of rensa where it is installed.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from taskloom.data.overlap import PERMUTATIONS, SEED, OverlapIndex, _signatures
from taskloom.data.shingles import texts_of

EVALUATION_ROWS, TRAIN_ROWS, PIECE, VOCABULARY = 20_000, 100_000, 10_000, 30_000


def texts(rows: int, draw: np.random.Generator) -> list[str]:
    """Return made rows whose words follow Zipf's law."""
    ranks = np.minimum(draw.zipf(1.3, size=(rows, 45)), VOCABULARY)
    lengths = draw.integers(15, 46, size=rows)
    return [" ".join(f"w{rank}" for rank in row[:length]) for row, length in zip(ranks, lengths, strict=True)]


def table(made: list[str], *, first: int = 0) -> pa.Table:
    """Return canonical rows of one text, numbered from `first` on."""
    rows = np.arange(first, first + len(made))
    return pa.table({"text": made, "pair": pa.nulls(len(made), pa.string()), "row": rows})


def pieces(evaluated: list[str], draw: np.random.Generator) -> Iterator[pa.Table]:
    """Yield the train rows; every hundredth is an evaluation row with its last word changed."""
    for first in range(0, TRAIN_ROWS, PIECE):
        made = texts(PIECE, draw)
        for at in range(0, PIECE, 100):
            made[at] = evaluated[int(draw.integers(len(evaluated)))].rsplit(" ", 1)[0] + " changed"
        yield table(made, first=first)


def signatures(some: pa.Table) -> None:
    """Say how many signatures each library makes in a second."""
    sets = texts_of(some).sets
    start = time.perf_counter()
    _signatures(sets)
    print(f"MinHash, rensa: {len(sets) / (time.perf_counter() - start):,.0f} rows/s")
    if importlib.util.find_spec("datasketch"):
        from datasketch import MinHash

        start = time.perf_counter()
        for row in range(len(sets)):
            hashes = sets.flat[sets.offsets[row] : sets.offsets[row + 1]]
            MinHash(num_perm=PERMUTATIONS, seed=SEED, hashfunc=lambda value: int(value) & 0xFFFFFFFF).update_batch(
                hashes
            )
        print(f"MinHash, datasketch: {len(sets) / (time.perf_counter() - start):,.0f} rows/s")


def main() -> None:
    draw = np.random.default_rng(0)
    evaluated = texts(EVALUATION_ROWS, draw)
    start = time.perf_counter()
    index = OverlapIndex()
    index.add("made", "test", table(evaluated))
    index.finish()
    print(f"index: {EVALUATION_ROWS / (time.perf_counter() - start):,.0f} evaluation rows/s")
    prepared = list(pieces(evaluated, draw))
    start = time.perf_counter()
    found = index.search("made", prepared)
    print(f"search: {TRAIN_ROWS / (time.perf_counter() - start):,.0f} train rows/s, {len(found.leaked):,} found")
    signatures(prepared[0])


if __name__ == "__main__":
    main()
