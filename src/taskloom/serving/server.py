"""A server process: one socket, one event loop, and an end in which nothing that was begun is lost."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from taskloom.errors import ConfigError
from taskloom.serving.settings import GRACE_SECONDS


class Server(uvicorn.Server):
    """Stops in two steps: first new requests get 503 while the others are answered, then the socket is closed.

    A second signal skips the first step.
    """

    def __init__(self, app: FastAPI, said: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=int(GRACE_SECONDS),
                           server_header=False)
        )  # fmt: skip
        self._batcher = app.state.service.batcher
        self._said = said
        self._asked: int | None = None
        self._until = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._said()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._asked is None:
            self._asked, self._until = sig, time.monotonic() + GRACE_SECONDS
            self._batcher.refuse()
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._asked is not None and not self.should_exit and self._is_time():
            super().handle_exit(self._asked, None)
        return await super().on_tick(counter)

    def _is_time(self) -> bool:
        return self._batcher.idle or time.monotonic() > self._until


def serve(app: FastAPI, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, which is raised again at the end; port 0 takes a free one.

    Raises ConfigError when the address cannot be used.
    """
    listening = open_socket(host, port)
    address, taken = listening.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address

    def said() -> None:
        tasks = app.state.service.tasks
        say(f"Serving {tasks.model} ({len(tasks.tasks)} tasks) at http://{shown}:{taken} - Ctrl-C ends.")

    Server(app, said).run(sockets=[listening])


def open_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises ConfigError when there is none to be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"Cannot listen at {host}:{port}: {reason}. Type another --port, or --port 0 for a free one."
        ) from error


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
