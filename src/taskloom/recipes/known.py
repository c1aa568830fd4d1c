"""Faults that are known and stay: what data sets themselves have, listed by name so that no new one hides among them.

A fault that is not in `catalog/known_faults.jsonl` fails the check, and one that is no longer found has to leave the
file: the list can only be as long as the truth. It holds for the rows of the mirror on which it was measured.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files


@cache
def known_faults() -> dict[tuple[str, str], str]:
    """Return (task id, name of the fault) -> why it is not mended."""
    text = files("taskloom.recipes.catalog").joinpath("known_faults.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return {(line["task"], fault): line["why"] for line in lines for fault in line["faults"]}
