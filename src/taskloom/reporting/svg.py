"""The smallest parts of a chart: elements, scales, ticks. SVG as text, in which every value is escaped.

Colors and line widths are classes that the page's style sheet knows, so that one picture is right on a light screen, a
dark one and on paper. Coordinates have one decimal: a tenth of a pixel is not seen, and a page of 420 tasks has many.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

COLORS = 7
"""Classes c0 to c6 of the style sheet: the colors of Okabe and Ito (2008), which most people tell apart, no yellow."""


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Return an element; text among `children` is escaped, markup is not. `class_` and `x_y` stand for class and x-y.

    An attribute that is None is left out.
    """
    given = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    opening = " ".join([name, *(f'{key}="{escape(_plain(value))}"' for key, value in given)])
    return Markup(f"<{opening}>{Markup().join(children)}</{name}>")


def _plain(value: object) -> str:
    return coordinate(value) if isinstance(value, float) else str(value)


def coordinate(value: float) -> str:
    """Return a number with at most one decimal."""
    return f"{round(value, 1) + 0.0:g}"  # adding 0 makes minus zero a plain one


def picture(width: int, height: int, label: str, *children: str, class_: str = "chart") -> Markup:
    """Return an <svg> that a screen reader announces as one picture with this label; it shrinks to narrower pages."""
    box = f"0 0 {width} {height}"
    return element(
        "svg", *children, class_=class_, viewBox=box, width=width, height=height, role="img", aria_label=label
    )


def text(x: float, y: float, said: str, *, anchor: str = "start", class_: str | None = None) -> Markup:
    """Return a text whose base line begins, has its middle or ends at (x, y)."""
    return element("text", said, x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def polyline(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """Return a line through points."""
    path = " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in points)
    return element("polyline", points=path, class_=class_)


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` as coordinates from `start` to `end`; what lies outside is put on the edge."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round values from `low` to `high`, about so many: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first
    return [round((first + number) * step, 10) for number in range(count + 1)]


def tick_name(value: float) -> str:
    """Return a tick as short as it is clear: 20000 is 20k."""
    if abs(value) >= 1000 and value % 100 == 0:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def signed(value: float, places: int = 3) -> str:
    """Return a difference with its sign, a minus as long as a plus."""
    return f"{value:+.{places}f}".replace("-", "−")


def thinned(values: Sequence[float], most: int) -> list[float]:
    """Return the means of at most `most` pieces of about equal size."""
    size = max(1, math.ceil(len(values) / most))
    pieces = (values[start : start + size] for start in range(0, len(values), size))
    return [sum(piece) / len(piece) for piece in pieces]


MARKS = ("circle", "square", "triangle", "diamond")


def mark(x: float, y: float, number: int, *children: str, size: float = 4.5, **attributes: object) -> Markup:
    """Return the mark of group `number`: seven colors, then the same colors in the next shape (28 in all)."""
    shape = MARKS[number // COLORS % len(MARKS)]
    given: dict[str, object] = {"class_": f"mark c{number % COLORS}", **attributes}
    if shape == "circle":
        return element("circle", *children, cx=x, cy=y, r=size, **given)
    reach = {"square": 0.9, "triangle": 1.15, "diamond": 1.25}[shape] * size
    corners: dict[str, list[tuple[float, float]]] = {
        "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "triangle": [(0, -1), (1, 0.8), (-1, 0.8)],
        "diamond": [(0, -1), (1, 0), (0, 1), (-1, 0)],
    }
    path = " ".join(f"{coordinate(x + reach * dx)},{coordinate(y + reach * dy)}" for dx, dy in corners[shape])
    return element("polygon", *children, points=path, **given)
