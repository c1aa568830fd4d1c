"""README.md of a run and its model: what it was trained on, how well it does, how to use it, what it cannot do.

The header says `license: other`, because a model trained on many data sets inherits many licenses and no tool can pick
one; the card counts them and names the non-commercial ones, and leaves the decision to a person.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from taskloom.evaluation.report import RunReport
from taskloom.evaluation.table import markdown, number
from taskloom.recipes.recipe import Hub
from taskloom.reporting.task_list import TrainedTask

TABLE_ROWS = 40
"""More tasks than this and the card shows the aggregate alone; the table is in tasks.md."""
NAMED = 10


def model_card(trained: Sequence[TrainedTask], report: RunReport, *, zero_shot: str | None, max_length: int) -> str:
    """Return the model card in Markdown with a YAML header.

    `zero_shot` is the task whose head `classify` uses (id@version), or None; `max_length` counts tokens of an input.
    """
    parts = [
        _header(trained, report, zero_shot),
        f"# {report.run}",
        _intro(trained, report),
        "## Scores",
        _scores(report),
        "## Use",
        _use(trained, report, zero_shot),
        "## Training data and licenses",
        _licenses(trained),
        "## Limits",
        _limits(zero_shot, max_length),
    ]
    return "\n\n".join(parts) + "\n"


def _header(trained: Sequence[TrainedTask], report: RunReport, zero_shot: str | None) -> str:
    repos = sorted({one.task.source.repo for one in trained if isinstance(one.task.source, Hub)})
    kinds = {one.task.kind.name.replace("_", "-") for one in trained}
    tags = ["taskloom", "multi-task", *sorted(kinds)]
    lines = [
        "library_name: transformers",
        f"pipeline_tag: {'zero-shot-classification' if zero_shot else 'text-classification'}",
        "license: other",
        "license_name: see-tasks-md",
        "license_link: tasks.md",
        *_yaml_list("language", sorted({one.task.language for one in trained})),
        *_yaml_list("tags", tags),
        *_yaml_list("datasets", repos),
        *([f"base_model: {json.dumps(report.encoder)}"] if _is_hub_id(report.encoder) else []),
    ]
    return "\n".join(["---", *lines, "---"])


def _yaml_list(key: str, values: Sequence[str]) -> list[str]:
    """A JSON string is a YAML string, so names with colons or a leading "no" stay what they are."""
    return [f"{key}:", *(f"- {json.dumps(value)}" for value in values)] if values else []


def _is_hub_id(encoder: str) -> bool:
    parts = encoder.split("/")
    return (
        len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "runs") and not PurePath(encoder).is_absolute()
    )


def _intro(trained: Sequence[TrainedTask], report: RunReport) -> str:
    rows = sum(one.rows.get("train", 0) for one in trained)
    kinds = Counter(one.task.kind.name.replace("_", " ") for one in trained)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return (
        f"One text encoder ({report.encoder}) trained on {len(trained)} tasks at once with taskloom: {by_kind}; "
        f"{rows:,} training rows, {report.step:,} steps, seed {report.seed}. `tasks.md` lists the tasks with source, "
        f"license and score, `citations.bib` has what to cite, and the run's `results.json` every number."
    )


def _scores(report: RunReport) -> str:
    summary = report.aggregate
    told = (
        f"Mean score {number(summary.mean_score)} over {summary.scored} tasks, each by its main metric; the trivial "
        f"answer has {number(summary.mean_majority)} over {summary.with_majority}. {summary.above_majority} of "
        f"{summary.tasks} tasks are above the trivial answer by more than their 95 % interval. The trivial answer is "
        f"the most frequent label, the mean score, or a blind guess among the choices."
    )
    few = 0 < len(report.tasks) <= TABLE_ROWS
    return f"{told}\n\n{markdown(report.tasks)}" if few else f"{told} The table is in `tasks.md`."


def _use(trained: Sequence[TrainedTask], report: RunReport, zero_shot: str | None) -> str:
    lines = ["import taskloom", "", f'model = taskloom.load_model("runs/{report.run}/model")']
    lines += [_predict_line(trained[0])] if trained else []
    if not zero_shot:
        return _code(lines)
    call = '(["The team won the cup."], ["sports", "politics"])'
    lines.append(f"model.classify{call}")
    pipeline = [
        "from transformers import pipeline",
        "",
        f'classifier = pipeline("zero-shot-classification", "runs/{report.run}/model")',
        f"classifier{call}",
    ]
    return f"{_code(lines)}\n\nWithout taskloom, zero-shot (the head of {zero_shot}):\n\n{_code(pipeline)}"


def _predict_line(one: TrainedTask) -> str:
    rows = {
        "multiple_choice": '[("prompt", ["first choice", "second choice"])]',
        "token_classification": '[["some", "words"]]',
    }
    plain = '["a text"]' if getattr(one.task.kind, "pair", None) is None else '[("a text", "its pair")]'
    return f'model.predict("{one.task.id}", {rows.get(one.task.kind.name, plain)})'


def _code(lines: Sequence[str]) -> str:
    return "\n".join(["```python", *lines, "```"])


def _licenses(trained: Sequence[TrainedTask]) -> str:
    uses = Counter(one.task.license_use for one in trained)
    counted = ", ".join(f"{count} {use}" for use, count in sorted(uses.items()))
    told = [
        f"Use of the tasks' data by license: {counted or 'no tasks'}. The model's weights come from all of them; "
        "whether and how the model may be used is for its publisher to decide, per task, from `tasks.md`."
    ]
    for use in ("non-commercial", "unspecified"):
        names = sorted(one.task.id for one in trained if one.task.license_use == use)
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            told.append(f"{use.capitalize()}: {', '.join(names[:NAMED])}{more}.")
    return "\n\n".join(told)


def _limits(zero_shot: str | None, max_length: int) -> str:
    limits = [
        f"Inputs beyond {max_length} tokens are cut: pairs longest first, a choice row's prompt at its beginning, "
        "zero-shot premises at their end.",
        "Scores are of held-out rows of the same data sets; other texts may be harder, and some labels are wrong.",
        "Probabilities are the model's own and are not calibrated.",
        "The model repeats biases of its training texts; do not let it decide about people.",
    ]
    if zero_shot:
        limits.append(
            f"Zero-shot answers read a label as a hypothesis for the head of {zero_shot}; its wording matters."
        )
    else:
        limits.append("No entailment task was trained, so there is no zero-shot classification.")
    return "\n".join(f"- {limit}" for limit in limits)
