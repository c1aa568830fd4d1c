"""The license that a model's card names: the strictest of what its data are under.

A license is the set of its conditions: attribution, share-alike, non-commercial, no derivatives. They add up, so the
strictest license of a run is one that has every condition of every task's; of several, the one with the fewest. Data
without a stated license, or under terms of their own, cannot be put in this order: with one such task the card says
`other`, names the strictest of the stated ones, and leaves the decision to a person. So it does where no license of
the data has all the conditions, as with share-alike beside non-commercial, unless a Creative Commons license has.

This is a rule for a header, not legal advice: whether weights are a derivative of data is not settled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

ATTRIBUTION, SHARE_ALIKE, COPYLEFT = "attribution", "share-alike", "copyleft"
NON_COMMERCIAL, NO_DERIVATIVES = "non-commercial", "no derivatives"
CONDITIONS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("cc0-1.0", "unlicense", "pddl"), frozenset[str]()),
    **dict.fromkeys(
        ("mit", "bsd", "bsd-2-clause", "bsd-3-clause", "apache-2.0", "afl-3.0", "cc-by-3.0", "cc-by-4.0", "odc-by",
         "mpl-2.0"),
        frozenset({ATTRIBUTION}),
    ),
    **dict.fromkeys(("cc-by-sa-3.0", "cc-by-sa-4.0"), frozenset({ATTRIBUTION, SHARE_ALIKE})),
    **dict.fromkeys(("gpl", "gpl-3.0", "agpl-3.0"), frozenset({ATTRIBUTION, COPYLEFT})),
    **dict.fromkeys(("cc-by-nc-3.0", "cc-by-nc-4.0"), frozenset({ATTRIBUTION, NON_COMMERCIAL})),
    **dict.fromkeys(("cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"), frozenset({ATTRIBUTION, SHARE_ALIKE, NON_COMMERCIAL})),
    **dict.fromkeys(("cc-by-nd-4.0",), frozenset({ATTRIBUTION, NO_DERIVATIVES})),
    **dict.fromkeys(("cc-by-nc-nd-4.0",), frozenset({ATTRIBUTION, NON_COMMERCIAL, NO_DERIVATIVES})),
}  # fmt: skip
"""The hub's names of licenses with what they ask for; those of equal conditions stand from mild to strict."""
CREATIVE_COMMONS = ("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0")
OTHER = "other"
OWN = "apache-2.0"


@dataclass(frozen=True)
class Strictest:
    """The license for the header (a name of the hub's), and the strictest of the stated ones, "" when none is known.

    `unknown` counts the tasks whose license is not stated or not one of CONDITIONS.
    """

    header: str
    stated: str
    unknown: int


def strictest(licenses: Iterable[tuple[str | None, str]]) -> Strictest:
    """Return the strictest of the licenses of a run's tasks, given as (license, license_use).

    A task under several has the conditions of all, and one whose use is recorded as non-commercial has that condition
    too. Without any task the data ask for nothing, and the license is taskloom's own.
    """
    tasks = [(_names(name), use) for name, use in licenses]
    if not tasks:
        return Strictest(OWN, OWN, 0)
    unknown = sum(not names or any(name not in CONDITIONS for name in names) for names, _ in tasks)
    known = [name for names, _ in tasks for name in names if name in CONDITIONS]
    extra = {NON_COMMERCIAL for _, use in tasks if use == NON_COMMERCIAL}
    stated = _covering(known, extra)
    return Strictest(OTHER if unknown or not stated else stated, stated, unknown)


def _names(license_name: str | None) -> list[str]:
    """Return the hub's names of what is written: "apache-2.0, CC BY-SA 4.0" is two."""
    parts = re.split(r"\s*,\s*", license_name.strip()) if license_name else []
    return ["-".join(part.lower().split()) for part in parts if part]


def _covering(known: list[str], extra: set[str]) -> str:
    """Return the mildest license with all conditions: of the data's own, else of Creative Commons, else ""."""
    asked = frozenset(extra).union(*(CONDITIONS[name] for name in known))
    order = list(CONDITIONS)
    own = sorted((name for name in set(known) if CONDITIONS[name] >= asked), key=order.index, reverse=True)
    common = [name for name in CREATIVE_COMMONS if CONDITIONS[name] >= asked]
    return next(iter([*own, *(common if known else [])]), "")
