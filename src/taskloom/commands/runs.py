"""Commands about runs: prepare, train, and what they leave on disk."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskloom.commands.options import Overrides, RunFile
from taskloom.commands.printing import config_of, print_lines, print_results
from taskloom.errors import ConfigError

if TYPE_CHECKING:
    from taskloom.config import RunConfig
    from taskloom.data.store import TaskStore


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
    config = config_of(run_file, overrides)
    if dry_run:
        _dry_run(config)
        return
    from taskloom import progress
    from taskloom.workflows import preparing

    report = preparing.prepare(config, progress=progress.for_stream())
    for store in report.stores:
        print(_prepared_line(store, report.rows(store)))
    print(f"{len(report.stores)} tasks prepared, {len(report.failed)} failed", file=sys.stderr)


def train(
    run_file: RunFile,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Prepare, try a few steps, print the plan, and stop.")
    ] = False,
    processes: Annotated[
        int, typer.Option(metavar="N", help="Train with N processes of this machine; 0: one for each GPU, else core.")
    ] = 1,
) -> None:
    """Train, evaluate and write the run folder.

    Prepares what is missing first. Typed again, the same command goes on where it stopped, and leaves a finished run as
    it is.
    """
    config = config_of(run_file, overrides)
    from taskloom import progress
    from taskloom.workflows import launching, planning, running

    if dry_run:
        if processes != 1:
            raise ConfigError(
                f"--dry-run tries its steps in one process, and --processes {processes} was given. Leave one "
                "of the two out."
            )
        print_lines(planning.plan_lines(config, progress=progress.for_stream()))
        return
    count = launching.processes_for(processes, config.training.device)
    if count > 1:
        raise typer.Exit(launching.launch(["-m", "taskloom", "train", str(run_file), *(overrides or [])], count))
    launching.follow_launcher()
    run = running.train(config, progress=progress.for_stream())
    print_results(run.results)
    print(f"run folder: {run.folder}\nmodel:      {run.folder / 'model'}")


def report(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.", show_default=False)],
    transfer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Results on tasks not trained. Default: RUN/transfer.jsonl.", show_default=False
        ),
    ] = None,
    texts: Annotated[
        bool, typer.Option("--texts/--no-texts", help="Show the texts of wrongly answered rows, where prepared.")
    ] = True,
) -> None:
    """Write report.html of a run anew.

    Training writes it too, and it needs no network. Typed after `evaluate` it has the newer scores.
    """
    from taskloom.workflows import running

    print(running.report(path, texts=texts, transfer=transfer))


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all prepared tasks.")] = False,
) -> None:
    """Show where prepared tasks are kept."""
    from taskloom.workflows import preparing

    print(preparing.cache(clear=clear))


def quickstart(
    hub: Annotated[bool, typer.Option("--hub", help="Add a dozen real tasks, from a mirror or the hub.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the run folder is written.")] = Path("runs"),
) -> None:
    """Train on the built-in tasks, offline, in minutes."""
    from taskloom import progress
    from taskloom.quickstart import quickstart

    quickstart(folder=folder, hub=hub, progress=progress.for_stream())


def _dry_run(config: RunConfig) -> None:
    from taskloom.run_file import to_toml
    from taskloom.workflows import preparing

    print(to_toml(config))
    chosen = preparing.choose(config)
    print(f"# {len(chosen.tasks)} tasks")
    for task in chosen.tasks:
        print(f"# {task.versioned}")
    for task_id in chosen.excluded_by_name:
        print(preparing.left_out_by_name(task_id), file=sys.stderr)


def _prepared_line(store: TaskStore, used: Mapping[str, int]) -> str:
    rows = ", ".join(f"{split} {count}" for split, count in used.items())
    unused = sum((Counter(reasons) for reasons in store.unused.values()), Counter[str]())
    unused["in_evaluated_rows"] = sum(map(len, store.splits.values())) - sum(used.values())
    left_out = ", ".join(f"{count} {reason}" for reason, count in unused.items() if count)
    return f"{store.task}: {rows}" + (f" (unused: {left_out})" if left_out else "")
