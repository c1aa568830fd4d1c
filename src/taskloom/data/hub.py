"""Whether the hub can be reached at all, asked in a moment instead of found out by minutes of retries.

On a machine without internet the hub's own client tries every request six times, 24 s in all, and a data set takes
several requests: two minutes of noise a task. One look-up of the hub's address tells the same in milliseconds. What
was downloaded before is still read from the client's cache.
"""

from __future__ import annotations

import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from urllib.parse import urlsplit

PATIENCE = 5.0
"""Seconds for a connection to be made; a firewall that drops packets never answers."""
REMEMBERED = 60.0
"""Seconds for which an answer holds: 420 tasks ask one after another."""
ON = ("1", "true", "yes", "on")


def is_offline_asked_for() -> bool:
    """Tell whether HF_HUB_OFFLINE forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").casefold() in ON


def can_reach_hub() -> bool:
    """Tell whether a connection to the hub can be made; behind a proxy, which resolves names itself, yes is assumed."""
    if is_offline_asked_for():
        return False
    endpoint = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    if endpoint.scheme in urllib.request.getproxies() or not endpoint.hostname:
        return True
    port = endpoint.port or (80 if endpoint.scheme == "http" else 443)
    return _connects(endpoint.hostname, port, int(time.monotonic() // REMEMBERED))


@lru_cache(maxsize=8)
def _connects(host: str, port: int, _period: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


@contextmanager
def cache_only() -> Iterator[None]:
    """Let the hub's client and `datasets` read nothing but their caches for a while, as HF_HUB_OFFLINE would."""
    import datasets.config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
