"""What a server accepts: limits that keep one client from taking the machine from all others."""

from __future__ import annotations

from dataclasses import dataclass, fields

from taskloom.errors import ConfigError

BODY_SECONDS = 30.0
"""How long a client may take to send its body before it is refused with 408."""
GRACE_SECONDS = 30.0
"""How long a stopping server waits for requests that are being answered."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits and the key of one server; every number is at least 1, but for `gather_ms`, which may be 0."""

    max_body: int = 1_000_000
    """Bytes of a request's body; more is refused with 413."""
    max_texts: int = 256
    """Texts or rows of a request; more is refused with 422."""
    max_labels: int = 200
    """Labels of a request, also choices of a row; more is refused with 422."""
    max_queued: int = 256
    """Requests that wait; one more is refused with 429 and told when to come again."""
    gather_ms: float = 4.0
    """Milliseconds that a request waits for others of its kind, to be answered together with them."""
    api_key: str = ""
    """What clients have to show; empty: nothing."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            lowest = 0 if field.name == "gather_ms" else 1
            if not isinstance(value, str) and value < lowest:
                raise ConfigError(f"--{field.name.replace('_', '-')} {value} is too low. Give {lowest} or more.")
