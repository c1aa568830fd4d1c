"""The command line: its surface, its exit codes, its one message."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from taskloom import cli
from taskloom.errors import Interrupted, TrainingFailed
from taskloom.workflows import running

LINES = """
taskloom: --version
tasks: --family --json --kind --labels --license-use --markdown --role --rows PATTERNS
show: --rows TASK
propose: --config SOURCE
check: --no-data --write-stats PATTERNS
overlap: --against --json --threshold OVERRIDES RUN_FILE
prepare: --dry-run OVERRIDES RUN_FILE
train: --dry-run --processes OVERRIDES RUN_FILE
evaluate: --against --calibrate --data --head --label --out --pair --quick --split --tasks --text PATH
report: --no-texts --texts --transfer PATH
finetune: --data --device --epochs --frozen --kind --label --layer-decay --learning-rate --output --pair --seed --seeds
    --shots --task --text MODEL
transfer: --device --json --max-length --max-rows --methods --output --own --seeds --seen --shots --tasks MODELS
export: --calibrate --force --format --head --int8 --with-task-embedding OUT PATH
classify: --backend --device --format --labels --long --multi-label --none-below --output --precision --template --way
    FILE MODEL
distil: --device --epochs --format --labels --long --name --output --precision --seed --template --way FILE MODEL
predict: --abstain-below --adapter --backend --device --format --precision --task FILE MODEL
serve: --api-key-file --backend --device --gather-ms --host --max-body --max-labels --max-queued --max-texts --no-key
    --port --precision MODEL
cache: --clear
quickstart: --folder --hub
"""
"""A line a command: its options and arguments by name; a line that is indented goes on with the one above."""
SURFACE = {
    name.strip(): words.split()
    for name, words in (line.split(":", 1) for line in LINES.strip().replace("\n    ", " ").splitlines())
}


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """`main` sets a handler for SIGTERM; the next test gets the one before it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the program in this process; returns exit code, standard output and standard error."""
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def options(command: object) -> list[str]:
    """Return the options and arguments of a command by name."""
    found: list[str] = []
    for parameter in command.params:  # type: ignore[attr-defined]
        is_option = parameter.param_type_name == "option"
        found += [*parameter.opts, *parameter.secondary_opts] if is_option else [parameter.name.upper()]
    return sorted(found)


def test_surface_is_frozen() -> None:
    """A command or a flag more or less is a decision: it is made here and in the README together."""
    program = typer.main.get_command(cli.app)
    surface = {name: options(command) for name, command in program.commands.items()}  # type: ignore[attr-defined]
    assert surface == {name: flags for name, flags in SURFACE.items() if name != "taskloom"}
    assert sorted({*options(program), "--help", "-h"}) == ["--help", *SURFACE["taskloom"], "-h"]


@pytest.mark.parametrize("command", [name for name in SURFACE if name != "taskloom"])
def test_help_shows_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Every command's help ends with a line that can be typed."""
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"Example: {'echo' if command == 'classify' else f'taskloom {command}'}" in out


def test_tasks_lists_ids_and_counts_on_the_side(capsys: pytest.CaptureFixture[str]) -> None:
    """The list goes to standard output, the count to standard error."""
    code, out, err = run(capsys, "tasks", "glue/*")
    assert code == 0
    assert "glue/rte" in out.split()
    assert "tasks" in err


def test_tasks_json_has_the_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    """One array of objects with exactly these keys."""
    code, out, _ = run(capsys, "tasks", "glue/rte", "builtin/*", "--json")
    assert code == 0
    found = {one["id"]: one for one in json.loads(out)}
    keys = "id version kind role family labels license license_use collections head defect".split()
    assert all(list(one) == keys for one in found.values())
    assert found["glue/rte"]["kind"] == "classification"
    assert "starter" in found["glue/rte"]["collections"]
    assert any(one["labels"] for id, one in found.items() if id.startswith("builtin/"))


def test_tasks_filters_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    """Patterns add up, flags take away."""
    code, out, _ = run(capsys, "tasks", "glue/*", "--family", "nli", "--json")
    assert code == 0
    assert {one["family"] for one in json.loads(out)} == {"nli"}


