"""Between a command and its words: run files and models opened, rows read in chunks, results printed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskloom.config import RunConfig
    from taskloom.evaluation.report import RunReport
    from taskloom.inference.predictor import Model

CHUNK = 512
"""Texts read and answered at a time: memory stays flat and answers come while the rest is read."""


def config_of(run_file: Path, overrides: Sequence[str] | None) -> RunConfig:
    """Return the resolved configuration of a run file with `key=value` overrides."""
    from taskloom.run_file import load_config

    return load_config(run_file, overrides or ())


def open_model(model: Path, device: str, precision: str, backend: str = "auto", adapter: Path | None = None) -> Model:
    """Open a run's or a model's folder, or an export, for prediction."""
    from taskloom.workflows import models

    return models.open_model(model, device=device, precision=precision, backend=backend, adapter=adapter)


def print_results(report: RunReport) -> None:
    """Print scores beside baselines, as a table on a terminal and as plain lines elsewhere, and what was skipped."""
    from taskloom.evaluation import table

    every = report.tasks | report.untrained
    if sys.stdout.isatty():
        import rich

        rich.print(table.table(every))
    else:
        print(table.plain(every))
    print_lines(table.report_lines(report))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines as they come, each flushed: what is piped on can be used at once."""
    for line in lines:
        print(line, flush=True)


def as_lines(results: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield each result as a line of JSON."""
    import json

    for result in results:
        yield json.dumps(result, ensure_ascii=False)


def chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield lists of at most CHUNK rows."""
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        yield chunk


def tell_terminal(file: str) -> None:
    """Say what is waited for when texts come from a terminal."""
    if file == "-" and sys.stdin.isatty():
        print("Reading texts from the terminal, one a line; Ctrl-D ends.", file=sys.stderr)
