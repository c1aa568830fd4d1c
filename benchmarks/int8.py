"""int8 against fp32: size, speed, agreement and accuracy of one head on real rows.

    python benchmarks/int8.py RUN [--head TASK] [--rows 2000] [--rounds 3]

Forms: torch in fp32 and bf16, ONNX Runtime and OpenVINO in fp32 and int8, OpenVINO in bf16. Rows are the validation or
test rows of the head's task. All forms answer the same rows in turns, `--rounds` times; the median counts. A zero-shot
head also classifies 100 texts of banking77 with 10 labels.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taskloom.data.tokenizer import Tokenizer
from taskloom.inference.check_rows import CheckRows
from taskloom.inference.export import find_head
from taskloom.inference.graph_networks import over_head_graph
from taskloom.inference.graphs import FILES, open_graph
from taskloom.inference.parity import agreement
from taskloom.inference.predictor import load_model
from taskloom.modeling.head_table import Head
from taskloom.modeling.model import Model
from taskloom.recipes.select import get_task
from taskloom.workflows import exporting, models, preparing
from taskloom.workflows.exporting import Wanted, export, in_exported_order, with_labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--head", help="default: the zero-shot head")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    folder = models.model_folder(given.run)
    model = Model.load(folder)
    head = find_head(model, given.head)
    tokenizer = Tokenizer.open(folder)
    rows = exporting._check_rows(folder, None, head, tokenizer, described_length(folder))
    rows = CheckRows(rows.store, rows.calibrate, (rows.check[0], rows.check[1][: given.rows]))
    with tempfile.TemporaryDirectory() as out:
        sizes = exported(folder, Path(out), head, rows)
        networks = opened(folder, Path(out), with_labels(head, rows.store.labels))
        table(networks, rows, tokenizer, sizes, rounds=given.rounds)
        if head.nli_names():
            zero_shot(folder, Path(out), rounds=given.rounds)


def described_length(folder: Path) -> int:
    from taskloom.modeling.model import read_record

    return int(read_record(folder)["max_length"])


def exported(folder: Path, out: Path, head: Head, rows: CheckRows) -> dict[str, float]:
    """Export the head as both graphs with int8; returns the size of each form in MB."""
    sizes = {"torch fp32": (folder / "model.safetensors").stat().st_size / 1e6}
    for form in ("onnx", "openvino"):
        wanted = Wanted(form=form, task=head.task, int8=True, force=True, rows=lambda *_: rows)
        print("\n".join(export(folder, out / form, wanted)), flush=True)
        for kind in ("fp32", "int8"):
            path = out / form / FILES[form, kind]
            sizes[f"{form} {kind}"] = sum(file.stat().st_size for file in path.parent.glob(f"{path.stem}.*")) / 1e6
    return sizes


def opened(folder: Path, out: Path, head: Head) -> dict[str, tuple[Any, Head, bool]]:
    """Return each form's network, its head, and whether it runs under bf16's autocast."""
    network = Model.load(folder)
    found: dict[str, tuple[Any, Head, bool]] = {
        "torch fp32": (network, head, False),
        "torch bf16": (network, head, True),
    }
    graph_head = in_exported_order(head)
    forms = [("onnx", "fp32", False), ("openvino", "fp32", False), ("openvino", "fp32", True), ("onnx", "int8", False),
             ("openvino", "int8", False), ("openvino", "int8", True)]  # fmt: skip
    for form, kind, bf16 in forms:
        graph = open_graph(out / form / FILES[form, kind], threads=torch.get_num_threads(), bf16=bf16)
        name = f"{form} {kind}{' bf16' if bf16 else ''}"
        found[name] = over_head_graph(graph, graph_head), graph_head, False
    return found


def table(
    networks: dict[str, tuple[Any, Head, bool]], rows: CheckRows, tokenizer: Tokenizer, sizes: dict[str, float], *,
    rounds: int,
) -> None:  # fmt: skip
    """Answer all rows with every form in turns, and print a line a form."""
    times: dict[str, list[float]] = {name: [] for name in networks}
    answers = {}
    for turn in range(rounds + 1):
        for name, (network, head, bf16) in networks.items():
            started = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                answers[name] = rows.ask(network, head, tokenizer, vector=False)
            if turn:  # the first is to warm up
                times[name].append(time.perf_counter() - started)
    first = answers["torch fp32"]
    base = statistics.median(times["torch fp32"])
    print(f"\n{len(first):,} rows of {rows.store.task}\n")
    print("| form | MB | rows/s | times torch fp32 | agree | with ties | metric |")
    print("|---|---|---|---|---|---|---|")
    for name, found in answers.items():
        same = agreement(first, found, scale=None, labeled=True)
        middle = statistics.median(times[name])
        size = sizes.get(name.removesuffix(" bf16"), sizes.get(name, sizes["torch fp32"]))
        print(
            f"| {name} | {size:.0f} | {len(first) / middle:.0f} | {base / middle:.2f} | {same.sure_share:.2%} | "
            f"{same.share:.2%} | {same.metric} {same.after:.4f} |"
        )


def zero_shot(folder: Path, out: Path, *, rounds: int, texts: int = 100, labels: int = 10) -> None:
    """Classify texts of banking77 in every form in turns; each round has texts of its own."""
    task = get_task("banking77")
    canonical = preparing.rows_of(task)
    table = canonical.splits["test"]["text"].to_pylist()
    names = [name.replace("_", " ") for name in canonical.labels[:labels]]
    forms = {
        "torch fp32": load_model(folder, precision="fp32"), "torch bf16": load_model(folder, precision="bf16"),
        "openvino fp32": load_model(out / "openvino", precision="fp32"),
        "openvino bf16": load_model(out / "openvino", precision="bf16"),
        "onnx int8": load_model(out / "onnx"), "openvino int8": load_model(out / "openvino"),
    }  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in forms}
    same: dict[str, list[bool]] = {name: [] for name in forms}
    for turn in range(rounds):
        some = table[turn * texts : (turn + 1) * texts]
        expected = forms["torch fp32"].classify(some, names)
        sure = [one["scores"][0] - one["scores"][1] > 0.01 for one in expected]
        for name, model in forms.items():
            model.classify(some[:5], names)
            started = time.perf_counter()
            found = model.classify(some, names)
            times[name].append(time.perf_counter() - started)
            same[name] += [one["labels"][0] == right["labels"][0]
                           for one, right, counts in zip(found, expected, sure, strict=True) if counts]  # fmt: skip
    base = statistics.median(times["torch fp32"])
    print(f"\nzero-shot, {texts} texts x {labels} labels, {rounds} rounds\n")
    print("| form | pairs/s | times torch fp32 | agree, sure |")
    print("|---|---|---|---|")
    for name, found_times in times.items():
        middle = statistics.median(found_times)
        share = f"{np.mean(same[name]):.2%} of {len(same[name])}" if same[name] else "no sure text"
        print(f"| {name} | {texts * labels / middle:.0f} | {base / middle:.2f} | {share} |")


if __name__ == "__main__":
    main()
