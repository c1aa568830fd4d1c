"""Commands that put a trained model to use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from taskloom.commands.options import Device, ModelPath, Precision, TextFile
from taskloom.commands.printing import chunks, open_model, print_lines, tell_terminal, text_of
from taskloom.errors import UserError


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
    tell_terminal(file)
    opened = open_model(model, device, precision)

    def answers() -> Iterator[dict[str, Any]]:
        for chunk in chunks(read_rows(file)):
            texts = [text_of(row) for row in chunk]
            yield from opened.classify(texts, names, multi_label=multi_label, hypothesis_template=template)

    print_lines(numbered(answers()))


def predict(
    model: ModelPath,
    file: TextFile = "-",
    *,
    task: Annotated[str, typer.Option(help="A task that the model was trained on.", show_default=False)],
    abstain_below: Annotated[
        float | None,
        typer.Option(metavar="P", help="Give no label where its (calibrated) probability is below P."),
    ] = None,
    precision: Precision = "auto",
    device: Device = "auto",
) -> None:
    """Answer rows of a trained task."""
    from taskloom.inference.inputs import numbered, read_rows

    tell_terminal(file)
    opened = open_model(model, device, precision)
    answered = (opened.predict(task, chunk, abstain_below=abstain_below) for chunk in chunks(read_rows(file)))
    print_lines(numbered(answer for answers in answered for answer in answers))
