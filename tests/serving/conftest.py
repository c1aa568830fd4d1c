"""The model that all tests of the server share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskloom.inference.predictor import Model


@pytest.fixture(scope="session")
def served_run(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run called "made" with a head of each kind."""
    from made_server import made_run

    return made_run(tiny_bert, tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def served_model(served_run: Path) -> Model:
    """The opened model of that run."""
    from made_server import opened

    return opened(served_run)


@pytest.fixture
def http(served_model: Model) -> Iterator[Any]:
    """A client of the model with the default limits."""
    from made_server import client

    with client(served_model) as found:
        yield found
