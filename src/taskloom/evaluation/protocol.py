"""What transfer measures, as one value, and how it is written on a command line."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from taskloom.errors import ConfigError, did_you_mean
from taskloom.evaluation.transfer_report import Shots

METHODS = ("probe", "finetune", "zero-shot")
PROTOCOL_VERSION = 4
"""Raised whenever the same options would measure other rows or learn in another way."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is measured: everything that decides rows and scores, and so stands in every line by its fingerprint."""

    tasks: tuple[str, ...]
    shots: tuple[Shots, ...] = (16, 64)
    seeds: int = 5
    methods: tuple[str, ...] = METHODS
    max_rows: int = 300
    max_length: int = 128
    seen: bool = False

    def fingerprint(self) -> str:
        """Return what lines of one file must agree in; tasks, shots, seeds and methods may grow from run to run."""
        parts = [PROTOCOL_VERSION, self.max_rows, self.max_length]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, str | int | float | bool | list[str]]:
        """Return plain values for the report."""
        return {
            "version": PROTOCOL_VERSION, "fingerprint": self.fingerprint(), "tasks": list(self.tasks),
            "shots": [str(shots) for shots in self.shots], "seeds": self.seeds, "methods": list(self.methods),
            "max_rows": self.max_rows, "max_length": self.max_length, "seen": self.seen,
        }  # fmt: skip


def parse_shots(text: str) -> tuple[Shots, ...]:
    """Return "8,16,all" as numbers and "all"; raises ConfigError."""
    found: list[Shots] = []
    for part in (part.strip() for part in text.split(",")):
        if part != "all" and not (part.isdecimal() and int(part) > 0):
            raise ConfigError(f"--shots {text}: {part!r} is neither a number above 0 nor all. Type e.g. 8,16,64,all.")
        found.append("all" if part == "all" else int(part))
    return tuple(dict.fromkeys(found))


def parse_methods(text: str) -> tuple[str, ...]:
    """Return "probe,zero-shot" as a tuple; raises ConfigError."""
    given = tuple(part.strip() for part in text.split(","))
    for part in given:
        if part not in METHODS:
            raise ConfigError(
                f"--methods {text}: there is no method {part!r}.{did_you_mean(part, METHODS)} Allowed: "
                f"{', '.join(METHODS)}."
            )
    return given
