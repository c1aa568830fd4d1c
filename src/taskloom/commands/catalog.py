"""Commands about tasks: what there is, whether it is right, what a new one would look like."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from taskloom.commands.options import Overrides, Patterns, RunFile
from taskloom.commands.printing import config_of, print_lines


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
    from taskloom.recipes.select import select
    from taskloom.workflows import listing

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


def show(
    task: Annotated[str, typer.Argument(metavar="TASK", help="An id.", show_default=False)],
    rows: Annotated[int, typer.Option(min=0, help="Rows to show before and after; 0 reads no data.")] = 3,
) -> None:
    """Show a task and some of its rows.

    Source, fields, labels, question, license, citation and head, and rows before and after they are made canonical.
    """
    from taskloom.workflows import showing

    print(showing.show(task, rows=rows))


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
    from taskloom.workflows.proposing import proposed

    print(proposed(source, config=config), end="")


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
    from taskloom import progress
    from taskloom.recipes.select import select
    from taskloom.workflows import checking

    started = time.monotonic()
    chosen = select(patterns or ("all",)).tasks
    checked = checking.check_tasks(chosen, data=not no_data, stats=write_stats, progress=progress.for_stream())
    print_lines(checking.report_lines(checked, seconds=time.monotonic() - started))
    if any(one.faults for one in checked):
        raise typer.Exit(1)


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
    config = config_of(run_file, overrides)
    from taskloom import progress
    from taskloom.workflows import overlapping, preparing

    started = time.monotonic()
    report = preparing.find_overlap(
        config, against=tuple(against or ()), threshold=threshold, progress=progress.for_stream()
    )
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False, indent=1))
        return
    print_lines(overlapping.report_lines(report, seconds=time.monotonic() - started))
