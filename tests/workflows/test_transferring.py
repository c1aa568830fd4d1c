"""`taskloom transfer`: what is refused, what is kept, and that settings never see what is reported."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from made_models import MAX_LENGTH, made_model
from taskloom import cli
from taskloom.adapting import measurements, measuring
from taskloom.adapting.choosing import advantages, best_setting, best_way, reported_rows, selection_rows
from taskloom.adapting.finetuning import Settings
from taskloom.adapting.measuring import Bench, ProbeSetting, TuneSetting
from taskloom.adapting.start import Start, open_start
from taskloom.data.locks import locked
from taskloom.errors import ConfigError, DataError, UserError
from taskloom.evaluation.protocol import Protocol, parse_methods, parse_shots
from taskloom.evaluation.transfer_report import Cell, TransferReport
from taskloom.recipes.select import get_task
from taskloom.workflows.overlapping import touched_rows
from taskloom.workflows.preparing import rows_of
from taskloom.workflows.transferring import kept_overlap, transfer
from taskloom.workflows.tuning import prepare_for

SMALL = Protocol(tasks=("builtin/agreement", "builtin/number_choice"), shots=(2,), seeds=2, max_rows=20, max_length=40)


@pytest.fixture(autouse=True)
def _few_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two settings of each method and three steps, so that a measurement takes a moment."""
    quick = Settings(least_steps=3, most_steps=3, batch_size=4)
    monkeypatch.setattr(measuring, "PROBES", (ProbeSetting("own", 0.1), ProbeSetting("mean", 0.1)))
    turned = dataclasses.replace(quick, pooling="mean")
    monkeypatch.setattr(measuring, "TUNINGS", (TuneSetting(quick), TuneSetting(turned)))


