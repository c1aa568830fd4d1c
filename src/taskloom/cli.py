"""The command line: parse, call, print. What a command does stands in `workflows`; heavy imports wait inside it.

A user's mistake prints one message and exits with 2, a failure with 1, SIGINT with 130 and SIGTERM with 143. Results go
to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from taskloom.errors import TaskloomError, UserError

if TYPE_CHECKING:
    from taskloom.config import RunConfig
    from taskloom.data.store import TaskStore
    from taskloom.evaluation.report import RunReport
    from taskloom.inference.predictor import Model

app = typer.Typer(
    name="taskloom",
    help="One text encoder, hundreds of tasks: train it, evaluate it, put it to use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

RunFile = Annotated[Path, typer.Argument(metavar="RUN.toml", help="The run file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[key=value]...", help="Keys to change, e.g. training.steps=200.", show_default=False),
]
Patterns = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATTERN]...", help="Ids, globs, collections, family:nli, kind:regression.", show_default=False
    ),
]
ModelPath = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A run folder or its model folder.", show_default=False)
]
TextFile = Annotated[
    str,
    typer.Argument(metavar="[FILE|-]", help="Lines, .csv, .tsv or .jsonl; - is standard input.", show_default=False),
]
Precision = Annotated[Literal["auto", "fp32", "bf16"], typer.Option(help="Arithmetic.")]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where the model runs.")]
CHUNK = 512
"""Texts read and answered at a time: memory stays flat and answers come while the rest is read."""


def _version(wanted: bool) -> None:
    if wanted:
        from taskloom import __version__

        print(f"taskloom {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hold the options that stand before a command."""


program.__doc__ = app.info.help


