"""Zero-shot speed beside the Hugging Face pipeline: the same weights, the same texts, in one run by turns.

TASKLOOM_MIRROR=DIR python benchmarks/zero_shot.py MODEL [--texts 100] [--labels 10] [--repeats 3] [--peer-texts 100]

MODEL is a run or model folder with an entailment head; the pipeline opens the very same folder. Texts are banking77's,
other ones each repeat, so that nothing can be remembered; labels are its class names. Rates are pairs a second, medians
over repeats, and the ratios are of these medians. `--peer-texts` shortens the pipeline's part: its rate does not depend
on how many texts it gets. Besides wall time there is the time of the process on its processors, which neighbors on a
shared machine hardly move; with OMP_NUM_THREADS=1 the two are the same on an idle one. Decisions are compared with
those of fp32 on texts whose two best labels differ by more than MARGIN. `--int8 FOLDER` takes part with what `taskloom
export MODEL FOLDER --format openvino --int8` (or onnx) wrote; `--precisions fp32` leaves bf16 out, where a machine is
not fast at it. `--ways` measures texts a second of every way that the model has, at several numbers of labels, instead,
in the last one of `--precisions`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

MARGIN = 0.01
LABELS = (2, 10, 77, 150)


def banking(texts: int, repeats: int) -> Iterator[list[str]]:
    """Yield as many lists of texts, no text twice."""
    from taskloom.recipes.select import get_task
    from taskloom.workflows.preparing import rows_of

    splits = rows_of(get_task("banking77")).splits
    every = list(dict.fromkeys(text for name in ("test", "train") for text in splits[name]["text"].to_pylist()))
    if texts * repeats > len(every):
        raise SystemExit(f"There are {len(every)} texts; {repeats} times {texts} are more.")
    for start in range(0, texts * repeats, texts):
        yield every[start : start + texts]


def names(task: str, count: int) -> list[str]:
    """Return the first label names of a task, as words."""
    from taskloom.recipes.select import get_task
    from taskloom.workflows.preparing import rows_of

    return [label.replace("_", " ") for label in rows_of(get_task(task)).labels[:count]]


def timed(answer: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Return seconds by the clock and on the processors, and what was answered."""
    start = time.perf_counter(), time.process_time()
    found = answer()
    return (time.perf_counter() - start[0], time.process_time() - start[1]), found


def beside_the_pipeline(given: argparse.Namespace) -> dict[str, Any]:
    """Return rates of both, and how often bf16 and int8 decide as fp32 does."""
    import torch
    from transformers import pipeline

    from taskloom import load_model

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    labels = names("banking77", given.labels)
    ours = {name: load_model(given.model, device="cpu", precision=name) for name in ("fp32", *given.precisions)}
    if given.int8:
        ours["int8"] = load_model(given.int8, precision="int8")
    full = ours["fp32"]
    peer = pipeline("zero-shot-classification", str(full.folder), device="cpu")
    warm = ["How do I top up my card?", "It is lost."]
    ways: dict[str, Callable[[list[str]], Any]] = {
        "pipeline": lambda texts: peer(texts[: given.peer_texts], labels),
        "pipeline, batches of 32": lambda texts: peer(texts[: given.peer_texts], labels, batch_size=32),
        **{name: partial(_pairs, model, labels) for name, model in ours.items()},
    }
    for answer in ways.values():
        answer(warm)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    agreed = {name: Agreement() for name in ours if name != "fp32"}
    widest = 0.0
    for texts in banking(given.texts, given.repeats):
        found = {}
        for name, answer in ways.items():
            count = min(given.peer_texts, len(texts)) if name.startswith("pipeline") else len(texts)
            seconds, found[name] = timed(lambda answer=answer, texts=texts: answer(texts))
            rates[name].append((count * len(labels) / seconds[0], count * len(labels) / seconds[1]))
        widest = max(widest, *(_difference(*pair) for pair in zip(found["pipeline"], found["fp32"], strict=False)))
        for name, count in agreed.items():
            count.add(found["fp32"], found[name])
    return {
        "texts": given.texts, "labels": len(labels), "repeats": given.repeats, "threads": torch.get_num_threads(),
        "pairs_per_second": _told(rates, 0), "pairs_per_processor_second": _told(rates, 1),
        "largest_difference_to_pipeline": round(widest, 6),
        "decisions_as_fp32": {name: one.told() for name, one in agreed.items()},
    }  # fmt: skip


