"""The command line: its surface and its exit codes; the commands stand in `commands`, what they do in `workflows`.

A user's mistake prints one message and exits with 2, a failure with 1, SIGINT with 130 and SIGTERM with 143. Results go
to standard output, everything else to standard error. Heavy imports wait inside the commands.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer

from taskloom.commands import adapting, catalog, evaluation, models, runs, serving, zero_shot
from taskloom.errors import TaskloomError

COMMANDS: tuple[tuple[Callable[..., Any], str], ...] = (
    (catalog.tasks, "taskloom tasks 'glue/*' family:nli --license-use commercial"),
    (catalog.show, "taskloom show glue/rte --rows 3"),
    (catalog.propose, "taskloom propose tickets.csv"),
    (catalog.check, "taskloom check 'glue/*' --no-data"),
    (catalog.overlap, "taskloom overlap run.toml --against 'mmlu/*'"),
    (runs.prepare, "taskloom prepare run.toml data.max_rows=1000"),
    (runs.train, "taskloom train run.toml training.steps=200"),
    (evaluation.evaluate, "taskloom evaluate runs/first --split test --tasks 'glue/*'"),
    (runs.report, "taskloom report runs/first"),
    (adapting.finetune, "taskloom finetune runs/first --task glue/rte --shots 16 --seeds 5"),
    (adapting.transfer, "taskloom transfer runs/first minilm --tasks held-out --shots 16,64 --output transfer"),
    (models.export, "taskloom export runs/first exported --head glue/rte"),
    (zero_shot.classify, "echo 'The oven broke' | taskloom classify runs/first --labels kitchen,garden"),
    (zero_shot.distil, "taskloom distil runs/first texts.txt --labels kitchen,garden --name rooms"),
    (models.predict, "taskloom predict runs/first texts.csv --task glue/rte"),
    (serving.serve, "taskloom serve runs/first --port 8000"),
    (runs.cache, "taskloom cache --clear"),
    (runs.quickstart, "taskloom quickstart"),
)
"""Each command with the example that its help ends with, in the order of `taskloom --help`."""

app = typer.Typer(
    name="taskloom",
    help="One text encoder, hundreds of tasks: train it, evaluate it, put it to use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from taskloom import __version__

        print(f"taskloom {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hold the options that stand before a command."""


program.__doc__ = app.info.help


for _command, _example in COMMANDS:
    app.command(epilog=f"\b\nExample: {_example}")(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(args=None if arguments is None else list(arguments), prog_name="taskloom")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except TaskloomError as error:
        print(f"taskloom: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _terminate(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)
