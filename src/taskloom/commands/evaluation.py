"""Commands that say how good a trained model is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from taskloom.commands.options import RunOrModel
from taskloom.commands.printing import print_lines, print_results
from taskloom.errors import UserError


def evaluate(
    path: RunOrModel,
    split: Annotated[
        Literal["validation", "test", "all"] | None,
        typer.Option(help="Default: validation, else test.", show_default=False),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only these tasks, trained or not; may be given several times."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Labelled rows of your own: csv, tsv, jsonl or parquet.")
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="COLUMN", help="With --data: the text.")] = None,
    pair: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="With --data: the second text, or the list of choices.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="With --data: the right answer.")] = None,
    head: Annotated[
        str | None, typer.Option(metavar="TASK", help="With --data: the trained task that answers.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN|MODEL", help="Paired tests against another model on the same rows.")
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit a temperature a head on validation rows, into heads.json.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="No TF-IDF baselines, no scores without task embedding.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results go; default: the run, else evaluations/NAME.")
    ] = None,
) -> None:
    """Score a trained model, row by row and in sum.

    Answers and scores are kept (predictions/, results.json): typed again, only what is missing is asked of the model.
    """
    from taskloom import progress
    from taskloom.workflows import evaluating, subject
    from taskloom.workflows.own_rows import own_rows

    rows = own_rows(data, text=text, pair=pair, label=label, head=head)
    if against is not None:
        if calibrate or out is not None:
            raise UserError("--against takes neither --calibrate nor --out: results of each model go to its own place.")
        from taskloom.evaluation.comparison import comparison_lines

        found = evaluating.compare_runs(
            path, against, split=split, tasks=tuple(tasks or ()), data=rows, progress=progress.for_stream()
        )
        print_lines(comparison_lines(found))
        return
    report = evaluating.evaluate(
        path, split=split, tasks=tuple(tasks or ()), data=rows, quick=quick, calibrate=calibrate, out=out,
        progress=progress.for_stream(),
    )  # fmt: skip
    print_results(report)
    print(f"results: {subject.locate(path, out=out).results / 'results.json'}", file=sys.stderr)