@dataclass
class Agreement:
    """How many texts have clear answers in fp32, and on how many of those the decision is the same."""

    every: int = 0
    clear: int = 0
    same: int = 0

    def add(self, sure: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
        """Count the answers of both to the same texts."""
        for one, other in zip(sure, others, strict=True):
            is_clear = one["scores"][0] - one["scores"][1] > MARGIN
            self.every += 1
            self.clear += is_clear
            self.same += is_clear and one["labels"][0] == other["labels"][0]

    def told(self) -> dict[str, Any]:
        """Return the share of clear texts with the same decision, and the counts."""
        share = round(self.same / self.clear, 4) if self.clear else None
        return {"share": share, "clear_texts": self.clear, "all_texts": self.every}


def _pairs(model: Any, labels: list[str], texts: list[str]) -> Any:
    return model.classify(texts, labels, way="pairs")


def _told(rates: dict[str, list[tuple[float, float]]], clock: int) -> dict[str, Any]:
    medians = {name: statistics.median(one[clock] for one in several) for name, several in rates.items()}
    ratios = {
        f"{ours} to {peer}": medians[ours] / medians[peer]
        for ours in medians if not ours.startswith("pipeline") for peer in ("pipeline", "pipeline, batches of 32")
    }  # fmt: skip
    return {name: round(value, 2) for name, value in (medians | ratios).items()}


def _difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    mine, others = (dict(zip(each["labels"], each["scores"], strict=True)) for each in (one, other))
    return max(abs(mine[name] - others[name]) for name in mine)


def ways(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield texts a second of each way at each number of labels, by turns."""
    import torch

    from taskloom import load_model

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    model = load_model(given.model, device="cpu", precision=given.precisions[-1])
    table = model.network.table
    has = {"pairs": table.zero_shot(), "one-pass": table.one_pass(), "matching": table.matching()}
    every = [*names("banking77", 77), *names("clinc_oos/small", 150)]
    for count in LABELS:
        labels = list(dict.fromkeys(every))[:count]
        rates: dict[str, list[tuple[float, float]]] = {way: [] for way, head in has.items() if head}
        for way in rates:
            model.classify(["How do I top up my card?"], labels, way=way)
        for texts in banking(given.texts, given.repeats):
            for way, several in rates.items():
                some = texts[: max(1, given.pairs // count)] if way == "pairs" else texts
                seconds, _ = timed(lambda some=some, way=way, labels=labels: model.classify(some, labels, way=way))
                several.append((len(some) / seconds[0], len(some) / seconds[1]))
        line: dict[str, Any] = {"labels": count, "threads": torch.get_num_threads()}
        for clock, name in enumerate(("texts_per_second", "texts_per_processor_second")):
            medians = {
                way: round(statistics.median(one[clock] for one in several), 2) for way, several in rates.items()
            }
            ratios = {f"{way} to pairs": round(medians[way] / medians["pairs"], 2) for way in rates if "pairs" in rates}
            line[name] = medians | ratios
        yield line


def main() -> None:
    """Print a line of JSON for each measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-texts", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=4000, help="most pairs of a repeat with --ways")
    parser.add_argument("--int8", type=Path, help="the folder of an export with an int8 graph")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--ways", action="store_true")
    given = parser.parse_args()
    for line in ways(given) if given.ways else [beside_the_pipeline(given)]:
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
