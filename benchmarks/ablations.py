"""What each choice of `configs/mirror-22m.toml` is worth on tasks that were not trained: arms with one thing changed.

TASKLOOM_MIRROR=DIR python benchmarks/ablations.py --folder DIR [--arms base "keep 50" ...] [--seeds 0 1]

Every arm trains for the same number of tokens (by default about six minutes of two cores without fast bf16), with a
schedule of its own that ends there and warms up for a tenth of it, and is measured on the collection `held-out` by what
needs no fine-tuning: a linear probe from 16 shots and label names alone. The raw encoder is measured by the same
protocol. What has a line in FOLDER/arms.jsonl is not made again, and a killed arm goes on where it was; the table is of
all lines of the configuration as it is now, with the mean difference to the arm "base" over the same tasks and seeds
and its 95 % interval over tasks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

CONFIG = Path(__file__).parent.parent / "configs" / "mirror-22m.toml"
TOKENS = 750_000
METHODS = ("probe", "zero-shot/matching", "zero-shot/pairs", "zero-shot/similarity")
"""What the table shows of what is measured."""
FEW = ("glue/mnli", "go_emotions/simplified", "clinc_oos/small", "sst5", "commonsense_qa")
"""The first of the nested sets of 1, 5, 15 and 40 tasks; the others are drawn from all by seed."""
ARMS: dict[str, list[str]] = {
    "raw encoder": [],
    "base": [],
    "no task embedding": ["model.task_embedding_drop=1.0"],
    "task embedding dropped for half": ["model.task_embedding_drop=0.5"],
    "no shared heads": ["model.share_heads=false"],
    "one task a step": [],
    "loss scaling log_labels": ["model.loss_scaling=log_labels"],
    "loss scaling uncertainty": ["model.loss_scaling=uncertainty"],
    "1 task": ["training.keep=0"],  # entailment is recast into nothing, so nothing is compared
    "5 tasks": [],
    "15 tasks": [],
    "40 tasks": [],
    "without label-nli": ['data.recast=["matching"]'],
    "without matching": ['data.recast=["label-nli"]', "training.keep=0"],  # beside "nothing kept", not beside "base"
    "with one-pass": ['data.recast=["label-nli","one-pass","matching"]'],
    "no recasts": ["data.recast=[]", "training.keep=0"],
    "rate 3e-5": ["training.learning_rate=3e-5"],
    "rate 3e-4": ["training.learning_rate=3e-4", "training.head_learning_rate=3e-3"],
    "dropout of the encoder": ["training.dropout=own"],
    "label smoothing 0.1": ["training.label_smoothing=0.1"],
    "class weights": ["training.class_weights=balanced"],
    "nothing kept": ["training.keep=0"],
    "keep 10": ["training.keep=10"],
    "keep 50": ["training.keep=50"],
    "no layer decay": ["training.layer_decay=1.0"],
    "layer decay 0.7": ["training.layer_decay=0.7"],
    "64 tokens a text": ["data.max_length=64"],
    "a fifth of the start": ["training.start_share=0.2"],
    "two fifths of the start": ["training.start_share=0.4"],
}
RUN_OF = {"a fifth of the start": "base", "two fifths of the start": "base"}
"""Arms that go on from the finished run of another, since they change only what comes after the last step."""


@lru_cache
def tasks_of(arm: str, seed: int) -> list[str]:
    """Return the overrides of an arm of few tasks: the first of FEW, then others by seed, each with its recasts."""
    from taskloom.recipes.held_out import held_out_tasks, is_held_out
    from taskloom.recipes.select import select

    if not arm.partition(" ")[0].isdecimal():
        return []
    count, config = int(arm.partition(" ")[0]), load(arm, 0, [])
    kept = held_out_tasks(config.data.held_out)
    every = [task.id for task in select(config.data.tasks, exclude=config.data.exclude).tasks
             if not is_held_out(task, kept) and _has_rows(task)]  # fmt: skip
    drawn = np.random.default_rng(seed).permutation([task for task in every if task not in FEW]).tolist()
    return [f"data.tasks={json.dumps([*FEW, *drawn][:count])}"]


def _has_rows(task: Any) -> bool:
    from taskloom.errors import UserError
    from taskloom.workflows.preparing import rows_of

    try:
        return "train" in rows_of(task).splits
    except UserError:
        return False


def name_of(arm: str, seed: int) -> str:
    """Return the name of an arm's folder."""
    return f"{arm.replace(' ', '-')}-{seed}"


