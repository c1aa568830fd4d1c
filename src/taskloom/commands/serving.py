"""The command that puts a model behind HTTP."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from taskloom.commands.options import Backend, Device, ModelPath, Precision
from taskloom.commands.printing import open_model
from taskloom.errors import SourceError, UserError

KEY_VARIABLE = "TASKLOOM_API_KEY"


def serve(
    model: ModelPath,
    host: Annotated[
        str, typer.Option(help="The address; others than this machine's own need a key, or --no-key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"The key clients send; or in {KEY_VARIABLE}.")
    ] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="Let everybody who reaches the address ask.")] = False,
    max_body: Annotated[int, typer.Option(help="Bytes of a request.")] = 1_000_000,
    max_texts: Annotated[int, typer.Option(help="Texts of a request.")] = 256,
    max_labels: Annotated[int, typer.Option(help="Labels of a request.")] = 200,
    max_queued: Annotated[int, typer.Option(help="Requests that wait; more get 429.")] = 256,
    gather_ms: Annotated[float, typer.Option(help="How long a request waits for others to be computed with.")] = 4.0,
    backend: Backend = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
) -> None:
    """Serve a model over HTTP, with a page at /.

    POST /classify, POST /predict/TASK, GET /tasks, /health, /metrics and /openapi.json. SIGTERM answers what was begun
    and refuses the rest.
    """
    _check_extra()
    from taskloom.serving.app import make_app
    from taskloom.serving.server import serve
    from taskloom.serving.settings import Settings

    settings = Settings(
        max_body=max_body, max_texts=max_texts, max_labels=max_labels, max_queued=max_queued, gather_ms=gather_ms,
        api_key=_key(api_key_file),
    )  # fmt: skip
    _check_open(host, settings.api_key, no_key=no_key)
    serve(make_app(open_model(model, device, precision, backend), settings), host=host, port=port, say=_say)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _key(file: Path | None) -> str:
    """Return the key from a file, else from the environment, else an empty string."""
    if file is None:
        return os.environ.get(KEY_VARIABLE, "").strip()
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"--api-key-file {file} cannot be read: {error}.") from error
    if not key:
        raise SourceError(f"--api-key-file {file} is empty. Write the key into it, on one line.")
    return key


def _check_open(host: str, key: str, *, no_key: bool) -> None:
    """Raise UserError where others than this machine could ask without a key, and nobody said that they may."""
    from taskloom.serving.server import is_loopback

    if key and no_key:
        raise UserError(f"There is a key, and --no-key is given. Leave it out, or unset {KEY_VARIABLE}.")
    if key or is_loopback(host):
        return
    if not no_key:
        raise UserError(
            f"Everybody who reaches {host} could use the model. Set {KEY_VARIABLE} or give --api-key-file FILE with "
            "the key that clients send; or type --no-key if nobody else can reach it, or everybody may."
        )
    _say(f"Warning: everybody who reaches {host} can use the model.")


def _check_extra() -> None:
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f"`taskloom serve` needs {error.name}, of the extra `serve`. Type: pip install 'taskloom[serve]'"
        ) from error
