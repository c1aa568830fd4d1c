"""Transfer results as the page shows them: a chart a method with several shots, and the table with everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taskloom.reporting.charts import legend, shots_chart
from taskloom.reporting.transfer_results import Cell, Mean, means, shots_order


def transfer_view(cells: Sequence[Cell]) -> dict[str, Any] | None:
    """Return what the template reads, or None without results."""
    found = means(cells)
    if not any(found.values()):
        return None
    models = list(dict.fromkeys(cell.model for cell in cells))
    return {
        "first": models[0],
        "charts": [_chart(method, by_shots, models, cells) for method, by_shots in found.items() if len(by_shots) > 1],
        "legend": legend({model: number for number, model in enumerate(models)}),
        "rows": [
            _row(method, shots, one) for method, by in found.items() for shots, several in by.items() for one in several
        ],
    }


def _chart(method: str, by_shots: dict[str, tuple[Mean, ...]], models: Sequence[str], cells: Sequence[Cell]) -> Any:
    lines = {
        model: [(shots, one.mean, one.interval) for shots, several in by_shots.items() for one in several
                if one.model == model]
        for model in models
    }  # fmt: skip
    order = [shots for shots in shots_order(cells) if shots in by_shots]
    return shots_chart(lines, order, title=method)


def _row(method: str, shots: str, one: Mean) -> dict[str, Any]:
    return {
        "method": method, "shots": shots, "model": one.model, "mean": one.mean, "seeds": one.seeds, "tasks": one.tasks,
        "wins": "–" if one.wins is None else one.wins, "losses": "–" if one.losses is None else one.losses,
        "bounds": f"{one.interval[0]:.3f} to {one.interval[1]:.3f}" if one.interval else "–",
    }  # fmt: skip
