"""Commands that teach a trained model one task, and that measure what a model is worth as a start for that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from taskloom.commands.options import Device
from taskloom.errors import ConfigError, UserError

Start = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A run, a model folder, an encoder folder, a hub id, or minilm.", show_default=False
    ),
]


def finetune(
    model: Start,
    task: Annotated[str | None, typer.Option(help="A task of the catalog.", show_default=False)] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own csv, tsv, jsonl or parquet.", show_default=False)
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="COL", help="The column of texts; else guessed.")] = None,
    pair: Annotated[str | None, typer.Option(metavar="COL", help="The column of second texts.")] = None,
    label: Annotated[str | None, typer.Option(metavar="COL", help="The column of labels; else guessed.")] = None,
    kind: Annotated[str | None, typer.Option(help="The kind of task, e.g. regression; else guessed.")] = None,
    shots: Annotated[
        int | None, typer.Option(min=1, help="Train rows a class (in all, where there are none); default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides shots and training; the first of several.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds; the best by validation is kept.")] = 1,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Default: runs/MODEL-TASK.", show_default=False)
    ] = None,
    epochs: Annotated[float | None, typer.Option(min=0.01, help="Passes over the rows.", show_default=False)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak rate of the encoder.", show_default=False)] = None,
    layer_decay: Annotated[
        float | None, typer.Option(help="Factor on that rate from each layer to the one below.", show_default=False)
    ] = None,
    frozen: Annotated[
        int | None,
        typer.Option(help="Parts that stay as they are: 1 is the embeddings, 2 a layer too, ...", show_default=False),
    ] = None,
    device: Device = "auto",
) -> None:
    """Fine-tune a model on one task.

    The task is one of the catalog or a file of your own; the result is a model folder like any other.
    """
    if (task is None) == (data is None):
        raise ConfigError("Give either --task TASK or --data FILE.")
    if task is not None and (text or pair or label or kind):
        raise ConfigError("--text, --pair, --label and --kind are about --data FILE; a task knows its own columns.")
    if data is not None and not data.exists():
        raise UserError(f"There is no file {data}. Give a csv, tsv, jsonl or parquet file, or a folder of them.")
    from taskloom import progress
    from taskloom.workflows import tuning
    from taskloom.workflows.own_data import Columns

    tuning.check_output(output)
    recipe, told = tuning.recipe_of(task or data or "", Columns(text, pair, label, kind))
    request = tuning.Request(
        model=model, task=recipe, told=told, shots=shots, seeds=tuple(range(seed, seed + seeds)),
        settings=tuning.settings_of(
            epochs=epochs, learning_rate=learning_rate, layer_decay=layer_decay, frozen=frozen
        ),
        device=device,
    )  # fmt: skip
    folder = output or tuning.default_output(model, recipe, shots)
    done = tuning.finetune(request, output=folder, progress=progress.for_stream())
    for result in done.seeds:
        print(tuning.seed_line(result))
    if summary := tuning.summary_line(done.seeds):
        print(summary)
    print(f"model:      {done.folder}")


def transfer(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="Runs, model folders, encoder folders, hub ids, or minilm.", show_default=False
        ),
    ],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Tasks to measure on, e.g. held-out; may be given several times.",
            show_default=False,
        ),
    ] = None,
    own: Annotated[
        Path | None,
        typer.Option(metavar="RUN.toml", help="A run file whose [[task]]s are measured, too.", show_default=False),
    ] = None,
    shots: Annotated[str, typer.Option(help="Train rows a class, separated by commas, or all.")] = "16,64",
    seeds: Annotated[int, typer.Option(min=1, help="Draws of shots.")] = 5,
    methods: Annotated[str, typer.Option(help="Some of probe, finetune and zero-shot.")] = "probe,finetune,zero-shot",
    max_rows: Annotated[int, typer.Option(min=10, help="Most rows of a task that are scored.")] = 300,
    max_length: Annotated[int, typer.Option(min=8, help="Tokens that every model reads.")] = 128,
    seen: Annotated[bool, typer.Option("--seen", help="Measure tasks too that a model was trained on.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep lines and report; goes on when typed again.")
    ] = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure encoders on tasks they have not seen.

    The same rows, seeds and budget of settings for every model: linear probe, few-shot and full fine-tuning, and
    zero-shot by label names. Settings are chosen on other rows than those reported.
    """
    from taskloom import progress
    from taskloom.commands.printing import print_lines
    from taskloom.evaluation.protocol import Protocol, parse_methods, parse_shots
    from taskloom.evaluation.transfer_table import report_lines
    from taskloom.workflows import transferring

    if not tasks and own is None:
        raise ConfigError("Say what to measure on: --tasks PATTERN, for example held-out, or --own RUN.toml.")
    protocol = Protocol(
        tasks=tuple(tasks or ()), shots=parse_shots(shots), seeds=seeds,
        methods=parse_methods(methods), max_rows=max_rows, max_length=max_length, seen=seen,
    )  # fmt: skip
    report = transferring.transfer(
        models, protocol, own=transferring.own_tasks(own) if own else (), output=output, device=device,
        progress=progress.for_stream(),
    )  # fmt: skip
    if as_json:
        print(report.model_dump_json(indent=1))
        return
    print_lines(report_lines(report))
    if output is not None:
        print(f"lines and report: {output}")
