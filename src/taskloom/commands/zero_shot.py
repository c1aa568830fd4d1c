"""Commands that take labels given on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from taskloom.commands.options import Device, ModelPath, Precision, TextFile
from taskloom.commands.printing import chunks, open_model, print_lines, tell_terminal, text_of
from taskloom.errors import UserError


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
