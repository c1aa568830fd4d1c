"""How often `taskloom propose` guesses what the catalog says: kind, label column and text columns, by kind.

Run: TASKLOOM_MIRROR=FOLDER python benchmarks/propose.py. Every hub task whose rows the mirror holds is one case (one a
repository and config); the truth of a column is the set of columns that the recipe's field reads.
"""

from __future__ import annotations

from collections import Counter

from taskloom.data.source import read
from taskloom.errors import TaskloomError
from taskloom.proposing import describe
from taskloom.recipes.expressions import columns_of
from taskloom.recipes.propose import propose
from taskloom.recipes.recipe import Hub
from taskloom.recipes.select import select

LABELS = ("label", "labels", "score")
TEXTS = ("text", "pair", "prompt", "tokens")


def main() -> None:
    """Print misses, then hit rates by kind."""
    hits: Counter[tuple[str, str]] = Counter()
    seen = set()
    for task in select(("all",)).tasks:
        if not isinstance(task.source, Hub) or (task.source.repo, task.source.config) in seen:
            continue
        try:
            raw = read(task)
        except TaskloomError:
            continue  # not in the mirror
        seen.add((task.source.repo, task.source.config))
        kind = task.kind.name
        fields = {name: getattr(task.kind, name, None) for name in (*LABELS, *TEXTS)}
        truth = {name: {c.split(".")[0] for c in columns_of(field)} for name, field in fields.items() if field}
        try:
            guess = propose(describe(next(iter(raw.splits.values())), raw.schema))
        except TaskloomError:
            guess = None
        found = guess.fields if guess else {}
        label = {found[name] for name in LABELS if name in found}
        texts = {found[name] for name in TEXTS if name in found}
        right = {
            "kind": guess is not None and guess.kind == kind,
            "label": bool(label) and label <= set().union(*(truth.get(name, set()) for name in LABELS)),
            "text": texts == set().union(*(truth.get(name, set()) for name in TEXTS)),
        }
        for group in (kind, "all"):
            hits[group, "cases"] += 1
            hits.update((group, part) for part, ok in right.items() if ok)
        if not all(right.values()):
            wrong = ", ".join(part for part, ok in right.items() if not ok)
            print(
                f"{task.id}: {wrong}; guessed {guess.kind if guess else 'nothing'} {dict(found)}, truth {kind} {truth}"
            )
    for group in sorted({group for group, _ in hits}):
        cases = hits[group, "cases"]
        print(
            f"{group:22} {cases:4} " + " ".join(f"{p} {hits[group, p] / cases:.1%}" for p in ("kind", "label", "text"))
        )


if __name__ == "__main__":
    main()
