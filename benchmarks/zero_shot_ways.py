"""What each zero-shot way is worth on tasks that were not trained: pairs, one pass, both, and label similarity.

TASKLOOM_MIRROR=DIR python benchmarks/zero_shot_ways.py train FORM --folder DIR [--steps 200]
TASKLOOM_MIRROR=DIR python benchmarks/zero_shot_ways.py evaluate MODEL... --output FILE [--rows 300] [--tasks T ...]

`train` makes one run of FORM (label-nli, one-pass, or both) out of the same tasks: NLI, and the recasts of TRAINED with
the 22M encoder, the same steps and examples a step. `evaluate` answers the first rows of the test split of each task in
HELD_OUT with every way that a run has, and with the cosine between the mean-pooled text and label of the encoder that
training began from; one line of JSON for each run, way and task.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

NLI = ("snli", "glue/mnli", "WANLI", "builtin/label_nli")
TRAINED = (
    "go_emotions/simplified", "clinc_oos/small", "crowdflower/airline-sentiment", "crowdflower/tweet_global_warming",
    "crowdflower/corporate-messaging", "silicone/meld_e", "silicone/swda",
    "amazon_polarity/amazon_polarity", "yelp_review_full/yelp_review_full", "sst5", "poem_sentiment", "sms_spam",
    "hate_speech_offensive", "ethos/multilabel", "silicone/dyda_da", "silicone/dyda_e", "emo/emo2019",
    "semeval2018_ec_multilabel", "tweet_eval/hate", "tweet_eval/irony", "glue/cola",
    "ade_corpus_v2/Ade_corpus_v2_classification",
)  # fmt: skip
HELD_OUT = (
    "ag_news", "trec", "banking77", "tweet_eval/emotion", "rotten_tomatoes", "financial_phrasebank/sentences_allagree"
)  # fmt: skip
FORMS = {"label-nli": ("label-nli",), "one-pass": ("one-pass",), "both": ("label-nli", "one-pass")}


def train(given: argparse.Namespace) -> None:
    """Make one run; typed again it goes on."""
    from taskloom.config import make_config
    from taskloom.modeling.encoder import set_threads
    from taskloom.progress import LineProgress
    from taskloom.workflows.running import train as run

    set_threads()
    recasts = [f"{task}+{form}" for task in TRAINED for form in FORMS[given.names[0]]]
    config = {
        "name": given.names[0], "encoder": "minilm", "output": {"folder": str(given.folder)},
        "data": {"tasks": [*NLI, *recasts], "max_rows": 2000, "max_length": 64, "drop_overlap": False,
                 "cache": str(given.folder / "cache")},
        "mixture": {"exponent": 0.5},
        "training": {"steps": given.steps, "batch_size": 32, "learning_rate": 2e-4, "head_learning_rate": 2e-3,
                     "warmup_steps": 20, "save_every": 25, "evaluate_every": 0, "precision": "bf16"},
        "evaluation": {"max_rows": 100},
    }  # fmt: skip
    run(make_config(config), progress=LineProgress(every=20))


def held_out_rows(task_id: str, most: int) -> tuple[list[str], list[str], np.ndarray[Any, Any]]:
    """Return texts, label names, and the right label of each text, of the test split or else another one."""
    from taskloom.recipes.select import get_task
    from taskloom.workflows.preparing import rows_of

    canonical = rows_of(get_task(task_id))
    split = next(name for name in ("test", "validation", "train") if name in canonical.splits)
    table = canonical.splits[split]
    chosen = np.random.default_rng(0).permutation(len(table))[:most]
    some = table.take(chosen)
    names = [label.replace("_", " ").replace("/", " or ") for label in canonical.labels]
    return some["text"].to_pylist(), names, some["label"].to_numpy()


def answers(given: argparse.Namespace) -> Iterator[tuple[str, str, Any]]:
    """Yield model, way, and what maps texts and labels to the place of the best label."""
    from taskloom.inference.predictor import load_model

    for folder in given.names:
        model = load_model(folder, precision="bf16")
        table = model.network.table
        has = {"pairs": table.zero_shot(), "one-pass": table.one_pass(), "both": table.zero_shot() and table.one_pass()}
        for way in [way for way, found in has.items() if found]:
            yield (
                Path(folder).name,
                way,
                lambda texts, labels, model=model, way=way: [
                    labels.index(found["labels"][0]) for found in model.classify(texts, labels, way=way)
                ],
            )
    yield "minilm", "similarity", similar


def similar(texts: list[str], labels: list[str]) -> list[int]:
    """Return the label whose mean-pooled hidden states are nearest to the text's, by the untrained encoder."""
    import torch

    from taskloom.modeling.encoder import Encoder, resolve_encoder

    folder = resolve_encoder("minilm")
    encoder = Encoder.open(folder).eval()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    pooled = []
    with torch.inference_mode():
        for some in (texts, labels):
            parts = []
            for start in range(0, len(some), 32):
                batch = tokenizer(some[start : start + 32], padding=True, truncation=True, return_tensors="pt")
                mask = batch["attention_mask"]
                _, hidden = encoder(batch["input_ids"], attention_mask=mask)
                parts.append((hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True))
            pooled.append(torch.nn.functional.normalize(torch.cat(parts), dim=-1))
    found: list[int] = (pooled[0] @ pooled[1].T).argmax(1).tolist()
    return found


def evaluate(given: argparse.Namespace) -> None:
    """Print and write a line for each run, way and task that FILE does not have yet."""
    from sklearn.metrics import accuracy_score, f1_score

    from taskloom.modeling.encoder import set_threads

    set_threads()
    path = given.output
    done = {tuple(json.loads(line)[name] for name in ("run", "way", "task")) for line in
            (path.read_text().splitlines() if path.exists() else ())}  # fmt: skip
    for run, way, answer in answers(given):
        for task in given.tasks:
            if (run, way, task) in done:
                continue
            texts, labels, right = held_out_rows(task, given.rows)
            start = time.perf_counter()
            found = answer(texts, labels)
            line = {
                "run": run, "way": way, "task": task, "rows": len(texts), "labels": len(labels),
                "macro_f1": round(float(f1_score(right, found, average="macro")), 4),
                "accuracy": round(float(accuracy_score(right, found)), 4),
                "texts_per_second": round(len(texts) / (time.perf_counter() - start), 1),
            }  # fmt: skip
            print(json.dumps(line), flush=True)
            with path.open("a") as stream:
                stream.write(json.dumps(line) + "\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("train", "evaluate"))
    parser.add_argument("names", nargs="+", help="a form to train, or models to evaluate")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--tasks", nargs="+", default=HELD_OUT)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.what == "train":
        train(given)
    else:
        evaluate(given)


if __name__ == "__main__":
    main()