@pytest.fixture(scope="module")
def trained(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that records one trained task and one held out."""
    folder = tmp_path_factory.mktemp("models") / "trained"
    made_model(tiny_bert, names=("nli", "choices")).save(
        folder, tokenizer_folder=tiny_bert, max_length=MAX_LENGTH, encoder_name="tiny",
        training={"tasks": {"builtin/agreement": "builtin/agreement"}, "held_out": ["builtin/number_choice"]},
    )  # fmt: skip
    return folder


def lines(folder: Path, name: str = "transfer.jsonl") -> list[dict[str, object]]:
    """Return the lines of a file."""
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def test_a_run_is_measured_once_and_compared(
    trained: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method, task, seed and model has its line; typed again nothing is measured; another seed adds its own."""
    models = [str(trained), str(tiny_bert)]
    first = transfer(models, dataclasses.replace(SMALL, seen=True), output=tmp_path, device="cpu")
    found = lines(tmp_path)
    assert {line["method"] for line in found} >= {"probe", "finetune", "zero-shot", "zero-shot/similarity"}
    assert len({Cell.model_validate(line).key for line in found}) == len(found)
    by_method = {method: [line for line in found if line["method"] == method] for method in ("probe", "finetune")}
    assert [len(some) for some in by_method.values()] == [8, 8]  # 2 models, 2 tasks, 2 seeds
    assert {line["split"] for line in found} == {"test"}
    assert {line["split"] for line in lines(tmp_path, "selection.jsonl")} == {"train"}
    kept = TransferReport.model_validate_json((tmp_path / "transfer.json").read_text(encoding="utf-8"))
    assert kept == first
    assert {(one.method, one.first, one.second) for one in first.comparisons if "/" not in one.method} == {
        (method, *models) for method in ("probe", "finetune", "zero-shot")
    }
    monkeypatch.setattr(Bench, "probe", None)
    monkeypatch.setattr(Bench, "tune", None)
    monkeypatch.setattr(Bench, "blind", None)
    again = transfer(models, dataclasses.replace(SMALL, seen=True), output=tmp_path, device="cpu")
    assert again == first
    with pytest.raises(TypeError):
        transfer(models, dataclasses.replace(SMALL, seen=True, seeds=3), output=tmp_path, device="cpu")
    with pytest.raises(DataError, match="another --output"):
        transfer(models, dataclasses.replace(SMALL, max_rows=21), output=tmp_path, device="cpu")


def test_one_process_at_a_time_measures_into_a_folder(tiny_bert: Path, tmp_path: Path) -> None:
    """A second one is told, before it reads or writes anything there."""
    with locked(tmp_path / ".lock"), pytest.raises(UserError, match="in use by another process"):
        transfer([str(tiny_bert)], dataclasses.replace(SMALL, methods=("probe",)), output=tmp_path, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_overlap_that_cannot_be_read_is_looked_for_again(tmp_path: Path) -> None:
    """What a killed process left half written is no reason to stop."""
    path = tmp_path / "overlap.json"
    assert kept_overlap(path) == {}
    path.write_text('{"w a@1": [0.5, "told"], "w b@', encoding="utf-8")
    assert kept_overlap(path) == {}
    path.write_text('{"w a@1": [0.5, "told"]}', encoding="utf-8")
    assert kept_overlap(path) == {"w a@1": [0.5, "told"]}


def test_trained_tasks_are_refused_unless_asked_for(trained: Path, tiny_bert: Path) -> None:
    """What the record names is not measured and the table says so; what it holds out is measured without a word; an
    encoder without a record may be measured on all."""
    protocol = dataclasses.replace(SMALL, methods=("probe",))
    found = transfer([str(trained), str(tiny_bert)], protocol, device="cpu")
    assert [(one.model, one.task, one.measured) for one in found.refused] == [
        (str(trained), get_task("builtin/agreement").versioned, False)
    ]
    assert {one.task.partition("@")[0] for one in found.means if one.model == str(trained)} == {"builtin/number_choice"}
    assert {one.task.partition("@")[0] for one in found.means if one.model == str(tiny_bert)} == set(SMALL.tasks)
    assert [one.comparison.overall.tasks for one in found.comparisons] == [1]
    with pytest.raises(DataError, match="trained on builtin/agreement"):
        transfer([str(trained)], dataclasses.replace(protocol, tasks=("builtin/agreement",)), device="cpu")


def test_files_of_ones_own_are_measured(
    tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks of a run file, under names that change with the rows: lines of other rows are not taken for theirs."""
    monkeypatch.chdir(tmp_path)

    def measured(word: str) -> set[str]:
        rows = [
            f"{word} {n} {'up high' if n % 2 else 'down low'},{'rising' if n % 2 else 'falling'}" for n in range(80)
        ]
        (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
        (tmp_path / "own.toml").write_text(
            f'encoder = "{tiny_bert}"\n[data]\ntasks = []\n[[task]]\nid = "own/moves"\nkind = "classification"\n'
            'files = { train = "rows.csv" }\ntext = "text"\nlabel = "label"\nvalidation_share = 0.3\n',
            encoding="utf-8",
        )
        options = [
            "--own",
            "own.toml",
            "--shots",
            "2",
            "--seeds",
            "1",
            "--methods",
            "probe,zero-shot",
            "--output",
            "out",
        ]
        assert cli.main(["transfer", str(tiny_bert), *options]) == 0
        return {str(line["task"]) for line in lines(tmp_path / "out")}

    first, again, other = measured("go"), measured("go"), measured("walk")
    assert first == again and len(first) == 1 and not first & other
    assert all(name.startswith("own/moves@1-") for name in first | other)
    (tmp_path / "none.toml").write_text(f'encoder = "{tiny_bert}"\n', encoding="utf-8")
    for options, told in ((["--own", "none.toml"], "has no [[task]]"), ([], "--tasks PATTERN")):
        capsys.readouterr()
        assert cli.main(["transfer", str(tiny_bert), *options]) == 2
        assert told in capsys.readouterr().err


def test_rows_that_stand_in_trained_tasks_are_found() -> None:
    """A task that is nowhere named is looked for row by row."""
    agreement, tags = get_task("builtin/agreement"), get_task("builtin/role_tags")
    found = touched_rows([agreement], [agreement, tags], rows_of)
    share, told = found.of(agreement)
    assert share == 1.0 and "2000 of 2000 train rows" in told
    assert found.of(tags) == (0.0, "")


@pytest.fixture(scope="module")
def start(tiny_bert: Path) -> Start:
    """A raw encoder."""
    return open_start(str(tiny_bert), device="cpu", precision="fp32", length=40)


@pytest.mark.parametrize("shots", [4, "all"])
def test_selection_and_report_share_no_row(shots: int, start: Start) -> None:
    """Rows that settings are chosen on are train rows; no reported shot is among them, and none is scored twice."""
    task = get_task("builtin/agreement")
    store = prepare_for(task, start)
    chosen = selection_rows(store, task.id, shots)
    assert (chosen.split, set(chosen.learn) & set(chosen.score)) == ("train", set())
    for seed in range(3):
        reported = reported_rows(store, task.id, shots, seed=seed, max_rows=30)
        assert (reported.split, len(reported.score)) == ("test", 30)
        if shots != "all":
            assert not set(reported.learn) & {*chosen.learn, *chosen.score}
            assert np.bincount(store.splits["train"].labels[reported.learn]).tolist() == [4, 4]


def test_features_are_computed_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were asked for before are not run through the encoder again, and come back the same."""
    task = get_task("builtin/agreement")
    bench = Bench(start, task, prepare_for(task, start), rows_of(task))
    first = bench.features("test", np.arange(10, 30)).values["mean"]
    both = bench.features("test", np.arange(20)).values["mean"]
    monkeypatch.setattr(Start, "features", None)
    assert np.array_equal(bench.features("test", np.arange(10, 30)).values["mean"], first)
    assert np.allclose(both[10:], first[:10], atol=1e-5)


def test_the_way_is_chosen_by_the_other_tasks() -> None:
    """A task's own selection score has no say in its way; what is best elsewhere, against the baseline, is taken."""
    scores = {
        "a": {"pairs": 0.9, "similarity": 0.1},
        "b": {"pairs": 0.3, "one-pass": 0.6, "similarity": 0.5},
        "c": {"pairs": 0.2, "similarity": 0.5},
    }
    assert best_way("a", scores["a"], scores) == "similarity"
    assert best_way("c", scores["c"], scores) == "pairs"
    assert advantages(scores)["pairs"] == pytest.approx((0.8 - 0.2 - 0.3) / 3)
    assert best_setting({"x": [0.1, 0.5], "y": [0.4, 0.3], "z": [0.0, 0.7]})[0] == "y"


def test_shots_and_methods_are_read() -> None:
    """Numbers and "all"; anything else is told."""
    assert parse_shots("8, 16,all,8") == (8, 16, "all")
    assert parse_methods("zero-shot,probe") == ("zero-shot", "probe")
    for text in ("0", "-1", "many", "8,"):
        with pytest.raises(ConfigError, match="--shots"):
            parse_shots(text)
    with pytest.raises(ConfigError, match="Did you mean 'probe'"):
        parse_methods("prob")


def test_the_command_prints_the_table(
    tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models, chosen settings, a line a task; as JSON on request; a model given twice is a mistake."""
    monkeypatch.setattr(measurements, "TUNING_TASKS", 1)
    arguments = [str(tiny_bert), "--tasks", "builtin/agreement", "--shots", "2", "--seeds", "2", "--max-rows", "12"]
    assert cli.main(["transfer", *arguments, "--methods", "probe", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "no record of what it was trained on" in out and "probe, 2 shots" in out and "builtin/agreement@" in out
    assert cli.main(["transfer", *arguments, "--methods", "probe", "--output", str(tmp_path), "--json"]) == 0
    assert TransferReport.model_validate_json(capsys.readouterr().out).protocol["seeds"] == 2
    assert cli.main(["transfer", str(tiny_bert), *arguments]) == 2
    assert "is given twice" in capsys.readouterr().err
