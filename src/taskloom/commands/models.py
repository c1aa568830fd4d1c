"""Commands that put a trained model to use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from taskloom.commands.options import Device, ModelPath, Precision, TextFile
from taskloom.commands.printing import chunks, open_model, print_lines, tell_terminal


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

    tell_terminal(file)
    opened = open_model(model, device, precision)
    print_lines(numbered(answer for chunk in chunks(read_rows(file)) for answer in opened.predict(task, chunk)))
