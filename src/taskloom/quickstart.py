"""The first three minutes: train on the built-in tasks, then try labels that were never trained on.

The same on every machine: the rows are generated and the encoder comes in a wheel. The price: generated rows are easier
than real ones, so the numbers show that the program works and little about language.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskloom.config import RunConfig, make_config
from taskloom.progress import Progress

if TYPE_CHECKING:
    from taskloom.inference.predictor import Model
    from taskloom.workflows.running import Run

TASKS = [
    "builtin/label_nli",
    "builtin/topic_mentions",
    "builtin/topic_mentions+label-nli",
    "builtin/span_tags",
    "builtin/role_tags",
    "builtin/edit_similarity",
    "builtin/where_is",
]
"""All five kinds, short rows first of all: in the same time all fourteen tasks got half the examples each, too few to
learn labels by their meaning. The same topics asked twice, as a set of labels and as "This text is about ...", help."""
WEIGHTS = {
    "builtin/label_nli": 5.0,
    "builtin/topic_mentions": 2.0,
    "builtin/topic_mentions+label-nli": 2.0,
    "builtin/where_is": 0.3,
}
"""More of what makes the model a zero-shot classifier, less of the long rows with several choices."""
EXAMPLES = 240
"""Texts of the zero-shot test: 95 % intervals of about 6 points at worst."""
CANDIDATES = 8
TEMPLATE = "This text is about {}."
OWN_EXAMPLES = (
    ("The oven is hot and the dough has risen, so the loaves can go in.", ("baking", "banking", "boxing")),
    ("The band played until two and the crowd sang along to every song.", ("music", "politics", "gardening")),
    ("Our flight was canceled and the next one leaves tomorrow morning.", ("travel", "cooking", "religion")),
)
"""Ordinary sentences, made by hand, with labels given on the spot."""


@dataclass(frozen=True)
class ZeroShot:
    """How often the best of several labels, none of them trained on, was the right one."""

    rows: int
    right: int
    candidates: int

    @property
    def accuracy(self) -> float:
        """Share of texts whose best label is the right one."""
        return self.right / self.rows

    @property
    def chance(self) -> float:
        """Share that a blind guess gets."""
        return 1 / self.candidates

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (Wilson 1927)."""
        z, n, p = 1.96, self.rows, self.accuracy
        center = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
        return center - half, center + half

    def __str__(self) -> str:
        low, high = self.interval
        said = (
            f"Zero-shot: {self.accuracy:.3f} of {self.rows} texts right (95 % interval {low:.3f} to {high:.3f}), each "
            f"with {self.candidates} labels that were never trained on; chance is {self.chance:.3f}."
        )
        if low <= self.chance:
            return f"{said} That is no better than chance: do not trust this model's answers."
        if self.accuracy < 2 * self.chance or self.accuracy < 0.5:
            return f"{said} That is poor: better than chance, and more often wrong than right or close to it."
        return said


def quickstart_config(*, folder: Path, hub: bool) -> RunConfig:
    """Return the configuration of the quickstart; with `hub` the collection `starter` joins the built-in tasks."""
    return make_config(
        {
            "name": "quickstart-hub" if hub else "quickstart",
            "encoder": "minilm",
            "data": {"tasks": [*TASKS, "starter"] if hub else TASKS, "max_rows": 1000, "max_length": 128},
            "mixture": {"weights": WEIGHTS},
            "training": {
                "steps": 500 if hub else 300,
                "batch_size": 32,
                "learning_rate": 3e-4,
                "head_learning_rate": 2e-3,
                "warmup_steps": 30,
                "tokens_per_micro_batch": 2048,
                "evaluate_every": 0,
                "save_every": 100,
            },
            "output": {"folder": str(Path(folder).resolve())},
        }
    )


def say_at_once(line: str) -> None:
    """Print a line; in a pipe too the first one comes before minutes of training."""
    print(line, flush=True)


def quickstart(
    *,
    folder: Path = Path("runs"),
    hub: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] = say_at_once,
) -> Run:
    """Train, evaluate and show a small model; typed again it shows the finished one. Returns the run."""
    from taskloom.evaluation import table
    from taskloom.workflows import models, preparing, running

    config = quickstart_config(folder=folder, hub=hub)
    say(_first_line(config, count=len(preparing.choose(config).tasks), hub=hub))
    run = running.train(config, progress=progress or Progress())
    say("")
    say(table.plain(run.results.tasks))
    for line in table.summary_lines(run.results.aggregate):
        say(line)
    model = models.open_model(run.folder)
    say("")
    say(str(zero_shot(model)))
    say("")
    for line in own_examples(model):
        say(line)
    say("")
    say(_next_steps(run.folder))
    return run


def zero_shot(model: Model, *, rows: int | None = None, seed: int = 0) -> ZeroShot:
    """Return how well `model` finds the topic of texts whose topics were held out of training."""
    from taskloom.recipes.generators import zero_shot_examples

    examples = zero_shot_examples(rows or EXAMPLES, seed, candidates=CANDIDATES)
    answers = (_best(model, example["text"], example["labels"]) for example in examples)
    right = sum(answer == example["label"] for answer, example in zip(answers, examples, strict=True))
    return ZeroShot(rows=len(examples), right=right, candidates=CANDIDATES)


def own_examples(model: Model) -> list[str]:
    """Return a line for each of a few ordinary sentences: its labels with their probabilities."""
    lines = ["Three texts with labels given on the spot:"]
    for text, labels in OWN_EXAMPLES:
        answer: Any = model.classify(text, list(labels), hypothesis_template=TEMPLATE)
        scores = ", ".join(
            f"{label} {score:.2f}" for label, score in zip(answer["labels"], answer["scores"], strict=True)
        )
        lines.append(f"  {text}\n    {scores}")
    return lines


def _best(model: Model, text: str, labels: list[str]) -> str:
    answer: Any = model.classify(text, labels, hypothesis_template=TEMPLATE)
    return str(answer["labels"][0])


def _first_line(config: RunConfig, *, count: int, hub: bool) -> str:
    rows = "from a mirror or the hub where they are not built in" if hub else "generated here, nothing is downloaded"
    length = "about 5 minutes" if hub else "about 3 minutes"
    return (
        f"Training one 22M encoder on {count} tasks ({rows}), then trying labels that it has never seen: "
        f"{length} on two cores. Writes {Path(config.output.folder) / config.name}."
    )


def _next_steps(folder: Path) -> str:
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    return "\n".join(
        (
            f"Run folder: {shown} (results.json, tasks.md, log.jsonl); model: {shown / 'model'}. What to type next:",
            f"  echo 'The car would not start' | taskloom classify {shown} --labels cars,music,food",
            "  taskloom tasks                         real tasks; docs/run-toml.md says how to train on them",
            "  taskloom quickstart --hub              the same with a dozen of them",
        )
    )
