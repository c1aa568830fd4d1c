"""Fixtures that several rooms use."""

from __future__ import annotations

import os
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from browser import _chromium, browser  # noqa: F401  (fixtures are known by being imported here)

if TYPE_CHECKING:
    import torch

    from taskloom.modeling.encoder import Encoder

ROOT = Path(__file__).resolve().parents[1]
settings.register_profile("taskloom", deadline=None)  # how long an example takes says more of the machine
settings.load_profile("taskloom")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is imported


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    given = os.environ.get("TASKLOOM_MIRROR")
    folder = Path(given) if given else ROOT.parent / "shared" / "hub"
    if not folder.is_dir():
        pytest.skip("no real data: TASKLOOM_MIRROR is not set and ../shared/hub is not there")
    return folder.resolve()


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random BERT of two narrow layers with a WordPiece tokenizer."""
    from tiny import make_tiny_bert

    folder = tmp_path_factory.mktemp("encoders") / "tiny-bert"
    make_tiny_bert(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_deberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random DeBERTa-v2 of two narrow layers."""
    from tiny import make_tiny_deberta

    folder = tmp_path_factory.mktemp("encoders") / "tiny-deberta"
    make_tiny_deberta(folder)
    return folder


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reaches the network (this machine is none), the user's cache, or a mirror that it did not ask for."""
    monkeypatch.setenv("TASKLOOM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("TASKLOOM_MIRROR", raising=False)

    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        if not isinstance(address, tuple) or address[0] not in LOOPBACK:
            raise AssertionError(f"a test tried to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def valueless(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A device without values: what asks for one, as would make a GPU be waited for, fails on it, and so does what
    is left on the CPU. Encoders have no layers on it, since transformers looks at masks: hidden states are words'."""

    import torch

    from taskloom.modeling.encoder import Encoder

    def embeddings_alone(
        encoder: Encoder, input_ids: torch.Tensor, *, first_vector: torch.Tensor | None = None, **_: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        words = encoder._embed(input_ids)
        if first_vector is not None:
            words = torch.cat([words[:, :1] + first_vector[:, None], words[:, 1:]], dim=1)
        return words[:, 0], words

    monkeypatch.setattr(Encoder, "forward", embeddings_alone)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it does not know the device
    return torch.device("meta")