MISTAKES = {
    "unknown command": (["trian"], "Did you mean 'train'"),
    "unknown flag": (["tasks", "--famly", "nli"], "--family"),
    "unknown task": (["show", "glue/rtee"], "Did you mean 'glue/rte'"),
    "unknown pattern": (["tasks", "nothing/*"], "matches no task"),
    "unknown collection": (["tasks", "startr"], "Did you mean"),
    "report of no run": (["report", "nowhere"], "is not a run folder"),
    "unknown family": (["tasks", "--family", "nly"], "Did you mean 'nli'"),
    "unknown license use": (["tasks", "--license-use", "comercial"], "Did you mean 'commercial'"),
    "no range of labels": (["tasks", "--labels", "few"], "--labels 'few' is no range. Type a number such as 3"),
    "no range of rows": (["tasks", "--rows", ".."], "--rows '..' is no range"),
    "no run file": (["train", "missing.toml"], "no run file"),
    "bad key": (["train", "run.toml", "training.stepz=3"], "Did you mean 'training.steps'"),
    "bad value": (["prepare", "run.toml", "training.steps=lots"], "Allowed: a whole number"),
    "unknown task in a run": (["prepare", "run.toml", "data.tasks=glue/rtee"], "Did you mean 'glue/rte'"),
    "no model": (["classify", "missing", "texts.txt", "--labels", "a,b"], "missing"),
    "no labels": (["classify", "missing", "--labels", " , "], "names no label"),
    "missing option": (["predict", "missing"], "--task"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_exit_2_with_one_message(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What a user gets wrong is told in words, without a traceback, on standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text('encoder = "minilm"\n[data]\ntasks = ["builtin/*"]\n')
    (tmp_path / "texts.txt").write_text("a text\n")
    arguments, expected = MISTAKES[name]
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TrainingFailed("the loss is not finite"), 1),
        (Interrupted("stopped after step 3", signal_number=signal.SIGINT), 130),
        (Interrupted("stopped after step 3", signal_number=signal.SIGTERM), 143),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes_of_what_is_no_mistake(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """A failure exits 1, a signal 128 and its number; the reason is said."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(running, "train", fail)
    (tmp_path / "run.toml").write_text("")
    got, _, err = run(capsys, "train", str(tmp_path / "run.toml"))
    assert got == code
    assert str(error) in err


def test_an_error_of_ours_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not the user's mistake is not dressed up as one."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(running, "train", fail)
    (tmp_path / "run.toml").write_text("")
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", str(tmp_path / "run.toml")])


WAITS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with SIGINT ignored
from taskloom import cli
from taskloom.workflows import running
def wait(*arguments, **options):
    print("ready", flush=True)
    time.sleep(60)
running.train = wait
sys.exit(cli.main(["train", sys.argv[1]]))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_outside_of_training_end_the_program(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """The exit code is the shells' for that signal, and nothing is dumped."""
    (tmp_path / "run.toml").write_text("")
    arguments = [sys.executable, "-c", WAITS, str(tmp_path / "run.toml")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == code
    assert "Traceback" not in err


def test_module_is_the_same_program(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m taskloom` answers like `taskloom`."""
    _, expected, _ = run(capsys, "--version")
    answer = subprocess.run([sys.executable, "-m", "taskloom", "--version"], check=True, capture_output=True, text=True)
    assert answer.stdout == expected


def test_train_dry_run_prints_the_plan(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shares that add up, who shares a head, tokens and padding, parameters, memory and time; no run folder."""
    monkeypatch.chdir(tmp_path)
    tasks = '["builtin/label_nli", "builtin/quantifier_nli", "builtin/agreement"]'
    (tmp_path / "run.toml").write_text(
        f'encoder = "{tiny_bert}"\n[data]\ntasks = {tasks}\nmax_rows = 60\nmax_length = 64\n'
        "[training]\nbatch_size = 12\nsteps = 30\n"
    )
    code, out, _ = run(capsys, "train", "run.toml", "--dry-run")
    assert code == 0
    shares = [float(line.split("%")[0]) for line in out.splitlines() if "@1" in line and "%" in line]
    assert sum(shares) == pytest.approx(100, abs=0.1)
    for expected in ("180 train rows, 30 steps of 12", "heads", "padding", "parameters: ", "s a step, memory"):
        assert expected in out
    assert "minutes are enough" not in out
    code, out, _ = run(capsys, "train", "run.toml", "--dry-run", "training.minutes=1e-9")
    assert "1e-09 minutes are enough for 1 steps of these 30" in out
    assert [file.name for file in tmp_path.iterdir()] == ["run.toml"]


def test_dry_run_prints_a_file_that_loads(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--dry-run prints the resolved configuration and the chosen tasks, and writes nothing."""
    from taskloom.run_file import load_config

    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.toml"
    path.write_text('encoder = "minilm"\n[data]\ntasks = ["builtin/*"]\n')
    code, out, _ = run(capsys, "prepare", "run.toml", "training.steps=7", "--dry-run")
    assert code == 0
    assert "# builtin/" in out
    resolved = tmp_path / "resolved.toml"
    resolved.write_text(out)
    assert load_config(resolved) == load_config(path, ["training.steps=7"])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["resolved.toml", "run.toml"]
