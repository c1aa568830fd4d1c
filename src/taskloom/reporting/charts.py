"""The charts of the report, each a pure function from values to SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from taskloom.reporting.reliability import Reliability
from taskloom.reporting.svg import (
    Scale,
    coordinate,
    element,
    line,
    mark,
    picture,
    polyline,
    signed,
    text,
    thinned,
    tick_name,
    ticks,
)

POINTS = 120
"""Points of a curve: more than this is not seen on 220 pixels."""
LETTER = 5.8
"""About how wide a letter of small text is, in units of the picture."""
Point = tuple[float, float]


def legend(order: Mapping[str, int]) -> list[tuple[str, Markup]]:
    """Return names with their marks."""
    return [
        (name, element("svg", mark(6, 6, number), viewBox="0 0 12 12", aria_hidden="true"))
        for name, number in order.items()
    ]


def curve(steps: Sequence[float], values: Sequence[float], *, title: str, first: int = 0) -> Markup:
    """Return a small chart of a value over two steps or more: means of up to 120 pieces, the last one written out."""
    width, height, left, bottom, top = 220, 120, 34, 100, 20
    xs, ys = thinned(steps, POINTS), thinned(values, POINTS)
    high = max(ys)
    across = Scale(first, max(steps), left, width - 34)
    up = Scale(0, high * 1.05 or 1, bottom, top)
    parts = [text(left, 12, title, class_="title")]
    parts += [_level(up(value), left, width - 34, tick_name(value)) for value in ticks(0, high, 2)]
    parts += [text(width - 34, 114, f"step {tick_name(max(steps))}", anchor="end", class_="small")]
    parts += [text(left, 114, tick_name(first), class_="small")]
    points = [(across(x), up(y)) for x, y in zip(xs, ys, strict=True)]
    parts += [polyline(points, "curve")]
    parts += [text(points[-1][0] + 4, points[-1][1] + 3, f"{ys[-1]:.2f}", class_="small")]
    return picture(width, height, f"{title}: from {ys[0]:.3f} to {ys[-1]:.3f} in {max(steps):g} steps", *parts)


def _level(y: float, left: float, right: float, name: str) -> Markup:
    return line(left, y, right, y, "grid") + text(left - 4, y + 3, name, anchor="end", class_="small")


def dumbbells(rows: Sequence[tuple[str, str, float | None, float | None]]) -> Markup:
    """Return a line a row: (name, how many, score, baseline); a ring is the baseline, a dot the score, from 0 to 1."""
    step, left, width = 22, 130, 470
    across = Scale(0, 1, left, width - 52)
    height = step * len(rows) + 34
    parts = [line(across(value), 14, across(value), height - 18, "grid") for value in ticks(0, 1, 5)]
    parts += [text(across(v), height - 4, f"{v:g}", anchor="middle", class_="small") for v in ticks(0, 1, 5)]
    for number, (name, how_many, score, baseline) in enumerate(rows):
        y = 24.0 + step * number
        parts += [text(left - 32, y + 4, name, anchor="end")]
        parts += [text(left - 8, y + 4, how_many, anchor="end", class_="small")]
        parts += _dumbbell(score, baseline, across, y)
        gain = signed(score - baseline, 2) if score is not None and baseline is not None else "–"
        parts.append(text(width - 8, y + 4, gain, anchor="end", class_="number"))
    said = "; ".join(f"{name} {_said(score)} against {_said(baseline)}" for name, _, score, baseline in rows)
    return picture(width, height, f"Mean score beside the trivial answer: {said}", *parts)


def _dumbbell(score: float | None, baseline: float | None, across: Scale, y: float) -> list[Markup]:
    parts = []
    if score is not None and baseline is not None:
        parts.append(line(across(baseline), y, across(score), y, "gain" if score >= baseline else "loss"))
    if baseline is not None:
        parts.append(element("circle", cx=across(baseline), cy=y, r=4, class_="ring"))
    if score is not None:
        parts.append(element("circle", cx=across(score), cy=y, r=4.5, class_="dot"))
    return parts


def _said(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def interval_bar(score: float | None, interval: Point | None, trivial: float | None, tfidf: float | None) -> Markup:
    """Return a score with its interval, a tick for the trivial answer and a wedge for TF-IDF, to stand in a cell.

    It goes from 0 to 1. The numbers stand beside it, so it is hidden from screen readers.
    """
    across = Scale(0, 1, 1, 99)
    parts = [line(1, 8, 99, 8, "grid")]
    parts += [line(across(trivial), 2, across(trivial), 14, "base")] if trivial is not None else []
    if tfidf is not None:
        x = coordinate(across(tfidf))
        parts.append(element("path", d=f"M{x} 10l3 5h-6z", class_="wedge"))
    if interval is not None:
        parts.append(line(across(interval[0]), 8, across(interval[1]), 8, "range"))
    if score is not None:
        parts.append(element("circle", cx=across(score), cy=8, r=3, class_="dot"))
    return element("svg", *parts, class_="bar", viewBox="0 0 100 16", aria_hidden="true")


def embedding_scatter(
    places: Sequence[Point], groups: Sequence[int], names: Sequence[str], links: Sequence[str]
) -> Markup:
    """Return tasks as marks by group, each a link with its name, which is written beside it where there is room."""
    width, height, edge = 640, 420, 24
    xs, ys = zip(*places, strict=True)
    across, up = Scale(min(xs), max(xs), edge, width - edge), Scale(min(ys), max(ys), height - edge, edge)
    spots = [(across(x), up(y)) for x, y in places]
    parts = [
        element("a", mark(*spot, group, element("title", name)), href=link, class_="spot")
        for spot, group, name, link in zip(spots, groups, names, links, strict=True)
    ]
    for name, (left, top), anchor in written_names(spots, names, width):
        parts.append(text(left, top + 3, name, anchor=anchor, class_="small"))
    label = f"Map of {len(places)} task embeddings; each task's nearest others are named in its part below"
    return element("svg", *parts, class_="chart map", viewBox=f"0 0 {width} {height}", role="group", aria_label=label)


def written_names(spots: Sequence[Point], names: Sequence[str], width: float) -> list[tuple[str, Point, str]]:
    """Return the names that can be written right or left of their spots, with where and how they are anchored.

    A name is written if it covers no mark and no name before it: one after the other, so the first has most room.
    """
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    found = []
    for (x, y), name in zip(spots, names, strict=True):
        long = LETTER * len(name)
        for left, anchor in ((x + 8, "start"), (x - 8 - long, "end")):
            box = (left, y - 6, left + long, y + 6)
            if left >= 0 and left + long <= width and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                found.append((name, (x + 8 if anchor == "start" else x - 8, y), anchor))
                break
    return found


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def reliability_curve(found: Reliability, *, title: str, size: int = 200) -> Markup:
    """Return the share of right answers over how sure they are, a dot a bin; all bins have the same weight."""
    left, bottom, top, right = 30, size - 26, 18, size - 8
    across, up = Scale(0, 1, left, right), Scale(0, 1, bottom, top)
    parts = [text(left, 11, title, class_="title")]
    parts += [_level(up(value), left, right, f"{value:g}") for value in (0, 0.5, 1)]
    parts += [text(across(v), size - 13, f"{v:g}", anchor="middle", class_="small") for v in (0, 0.5, 1)]
    parts += [text((left + right) / 2, size - 2, "confidence", anchor="middle", class_="small")]
    parts += [line(across(0), up(0), across(1), up(1), "ideal")]
    spots = [(across(confident), up(share)) for confident, share in found.bins]
    parts += [polyline(spots, "curve")] if len(spots) > 1 else []
    for (confident, share), (x, y) in zip(found.bins, spots, strict=True):
        said = element("title", f"sure {confident:.2f}, right {share:.2f}")
        parts.append(element("circle", said, cx=x, cy=y, r=3, class_="dot"))
    return picture(size, size, f"{title}: expected calibration error {found.error:.3f}", *parts)


def score_points(points: Sequence[Point], *, low: float, high: float) -> Markup:
    """Return right scores across and answered ones up; on the dashed line the two are the same."""
    size, left, top = 200, 34, 10
    bottom, right = size - 30, size - 8
    across, up = Scale(low, high, left, right), Scale(low, high, bottom, top)
    parts = [_level(up(value), left, right, tick_name(value)) for value in ticks(low, high, 3)]
    parts += [text(across(v), size - 16, tick_name(v), anchor="middle", class_="small") for v in ticks(low, high, 3)]
    parts += [text((left + right) / 2, size - 3, "right score", anchor="middle", class_="small")]
    parts += [line(across(low), up(low), across(high), up(high), "ideal")]
    path = "".join(f"M{coordinate(across(x))} {coordinate(up(y))}h0" for x, y in points)
    parts.append(element("path", d=path, class_="points"))
    return picture(size, size, f"{len(points)} rows, answered score over right score", *parts)


def shots_chart(
    lines: Mapping[str, Sequence[tuple[str, float, Point | None]]], shots: Sequence[str], *, title: str
) -> Markup:
    """Return a line a model over numbers of shots, with intervals: model -> (shots, mean score, interval)."""
    width, height, left, bottom, top = 340, 220, 34, 180, 24
    values = [v for points in lines.values() for _, mean, ends in points for v in (mean, *(ends or ()))]
    up = _rounded_scale(min(values), max(values), bottom, top)
    parts = [text(left, 12, title, class_="title")]
    parts += [_level(up(value), left, width - 10, tick_name(value)) for value in ticks(up.low, up.high, 4)]
    place = {name: left + 24 + (width - left - 60) * at / max(1, len(shots) - 1) for at, name in enumerate(shots)}
    parts += [text(x, bottom + 16, name, anchor="middle", class_="small") for name, x in place.items()]
    parts += [text((left + width) / 2, bottom + 32, "shots", anchor="middle", class_="small")]
    for number, points in enumerate(lines.values()):
        parts += _one_line(points, number, {name: x + 4 * number - 4 for name, x in place.items()}, up)
    said = "; ".join(f"{model}: " + ", ".join(f"{n} shots {m:.3f}" for n, m, _ in pts) for model, pts in lines.items())
    return picture(width, height, f"{title}. {said}", *parts)


def _one_line(
    points: Sequence[tuple[str, float, Point | None]], number: int, place: Mapping[str, float], up: Scale
) -> list[Markup]:
    spots = [(place[name], up(mean)) for name, mean, _ in points]
    parts = [polyline(spots, f"stroke c{number % 7}")] if len(spots) > 1 else []
    for (_, mean, ends), (x, y) in zip(points, spots, strict=True):
        if ends is not None:
            parts.append(line(x, up(ends[0]), x, up(ends[1]), f"stroke c{number % 7}"))
        parts.append(mark(x, y, number, element("title", f"{mean:.3f}"), size=4))
    return parts


def _rounded_scale(low: float, high: float, start: float, end: float) -> Scale:
    """Return a scale whose ends are round and lie apart."""
    margin = max(0.02, (high - low) * 0.1)
    return Scale(max(0.0, round(low - margin, 2)), round(high + margin, 2), start, end)
