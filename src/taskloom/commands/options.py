"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

RunFile = Annotated[Path, typer.Argument(metavar="RUN.toml", help="The run file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[key=value]...", help="Keys to change, e.g. training.steps=200.", show_default=False),
]
Patterns = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATTERN]...", help="Ids, globs, collections, family:nli, kind:regression.", show_default=False
    ),
]
ModelPath = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A run, a model folder, or an export.", show_default=False)
]
RunOrModel = Annotated[
    Path, typer.Argument(metavar="RUN|MODEL", help="A run folder or a model folder.", show_default=False)
]
TextFile = Annotated[
    str,
    typer.Argument(metavar="[FILE|-]", help="Lines, .csv, .tsv or .jsonl; - is standard input.", show_default=False),
]
TextFormat = Annotated[
    Literal["lines", "csv", "tsv", "jsonl"] | None,
    typer.Option("--format", help="Default: by the ending; - is lines or jsonl.", show_default=False),
]
Precision = Annotated[Literal["auto", "fp32", "bf16", "int8"], typer.Option(help="Arithmetic.")]
Backend = Annotated[
    Literal["auto", "torch", "onnx", "openvino"], typer.Option(help="The runtime; others than torch run on the CPU.")
]
Adapter = Annotated[
    Path | None, typer.Option(metavar="DIR", help="An exported head to add to the model.", show_default=False)
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where the model runs.")]
ZeroShotWay = Annotated[
    Literal["auto", "pairs", "one-pass", "matching", "all"],
    typer.Option(help="A pair for each label, all in one pass, vectors compared, or an average."),
]
LongTexts = Annotated[
    Literal["truncate", "windows"], typer.Option(help="Cut texts that are too long, or average their windows.")
]