def load(arm: str, seed: int, more: list[str]) -> Any:
    """Return the configuration of an arm."""
    from taskloom.run_file import load_config

    own = [f"name={name_of(RUN_OF.get(arm, arm), seed)}", f"seed={seed}"]
    return load_config(CONFIG, [*own, *ARMS[arm], *more])


def one_task_a_step(plan: Any, batch_size: int, seed: int) -> Any:
    """Return what draws a step's rows from a single task, tasks as often as in the mixture."""
    from dataclasses import replace

    from taskloom.data.mixture import permuted
    from taskloom.data.rows import Drawn

    turns = replace(plan.mixture, batch_size=1, seed=seed)
    rows = [np.setdiff1d(np.arange(len(split)), plan.left_out.get(task.id, [])) for task, split in
            zip(plan.tasks, plan.train_splits, strict=True)]  # fmt: skip

    def drawn(step: int) -> Drawn:
        task = int(turns.batch(step)[0][0])
        first = int(turns.counts(step - 1)[task]) * batch_size
        epoch, place = np.divmod(first + np.arange(batch_size), len(rows[task]))
        places = permuted(place, np.full(batch_size, len(rows[task])), epoch.astype(np.uint64))
        return Drawn(np.full(batch_size, task), rows[task][places], epoch)

    return drawn


