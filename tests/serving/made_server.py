"""A small model behind HTTP: in this process, or in one of its own on a free port of this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from made_models import MAX_LENGTH, made_model
from taskloom.inference.predictor import Model, load_model
from taskloom.serving.app import make_app
from taskloom.serving.settings import Settings


def made_run(encoder: Path, folder: Path) -> Path:
    """Write a model with a head of each kind as a run called "made"; returns its folder."""
    model = made_model(encoder)
    model.save(folder / "made" / "model", tokenizer_folder=encoder, max_length=MAX_LENGTH, encoder_name="tiny")
    return folder / "made"


def client(model: Model, **settings: Any) -> Any:
    """Return a client of an application in this process; to be entered."""
    from starlette.testclient import TestClient

    return TestClient(make_app(model, Settings(**settings)), raise_server_exceptions=False)


def opened(folder: Path) -> Model:
    """Open a run on the CPU in fp32."""
    return load_model(folder, device="cpu", precision="fp32")


@contextmanager
def process(run: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a process of `taskloom serve` and its address."""
    words = [sys.executable, "-m", "taskloom", "serve", str(run), "--port", "0", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            yield server, _address(server)
        finally:
            server.kill()


def _address(server: subprocess.Popen[str]) -> str:
    """Return the address from the line that the server prints when it listens."""
    assert server.stderr is not None
    said = []
    for line in server.stderr:
        said.append(line)
        if found := re.search(r"at (http://\S+)", line):
            return found[1]
    raise AssertionError("the server did not begin: " + "".join(said))
