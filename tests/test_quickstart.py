"""The quickstart: what it says, what it leaves behind, and that it can be typed twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskloom import quickstart as quickstart_module
from taskloom.config import RunConfig, make_config
from taskloom.quickstart import ZeroShot, quickstart, quickstart_config


def small(config: RunConfig, encoder: Path) -> RunConfig:
    """Return the same run with a tiny random encoder, few rows and three steps."""
    values = config.model_dump()
    values["encoder"] = str(encoder)
    values["data"] |= {"tasks": ("builtin/label_nli", "builtin/topic_mentions"), "max_rows": 40}
    values["training"] |= {"steps": 3, "batch_size": 8}
    return make_config(values)


@pytest.mark.parametrize(
    ("right", "word"),
    [(30, "no better than chance"), (60, "That is poor"), (110, "That is poor"), (200, "right (95 % interval")],
)
def test_a_poor_score_is_called_poor(right: int, word: str) -> None:
    """The sentence names chance, and says so when the score is near it or too low to rely on."""
    told = str(ZeroShot(rows=240, right=right, candidates=8))
    assert word in told
    assert "chance is 0.125" in told


def test_a_good_score_is_not_called_poor() -> None:
    """There is no warning where none is due."""
    told = str(ZeroShot(rows=240, right=200, candidates=8))
    assert "poor" not in told
    assert "do not trust" not in told


def test_interval_is_wilsons() -> None:
    """120 of 240: 0.437 to 0.563, as the formula gives by hand."""
    low, high = ZeroShot(rows=240, right=120, candidates=8).interval
    assert (round(low, 3), round(high, 3)) == (0.437, 0.563)


def test_zero_shot_labels_are_never_trained_on() -> None:
    """No candidate label occurs in a training row, neither as the hypothesis nor inside it."""
    from taskloom.recipes.generators import generate, zero_shot_examples

    labels = {label for example in zero_shot_examples(240, 0) for label in example["labels"]}
    trained = generate("label_nli", split="train", rows=1500)
    words = {word.strip(".,;:").lower() for row in trained for word in f"{row['text']} {row['pair']}".split()}
    assert len(labels) >= 20
    assert labels & words == set()


def test_hub_adds_tasks_under_another_name(tmp_path: Path) -> None:
    """The two quickstarts are two runs, so neither refuses to go on because of the other."""
    plain, hub = quickstart_config(folder=tmp_path, hub=False), quickstart_config(folder=tmp_path, hub=True)
    assert plain.name != hub.name
    assert set(hub.data.tasks) - set(plain.data.tasks) == {"starter"}


def test_quickstart_from_first_line_to_next_steps(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it will do, shows scores, zero-shot and three texts, and leaves a run; a second time at once."""
    config = small(quickstart_config(folder=tmp_path, hub=False), tiny_bert)
    monkeypatch.setattr(quickstart_module, "quickstart_config", lambda **_options: config)
    monkeypatch.setattr(quickstart_module, "EXAMPLES", 200)
    lines: list[str] = []
    run = quickstart(folder=tmp_path, say=lines.append)
    told = "\n".join(lines)
    assert lines[0].startswith("Training one 22M encoder on 2 tasks")
    for expected in ("majority", "builtin/label_nli@1", "of 200 texts", "chance is 0.125", "taskloom classify"):
        assert expected in told
    assert sum(line.startswith("  ") and "\n" in line for line in lines) == 3
    assert (run.folder / "results.json").is_file()
    assert (run.folder / "model" / "heads.json").is_file()

    before = (run.folder / "log.jsonl").read_bytes()
    again: list[str] = []
    quickstart(folder=tmp_path, say=again.append)
    assert again == lines
    assert (run.folder / "log.jsonl").read_bytes() == before