def train(arm: str, seed: int, folder: Path, tokens: int) -> None:
    """Train an arm for about so many tokens, as one of several processes, and leave its model and its figures."""
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.modeling.encoder import resolve_encoder
    from taskloom.modeling.lineage import lineage_of
    from taskloom.progress import LineProgress
    from taskloom.training.building import build_model
    from taskloom.training.plan import make_plan
    from taskloom.training.ranks import joined_ranks
    from taskloom.training.run_folder import open_run
    from taskloom.training.steps import StepSource
    from taskloom.training.trainer import start_trainer
    from taskloom.workflows.preparing import kept_away, prepare

    more = [f"output.folder={folder}", *tasks_of(arm, seed)]
    config = load(arm, seed, more)
    progress = LineProgress(every=60)
    with joined_ranks(config.training.device) as ranks, open_run(config, writes=ranks.writes) as run:
        with ranks.one_by_one():
            preparation = prepare(config, progress=progress)
            pairs = list(preparation.trainable())

            def planned(config: Any) -> Any:
                stores = [store for _, store in pairs]
                return make_plan(config, [task for task, _ in pairs], stores, preparation.left_out_rows)

            plan, encoder = planned(config), resolve_encoder(config.encoder)
            model = build_model(config, plan, encoder, progress=progress)
            source = StepSource(plan, model, Tokenizer.open(encoder), config)
            mean = statistics.fmean(source(step).tokens for step in range(1, plan.steps, max(1, plan.steps // 20)))
            steps = round(tokens / mean)
            config = load(arm, seed, [*more, f"training.steps={steps}", f"training.warmup_steps={steps // 10}"])
            plan = planned(config)
            if arm == "one task a step":
                object.__setattr__(plan, "drawn", one_task_a_step(plan, config.training.batch_size, seed))
            run.compare_config(config)
            run.keep_config(config)
            run.keep_or_compare_plan(plan.to_json(config=config))
        trainer = start_trainer(config, run, plan, progress=progress, ranks=ranks)
        started = time.monotonic()
        trainer.train()
        if ranks.writes:
            made = folder / name_of(arm, seed)
            trainer.model.save(
                made / "model", tokenizer_folder=trainer.tokenizer.folder, max_length=config.data.max_length,
                encoder_name=config.encoder,
                training=lineage_of(encoder).after(plan.tasks, kept_away(config)).to_json(),
            )  # fmt: skip
            minutes = round((time.monotonic() - started) / 60, 1)
            told = {"steps": plan.steps, "tasks": len(plan.tasks), "minutes": minutes}
            (made / "told.json").write_text(json.dumps(told), encoding="utf-8")


class ArmFailed(Exception):
    """An arm that could not be trained; the others are."""


def recipe(arm: str, seed: int) -> str:
    """Return a fingerprint of what an arm trains, so that lines of another configuration are not taken for it."""
    described = load(arm, seed, tasks_of(arm, seed)).model_dump_json(exclude={"output", "name"})
    return hashlib.sha256(described.encode()).hexdigest()[:12]


def trained(arm: str, seed: int, given: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """Train an arm with several processes and return its model folder and what is to be told of it."""
    from taskloom.workflows.launching import launch

    command = [__file__, "--folder", given.folder, "--arms", arm, "--seeds", seed, "--tokens", given.tokens]
    if code := launch([*map(str, command)], given.processes):
        raise ArmFailed(f"{arm}, seed {seed}: exit code {code}")
    folder = given.folder / name_of(arm, seed)
    return folder / "model", json.loads((folder / "told.json").read_text(encoding="utf-8"))


def measure(model: str, output: Path) -> dict[str, Any]:
    """Return the mean of each method over the held-out tasks, and the scores by method and task."""
    from taskloom.evaluation.protocol import Protocol
    from taskloom.progress import LineProgress
    from taskloom.workflows.transferring import transfer

    protocol = Protocol(tasks=("held-out",), shots=(16,), seeds=3, methods=("probe", "zero-shot"), max_rows=200)
    transfer([model], protocol, output=output, progress=LineProgress(every=60))
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in map(json.loads, (output / "transfer.jsonl").read_text(encoding="utf-8").splitlines()):
        scores[line["method"]][line["task"]].append(line["score"])
    by_task = {
        method: {task: statistics.fmean(found) for task, found in tasks.items()} for method, tasks in scores.items()
    }
    return {"scores": by_task, "means": {method: statistics.fmean(tasks.values()) for method, tasks in by_task.items()}}


def main() -> None:
    """Make the arms asked for that have no line yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    given.folder = given.folder.absolute()
    if "WORLD_SIZE" in os.environ:
        train(given.arms[0], given.seeds[0], given.folder, given.tokens)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / "arms.jsonl"
    for seed in given.seeds:
        for arm in given.arms:
            try:
                make(arm, seed, given, path)
            except ArmFailed as error:
                print(f"not made: {error}", flush=True)
    print(*table(path), sep="\n")


def make(arm: str, seed: int, given: argparse.Namespace, path: Path) -> None:
    """Train and measure an arm unless its line is there; the raw encoder has one seed and nothing to train."""
    raw = arm == "raw encoder"
    key = {"arm": arm, "seed": seed, "tokens": given.tokens, "recipe": "" if raw else recipe(arm, seed)}
    if any(key.items() <= one.items() for one in lines(path)) or (raw and seed != given.seeds[0]):
        return
    model, told = (Path("minilm"), {}) if raw else trained(arm, seed, given)
    found = measure(str(model), given.folder / f"transfer-{name_of(arm, seed)}")
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(key | told | found) + "\n")
    print(*table(path), sep="\n", flush=True)


def lines(path: Path) -> list[dict[str, Any]]:
    """Return what has been made."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def table(path: Path) -> Iterator[str]:
    """Yield a line for each arm: means over seeds of the means over tasks, and the difference to "base"."""
    made = [one for one in lines(path) if one["arm"] in ARMS]
    made = [one for one in made if one["arm"] == "raw encoder" or one["recipe"] == recipe(one["arm"], one["seed"])]
    methods = [one for one in METHODS if any(one in line["means"] for line in made)]
    yield "| arm | seeds | steps | " + " | ".join(f"{name} | to base" for name in methods) + " |"
    yield "|---" * (3 + 2 * len(methods)) + "|"
    base = {line["seed"]: line for line in made if line["arm"] == "base"}
    for arm in dict.fromkeys(line["arm"] for line in made):
        mine = [line for line in made if line["arm"] == arm]
        cells = [cell for method in methods for cell in (_mean(mine, method), _beside(mine, base, method))]
        yield f"| {arm} | {len(mine)} | {mine[0].get('steps', '')} | " + " | ".join(cells) + " |"


def _mean(mine: list[dict[str, Any]], method: str) -> str:
    found = [line["means"][method] for line in mine if method in line["means"]]
    return f"{statistics.fmean(found):.3f}" if found else ""


def _beside(mine: list[dict[str, Any]], base: dict[int, dict[str, Any]], method: str) -> str:
    """Return the mean difference to the base arm and its interval over the tasks of both; seeds are averaged."""
    from taskloom.evaluation.across import mean_interval

    moved: dict[str, list[float]] = defaultdict(list)
    for line in mine:
        other = base.get(line["seed"]) if line["arm"] != "base" else None
        for task, score in line["scores"].get(method, {}).items() if other else ():
            if other and task in other["scores"].get(method, {}):
                moved[task].append(score - other["scores"][method][task])
    if len(moved) < 2:
        return ""
    mean, low, high = mean_interval([statistics.fmean(values) for values in moved.values()])
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
