"""Commands that take labels given on the spot."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from taskloom.commands.options import (
    Backend,
    Device,
    LongTexts,
    ModelPath,
    Precision,
    TextFile,
    TextFormat,
    ZeroShotWay,
)
from taskloom.commands.printing import as_lines, open_model, print_lines, tell_terminal
from taskloom.errors import UserError


def classify(
    model: ModelPath,
    file: TextFile = "-",
    *,
    form: TextFormat = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Labels with commas, or a .json or .toml file; default: each row's column labels."),
    ] = None,
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Judge each label by itself.")] = False,
    template: Annotated[
        list[str] | None, typer.Option(help="The hypothesis, {} stands for the label; several are averaged.")
    ] = None,
    way: ZeroShotWay = "auto",
    long: LongTexts = "truncate",
    none_below: Annotated[
        float | None, typer.Option(metavar="P", help="No label where the best one's own probability is below P.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write answers there; typed again, it goes on.")
    ] = None,
    precision: Precision = "auto",
    device: Device = "auto",
    backend: Backend = "auto",
) -> None:
    """Classify texts with labels given on the spot."""
    from taskloom.inference.classifying import Question
    from taskloom.inference.inputs import count_rows, read_rows
    from taskloom.inference.label_sets import TEMPLATE, label_set, read_labels, templates
    from taskloom.inference.streaming import Work, summary, write_answers
    from taskloom.progress import for_stream

    given = None if labels is None else read_labels(labels)
    if given is not None and not given:
        raise UserError(f"--labels {labels!r} names no label. Type for example --labels sports,politics.")
    question = Question(
        way=way, templates=templates(template or TEMPLATE), multi_label=multi_label, none_below=none_below
    )
    tell_terminal(file)
    opened = open_model(model, device, precision, backend)
    work = Work(opened.classifier(long=long), question, None if given is None else label_set(given))
    rows = read_rows(file, format=form)
    if output is None:
        print_lines(as_lines(chain.from_iterable(work.answers(rows))))
    else:
        write_answers(work, rows, output, total=count_rows(file, format=form), progress=for_stream())
    if output is not None or work.tally.long:
        for line in summary(work):
            print(line, file=sys.stderr)


def distil(
    model: ModelPath,
    file: TextFile,
    *,
    form: TextFormat = None,
    labels: Annotated[
        str, typer.Option(help="Labels with commas, or a .json or .toml file of descriptions.", show_default=False)
    ],
    template: Annotated[
        list[str] | None, typer.Option(help="The hypothesis, {} stands for the label; several are averaged.")
    ] = None,
    way: ZeroShotWay = "auto",
    long: LongTexts = "truncate",
    name: Annotated[str, typer.Option(help="What the student's task is called: distilled/NAME.")] = "labels",
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Default: runs/MODEL-NAME.", show_default=False)
    ] = None,
    epochs: Annotated[float | None, typer.Option(min=0.01, help="Passes over the rows.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which texts are put aside, and training.")] = 0,
    precision: Precision = "auto",
    device: Device = "auto",
) -> None:
    """Train a plain classifier on a zero-shot model's answers.

    Texts need no labels; a tenth is put aside to see how far the new model agrees with the old one.
    """
    from taskloom import progress
    from taskloom.inference.classifying import Question
    from taskloom.inference.inputs import read_rows, text_of
    from taskloom.inference.label_sets import TEMPLATE, label_set, read_labels, templates
    from taskloom.workflows import distilling

    tell_terminal(file)
    request = distilling.Request(
        model=str(model), labels=label_set(read_labels(labels)), long=long, name=name, seed=seed, device=device,
        question=Question(way=way, templates=templates(template or TEMPLATE)), precision=precision,
        settings=distilling.settings_of(epochs),
    )  # fmt: skip
    texts = [text_of(row, number) for number, row in enumerate(read_rows(file, format=form))]
    folder = output or distilling.default_output(model, name)
    done = distilling.distil(request, texts, output=folder, progress=progress.for_stream())
    for line in distilling.lines(done):
        print(line)
