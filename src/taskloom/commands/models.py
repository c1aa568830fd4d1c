"""Commands that put a trained model to use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from taskloom.commands.options import Adapter, Backend, Device, ModelPath, Precision, RunOrModel, TextFile, TextFormat
from taskloom.commands.printing import chunks, open_model, print_lines, tell_terminal


def export(
    path: RunOrModel,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.", show_default=False)],
    head: Annotated[
        str | None, typer.Option(metavar="TASK", help="The task; default: the zero-shot head, or the only one.")
    ] = None,
    form: Annotated[
        Literal["hf", "onnx", "openvino", "adapter", "sentence-transformers"],
        typer.Option("--format", help="hf is for transformers; an adapter needs its encoder."),
    ] = "hf",
    int8: Annotated[bool, typer.Option("--int8", help="Add a graph in int8.")] = False,
    calibrate: Annotated[
        str | None,
        typer.Option(metavar="FILE|TASK", help="Rows that int8 is made from and checked on; default: the task's own."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write int8 even with less than 98 % of the decisions.")
    ] = False,
    with_task_embedding: Annotated[
        bool, typer.Option("--with-task-embedding", help="Fold it into the weights.")
    ] = False,
) -> None:
    """Write one head for use elsewhere.

    As a Hugging Face folder ready to upload, as ONNX or OpenVINO graphs, as an adapter of a few kB, or, of a model
    with matching recasts, as a sentence encoder. What is written was compared with the model; the figures go to
    standard error.
    """
    from taskloom.workflows import exporting
    from taskloom.workflows.exporting import Wanted

    wanted = Wanted(form=form, task=head, with_task_embedding=with_task_embedding, int8=int8, force=force)
    for line in exporting.export_from(path, out, wanted, calibrate=calibrate):
        print(line, file=sys.stderr)
    print(out)


def predict(
    model: ModelPath,
    file: TextFile = "-",
    *,
    form: TextFormat = None,
    task: Annotated[str, typer.Option(help="A task that the model was trained on.", show_default=False)],
    abstain_below: Annotated[
        float | None,
        typer.Option(metavar="P", help="Give no label where its (calibrated) probability is below P."),
    ] = None,
    precision: Precision = "auto",
    device: Device = "auto",
    backend: Backend = "auto",
    adapter: Adapter = None,
) -> None:
    """Answer rows of a trained task."""
    from taskloom.inference.inputs import numbered, read_rows

    tell_terminal(file)
    opened = open_model(model, device, precision, backend, adapter)
    rows = read_rows(file, format=form)
    answered = (opened.predict(task, chunk, abstain_below=abstain_below) for chunk in chunks(rows))
    print_lines(numbered(answer for answers in answered for answer in answers))