@app.command(epilog="\b\nExample: taskloom tasks 'glue/*' family:nli --license-use commercial")
def tasks(
    patterns: Patterns = None,
    family: Annotated[str | None, typer.Option(help="Only this family, e.g. nli.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind, e.g. multiple_choice.")] = None,
    license_use: Annotated[str, typer.Option(help="What the data license allows, e.g. commercial.")] = "any",
    role: Annotated[Literal["train", "evaluation"] | None, typer.Option(help="Only this role.")] = None,
    labels: Annotated[str | None, typer.Option(metavar="RANGE", help="Number of labels: 2, 3..10, 50..")] = None,
    rows: Annotated[str | None, typer.Option(metavar="RANGE", help="Train rows of the data set: ..5000.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="A page with a table a family.")] = False,
) -> None:
    """List the tasks of the catalog."""
    from taskloom import listing
    from taskloom.recipes.select import select

    use = None if license_use == "any" else license_use
    selected = select(patterns or ("all",)).tasks
    found = listing.narrowed(selected, family=family, kind=kind, role=role, license_use=use, labels=labels, rows=rows)
    if as_json:
        print(json.dumps([listing.describe(task) for task in found], ensure_ascii=False, indent=1))
        return
    if as_markdown:
        print(listing.page(found), end="")
        return
    for line in listing.lines(found):
        print(line)
    print(f"{len(found)} tasks", file=sys.stderr)


@app.command(epilog="\b\nExample: taskloom show glue/rte --rows 3")
def show(
    task: Annotated[str, typer.Argument(metavar="TASK", help="An id.", show_default=False)],
    rows: Annotated[int, typer.Option(min=0, help="Rows to show before and after; 0 reads no data.")] = 3,
) -> None:
    """Show a task and some of its rows.

    Source, fields, labels, question, license, citation and head, and rows before and after they are made canonical.
    """
    from taskloom import workflows

    print(workflows.show(task, rows=rows))


@app.command(epilog="\b\nExample: taskloom propose tickets.csv")
def propose(
    source: Annotated[
        str, typer.Argument(metavar="FILE|REPO", help="A table, a folder, or OWNER/NAME.", show_default=False)
    ],
    config: Annotated[str | None, typer.Option(help="The configuration of a repository.")] = None,
) -> None:
    """Guess a recipe from columns.

    For a file or folder a [[task]] block for a run file, for a repository of the mirror or the hub a Task for the
    catalog. What was taken for what, and what could be otherwise, stands above it as comments.
    """
    from taskloom.proposing import proposed

    print(proposed(source, config=config), end="")


@app.command(epilog="\b\nExample: taskloom check 'glue/*' --no-data")
def check(
    patterns: Patterns = None,
    no_data: Annotated[bool, typer.Option("--no-data", help="Hold recipes against recorded schemas only.")] = False,
    write_stats: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write figures of the rows, a JSON line a task.")
    ] = None,
) -> None:
    """Check recipes against recorded schemas and rows.

    Rows come from the mirror folder in TASKLOOM_MIRROR and from the built-in generators; nothing is downloaded. Exits
    with 1 when a recipe is faulty.
    """
    from taskloom import checking, progress
    from taskloom.recipes.select import select

    started = time.monotonic()
    chosen = select(patterns or ("all",)).tasks
    checked = checking.check_tasks(chosen, data=not no_data, stats=write_stats, progress=progress.for_stream())
    _print_lines(checking.report_lines(checked, seconds=time.monotonic() - started))
    if any(one.faults for one in checked):
        raise typer.Exit(1)


@app.command(epilog="\b\nExample: taskloom overlap run.toml --against 'mmlu/*'")
def overlap(
    run_file: RunFile,
    overrides: Overrides = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Further tasks whose validation and test rows are looked for."),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Jaccard similarity from which rows are near duplicates.")] = 0.8,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compare what is trained on with what is evaluated.

    Reports exact and near duplicates of train rows among validation and test rows, by pair of tasks. Training leaves
    them out unless data.drop_overlap is false.
    """
    config = _config(run_file, overrides)
    from taskloom import overlapping, progress, workflows

    started = time.monotonic()
    report = workflows.find_overlap(
        config, against=tuple(against or ()), threshold=threshold, progress=progress.for_stream()
    )
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False, indent=1))
        return
    _print_lines(overlapping.report_lines(report, seconds=time.monotonic() - started))


@app.command(epilog="\b\nExample: taskloom prepare run.toml data.max_rows=1000")
def prepare(
    run_file: RunFile,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved file and the tasks, and stop.")
    ] = False,
) -> None:
    """Read, check and tokenize tasks.

    What is there already is kept. A task that cannot be read is reported, and the others go on.
    """
    config = _config(run_file, overrides)
    if dry_run:
        _dry_run(config)
        return
    from taskloom import progress, workflows

    report = workflows.prepare(config, progress=progress.for_stream())
    for store in report.stores:
        print(_prepared_line(store, report.rows(store)))
    print(f"{len(report.stores)} tasks prepared, {len(report.failed)} failed", file=sys.stderr)


@app.command(epilog="\b\nExample: taskloom train run.toml training.steps=200")
def train(
    run_file: RunFile,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Prepare, try a few steps, print the plan, and stop.")
    ] = False,
) -> None:
    """Train, evaluate and write the run folder.

    Prepares what is missing first. Typed again, the same command goes on where it stopped, and leaves a finished run as
    it is.
    """
    config = _config(run_file, overrides)
    from taskloom import planning, progress, workflows

    if dry_run:
        _print_lines(planning.plan_lines(config, progress=progress.for_stream()))
        return
    run = workflows.train(config, progress=progress.for_stream())
    _print_results(run.results)
    print(f"run folder: {run.folder}\nmodel:      {run.folder / 'model'}")


@app.command(epilog="\b\nExample: taskloom evaluate runs/first --split test --tasks 'glue/*'")
def evaluate(
    path: Annotated[
        Path, typer.Argument(metavar="RUN|MODEL", help="A run folder or a model folder.", show_default=False)
    ],
    split: Annotated[
        Literal["validation", "test"] | None, typer.Option(help="Default: validation, else test.", show_default=False)
    ] = None,
    tasks: Annotated[list[str] | None, typer.Option(help="Only these tasks; may be given several times.")] = None,
) -> None:
    """Evaluate a trained model on the tasks it knows."""
    from taskloom import progress, workflows

    _print_results(workflows.evaluate(path, split=split, tasks=tuple(tasks or ()), progress=progress.for_stream()))


@app.command(epilog="\b\nExample: taskloom export runs/first exported --head glue/rte")
def export(
    path: Annotated[
        Path, typer.Argument(metavar="RUN|MODEL", help="A run folder or a model folder.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.", show_default=False)],
    head: Annotated[str | None, typer.Option(metavar="TASK", help="The task; default: the zero-shot head.")] = None,
    with_task_embedding: Annotated[
        bool, typer.Option("--with-task-embedding", help="Fold it into the weights.")
    ] = False,
) -> None:
    """Write one head as a Hugging Face folder."""
    from taskloom import workflows

    print(workflows.export(path, out, head=head, with_task_embedding=with_task_embedding))


@app.command(epilog="\b\nExample: echo 'The oven broke' | taskloom classify runs/first --labels kitchen,garden")
def classify(
    model: ModelPath,
    file: TextFile = "-",
    *,
    labels: Annotated[str, typer.Option(help="Candidate labels, separated by commas.", show_default=False)],
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Judge each label by itself.")] = False,
    template: Annotated[str, typer.Option(help="The hypothesis; {} stands for the label.")] = "This example is {}.",
    precision: Precision = "auto",
    device: Device = "auto",
) -> None:
    """Classify texts with labels given on the spot."""
    from taskloom.inference.inputs import numbered, read_rows

    names = [name.strip() for name in labels.split(",") if name.strip()]
    if not names:
        raise UserError(f"--labels {labels!r} names no label. Type for example --labels sports,politics.")
    _tell_terminal(file)
    opened = _open(model, device, precision)

    def answers() -> Iterator[dict[str, Any]]:
        for chunk in _chunks(read_rows(file)):
            texts = [_text_of(row) for row in chunk]
            yield from opened.classify(texts, names, multi_label=multi_label, hypothesis_template=template)

    _print_lines(numbered(answers()))


@app.command(epilog="\b\nExample: taskloom predict runs/first texts.csv --task glue/rte")
def predict(
    model: ModelPath,
    file: TextFile = "-",
    *,
    task: Annotated[str, typer.Option(help="A task that the model was trained on.", show_default=False)],
    precision: Precision = "auto",
    device: Device = "auto",
) -> None:
    """Answer rows of a trained task."""
    from taskloom.inference.inputs import numbered, read_rows

    _tell_terminal(file)
    opened = _open(model, device, precision)
    _print_lines(numbered(answer for chunk in _chunks(read_rows(file)) for answer in opened.predict(task, chunk)))


@app.command(epilog="\b\nExample: taskloom cache --clear")
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all prepared tasks.")] = False,
) -> None:
    """Show where prepared tasks are kept."""
    from taskloom import workflows

    print(workflows.cache(clear=clear))


@app.command(epilog="\b\nExample: taskloom quickstart")
def quickstart(
    hub: Annotated[bool, typer.Option("--hub", help="Add a dozen real tasks, from a mirror or the hub.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the run folder is written.")] = Path("runs"),
) -> None:
    """Train on the built-in tasks, offline, in minutes."""
    from taskloom import progress
    from taskloom.quickstart import quickstart

    quickstart(folder=folder, hub=hub, progress=progress.for_stream())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(args=None if arguments is None else list(arguments), prog_name="taskloom")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except TaskloomError as error:
        print(f"taskloom: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _terminate(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _config(run_file: Path, overrides: Sequence[str] | None) -> RunConfig:
    from taskloom.run_file import load_config

    return load_config(run_file, overrides or ())


def _dry_run(config: RunConfig) -> None:
    from taskloom import workflows
    from taskloom.run_file import to_toml

    print(to_toml(config))
    chosen = workflows.choose(config)
    print(f"# {len(chosen.tasks)} tasks")
    for task in chosen.tasks:
        print(f"# {task.versioned}")
    for task_id in chosen.excluded_by_name:
        print(f"{task_id} is named in data.tasks and left out by data.exclude or data.license_use.", file=sys.stderr)


def _prepared_line(store: TaskStore, used: Mapping[str, int]) -> str:
    rows = ", ".join(f"{split} {count}" for split, count in used.items())
    unused = sum((Counter(reasons) for reasons in store.unused.values()), Counter[str]())
    unused["in_evaluated_rows"] = sum(map(len, store.splits.values())) - sum(used.values())
    left_out = ", ".join(f"{count} {reason}" for reason, count in unused.items() if count)
    return f"{store.task}: {rows}" + (f" (unused: {left_out})" if left_out else "")


def _print_results(report: RunReport) -> None:
    from taskloom.evaluation import table

    if sys.stdout.isatty():
        import rich

        rich.print(table.table(report.tasks))
    else:
        print(table.plain(report.tasks))
    for line in table.summary_lines(report.aggregate):
        print(line)


def _open(model: Path, device: str, precision: str) -> Model:
    from taskloom import workflows

    return workflows.open_model(model, device=device, precision=precision)


def _text_of(row: dict[str, Any]) -> str:
    text = row.get("text")
    if not isinstance(text, str):
        raise UserError(f"A row has no 'text'; it has {', '.join(map(str, row))}. Rename the column to 'text'.")
    return text


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        yield chunk


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _tell_terminal(file: str) -> None:
    if file == "-" and sys.stdin.isatty():
        print("Reading texts from the terminal, one a line; Ctrl-D ends.", file=sys.stderr)
