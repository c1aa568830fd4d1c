"""What label names are worth as rows of a head's first fit: `python benchmarks/label_names.py [MODEL...]`.

Needs a mirror folder (TASKLOOM_MIRROR). Learns from and scores the rows that transfer keeps for choosing settings:
train rows in both parts. Prints mean accuracy by rows a class, pooling and wording of the names.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict

import numpy as np

from taskloom.adapting.measuring import Bench, measured
from taskloom.adapting.probing import fit_head, probe_predictions
from taskloom.adapting.start import open_start
from taskloom.data.shots import half_of, shots_of, some_of
from taskloom.recipes.recasts import readable_labels
from taskloom.recipes.select import get_task
from taskloom.workflows.preparing import rows_of
from taskloom.workflows.tuning import prepare_for

TASKS = ("crowdflower/airline-sentiment", "silicone/maptask", "emo/emo2019", "silicone/dyda_da")
WORDINGS = {"rows alone": None, "bare names": "{}", "in a sentence": "This example is {}."}
SHOTS, DRAWS, SCORED, PENALTY = (1, 4, 16), 2, 150, 0.01


def measure(model: str) -> dict[tuple[int, str, str], float]:
    """Return the mean accuracy by (rows a class, pooling, wording)."""
    start = open_start(model, device="auto", precision="auto", length=128)
    scores = defaultdict(list)
    for task in map(get_task, TASKS):
        store = prepare_for(task, start)
        bench, train = Bench(start, task, store, rows_of(task)), store.splits["train"]
        said = [name or label for name, label in zip(readable_labels(task, store.labels), store.labels, strict=True)]
        names = {
            wording: template and start.text_features([template.format(name) for name in said])
            for wording, template in WORDINGS.items()
        }
        half = half_of(train, task.id, 0)
        scored = some_of(train, task.id, half, most=SCORED, what="selection")
        pool = np.setdiff1d(half, scored)
        for shots in SHOTS:
            for seed in range(DRAWS):
                places = shots_of(train, task.id, shots=shots, seed=1000 + seed, places=pool)
                given, asked = bench.features("train", places), bench.features("train", scored)
                for pooling in ("own", "mean"):
                    for wording, vectors in names.items():
                        head = fit_head(given, store, "train", pooling=pooling, penalty=PENALTY, names=vectors or None)
                        found = probe_predictions(head, asked, store, "train", pooling=pooling, unseen=0)
                        scores[shots, pooling, wording].append(measured(found).score)
    return {key: float(np.mean(values)) for key, values in scores.items()}


def main() -> None:
    """Print a table for each model."""
    if not os.environ.get("TASKLOOM_MIRROR"):
        print("TASKLOOM_MIRROR is not set: nothing to measure on")
        return
    for model in sys.argv[1:] or ["minilm"]:
        found = measure(model)
        for shots, pooling in dict.fromkeys((shots, pooling) for shots, pooling, _ in found):
            cells = "  ".join(f"{wording} {found[shots, pooling, wording]:.3f}" for wording in WORDINGS)
            print(f"{model}  {shots:2} rows a class  {pooling:4}  {cells}")


if __name__ == "__main__":
    main()
