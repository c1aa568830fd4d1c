"""An application behind a real socket of this machine, in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Yield the address ("127.0.0.1:PORT") of an application made by `make_app`, until the block ends."""
    from taskloom.serving.server import Server, open_socket

    begun = threading.Event()
    server = Server(app, begun.set)
    with open_socket("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        assert begun.wait(30), "the server did not begin"
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
