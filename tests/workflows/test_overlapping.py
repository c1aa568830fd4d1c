"""The command, and runs that leave out what they evaluate: fewer rows, the same rows when continued."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from taskloom import cli
from taskloom.data.mixture import Mixture
from taskloom.errors import CheckpointError, ConfigError
from taskloom.recipes.recipe import Classification, Hub, Splits, Task
from taskloom.run_file import load_config
from taskloom.training.plan import Plan
from taskloom.workflows.preparing import Preparation, find_overlap, prepare
from taskloom.workflows.running import train

LEAKED = 12


@pytest.fixture
def run_file(tmp_path: Path, tiny_bert: Path) -> Path:
    """A run file over two tasks of one's own; 12 of the 60 train rows of the first stand in tests of the second."""
    rows = [f"the {color} house by river number {n} is good,{n % 2}" for n, color in enumerate(["red", "blue"] * 30)]
    other = [f"a cat of {n} years sees the big old bird,{n % 2}" for n in range(40)]
    head = "text,label"
    files = {
        "a": rows,
        "a-valid": [f"one dog says {n} happy words to two men,{n % 2}" for n in range(10)],
        "b": other,
        "b-test": [row.replace("the ", "The  ").replace("good", "good!") for row in rows[:LEAKED]]
        + ["paris runs and london runs,1"],
    }
    for name, lines in files.items():
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    task = '[[task]]\nid = "own/{0}"\nkind = "classification"\nfiles = {1}\ntext = "text"\nlabel = "label"\n'
    first = task.format("a", '{ train = "a.csv", validation = "a-valid.csv" }')
    second = task.format("b", '{ train = "b.csv", test = "b-test.csv" }')
    path = tmp_path / "run.toml"
    path.write_text(
        f'encoder = "{tiny_bert}"\n[data]\ntasks = []\nmax_length = 32\ncache = "cache"\n{first}{second}[training]\n'
        'epochs = 1\nbatch_size = 8\nlearning_rate = 1e-3\nprecision = "fp32"\ndevice = "cpu"\nsave_every = 2\n',
        encoding="utf-8",
    )
    return path


def left_out(found: Preparation) -> dict[str, int]:
    """Return how many train rows of each task are left out."""
    return {task: len(places) for task, places in found.left_out_rows.items()}


def test_preparing_leaves_out_what_is_evaluated(run_file: Path) -> None:
    """The rows that stand in another task's test split, and no others; the store itself keeps them all."""
    found = prepare(load_config(run_file))
    assert left_out(found) == {"own/a": LEAKED}
    assert found.left_out_rows["own/a"].tolist() == [*range(LEAKED)]
    first = found.stores[0]
    assert len(first.splits["train"]) == 60
    assert found.rows(first) == {"train": 48, "validation": 10}
    kept = prepare(load_config(run_file, ["data.drop_overlap=false"]))
    assert left_out(kept) == {}
    assert kept.stores[0].fingerprint == first.fingerprint


def test_the_list_is_kept_and_follows_the_rows(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is computed once for the same stores; a damaged file counts as missing; other rows have another list."""
    from taskloom.workflows import overlapping

    prepare(load_config(run_file))
    (kept,) = (run_file.parent / "cache" / "overlap").glob("*.json")
    calls = []
    original = overlapping.find_overlap
    monkeypatch.setattr(
        overlapping, "find_overlap", lambda *given, **options: calls.append(1) or original(*given, **options)
    )
    assert left_out(prepare(load_config(run_file))) == {"own/a": LEAKED}
    assert calls == []
    kept.write_text('{"own/a": [1, ', encoding="utf-8")
    assert left_out(prepare(load_config(run_file))) == {"own/a": LEAKED}
    assert calls == [1]
    table = run_file.parent / "b-test.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], *lines[2:]]) + "\n", encoding="utf-8")
    assert left_out(prepare(load_config(run_file))) == {"own/a": LEAKED - 1}


def test_a_run_draws_none_of_them_and_goes_on_as_it_began(run_file: Path) -> None:
    """The plan has the reduced rows and the list's fingerprint, an epoch is shorter, and a continued run compares."""
    run = train(load_config(run_file))
    plan = json.loads((run.folder / "plan.json").read_text(encoding="utf-8"))
    assert plan["tasks"]["own/a@1"]["rows"]["train"] == 48
    assert plan["tasks"]["own/a@1"]["left_out"]["rows"] == LEAKED
    assert "left_out" not in plan["tasks"]["own/b@1"]
    assert plan["steps"] == 11  # 48 and 40 rows in steps of 8
    assert "48" in (run.folder / "tasks.md").read_text(encoding="utf-8")
    assert train(load_config(run_file)).results == run.results
    kept = train(load_config(run_file, ["data.drop_overlap=false", "name=all"]))
    assert kept.results.training["steps"] == 13
    assert kept.results.data_fingerprint != run.results.data_fingerprint
    table = run_file.parent / "b-test.csv"
    table.write_text(table.read_text(encoding="utf-8") + "the red house by river number 20 is good,0\n", "utf-8")
    with pytest.raises(CheckpointError, match="own/a"):
        train(load_config(run_file))


def test_a_task_without_a_row_left_says_so(run_file: Path) -> None:
    """It is not trained, and the reason is told."""
    table = run_file.parent / "a-valid.csv"
    table.write_text((run_file.parent / "a.csv").read_text(encoding="utf-8"), encoding="utf-8")
    found = prepare(load_config(run_file))
    assert [task.id for task, _ in found.trainable()] == ["own/b"]
    assert found.left_out() == {"own/a@1": "all of its train rows stand in evaluated rows"}


def test_recasts_lose_the_rows_of_their_task(run_file: Path) -> None:
    """Both rows that label-NLI makes of one are left out, though their words are others."""
    for name in ("a", "a-valid", "b", "b-test"):
        table = run_file.parent / f"{name}.csv"
        lines = [line.replace(",0", ",bad").replace(",1", ",good") for line in table.read_text("utf-8").splitlines()]
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = prepare(load_config(run_file, ['data.recast=["label-nli"]']))
    assert left_out(found) == {"own/a": LEAKED, "own/a+label-nli": 2 * LEAKED}


@pytest.mark.parametrize("seed", range(5))
def test_an_epoch_is_every_kept_row_once(seed: int) -> None:
    """The places drawn in one pass are those that are not left out: each once, whatever is left out where."""
    draw = np.random.default_rng(seed)
    sizes = (7, 40, 1, 23)
    gone = [np.sort(draw.choice(size, size=draw.integers(0, size), replace=False)) for size in sizes]
    kind = Classification(text="text", label="label")
    tasks = tuple(
        Task(id=f"t/{at}", source=Hub("o/n"), kind=kind, splits=Splits(train="train"), family="topic")
        for at in range(len(sizes))
    )
    kept = [np.setdiff1d(np.arange(size), places) for size, places in zip(sizes, gone, strict=True)]
    mixture = Mixture(sizes=tuple(map(len, kept)), batch_size=1, seed=seed)
    left = {task.id: places for task, places in zip(tasks, gone, strict=True) if len(places)}
    plan = Plan(tasks, (), (), mixture, 1, left)
    drawn = [plan.drawn(step) for step in range(1, sum(map(len, kept)) + 1)]
    for at, expected in enumerate(kept):
        places = [int(one.place[0]) for one in drawn if one.task[0] == at and one.epoch[0] == 0]
        assert len(places) == len(set(places)) > 0
        assert set(places) <= set(expected.tolist())
    assert sum(int(one.epoch[0]) == 0 for one in drawn) >= 0.9 * len(drawn)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the program in this process; returns exit code, standard output and standard error."""
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_shows_pairs_and_an_example(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a pair of task and split, both rows of an example, and the sum."""
    code, out, _ = run(capsys, "overlap", str(run_file))
    assert code == 0
    (line,) = (line for line in out.splitlines() if line.startswith("own/a ") and "%" in line)
    assert line.split() == ["own/a", "own/b", "test", "12", "0", "0", "12", "of", "13", "(92.3%)"]
    assert "own/a train, row 0: the red house by river number 0 is good" in out
    assert "exact, own/b test, row 0: The red house by river number 0 is good!" in out
    assert "leaves out 12 rows of 1 tasks" in out


def test_json_has_the_documented_shape(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object; examples and shares are in it."""
    code, out, _ = run(capsys, "overlap", str(run_file), "--json")
    assert code == 0
    report = json.loads(out)
    assert (report["train_rows"], report["evaluation_rows"]) == (100, 23)
    assert report["left_out"] == {"own/a": LEAKED}
    (pair,) = report["overlaps"]
    assert (pair["exact"], pair["near"], pair["touched"], pair["touched_share"]) == (12, 0, 12, 0.923077)
    assert pair["evaluated"] == {"task": "own/b", "split": "test", "rows": 13, "in_run": True}
    assert pair["example"]["similarity"] == 1


def test_against_adds_tasks_that_are_only_reported(run_file: Path) -> None:
    """Rows of a task beside the run are looked for, and nothing more is left out on their account."""
    config = load_config(run_file)
    wider = find_overlap(config, against=["builtin/negation_nli"])
    assert wider.evaluation_rows > find_overlap(config).evaluation_rows
    assert wider.left_out == find_overlap(config).left_out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--threshold", "0.2"], "Allowed: 0.6 to 1"),
        (["--against", "builtin/negation_nly"], "Did you mean 'builtin/negation_nli'"),
        (["data.drop_overlaps=true"], "Did you mean 'data.drop_overlap'"),
    ],
)
def test_mistakes_are_told(
    run_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    """Exit code 2 and a message that says what is allowed."""
    code, out, err = run(capsys, "overlap", str(run_file), *arguments)
    assert (code, out) == (2, "")
    assert expected in err


def test_unreadable_tasks_are_listed_unless_asked_to_stop(run_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad file does not hide what the others share; with nothing readable the reasons are the message."""
    (run_file.parent / "a-valid.csv").unlink()
    code, out, _ = run(capsys, "overlap", str(run_file))
    assert code == 0
    assert "own/a cannot be used: There is no file" in out
    code, _, err = run(capsys, "overlap", str(run_file), "data.on_error=stop")
    assert (code, "There is no file" in err) == (2, True)
    (run_file.parent / "b-test.csv").unlink()
    code, _, err = run(capsys, "overlap", str(run_file))
    assert code == 2
    assert "None of the tasks has validation or test rows" in err
    assert "own/b: There is no file" in err


def test_the_threshold_reaches_the_search(run_file: Path) -> None:
    """A pair of nine words with one changed is near at 0.6 and not at 0.8."""
    table = run_file.parent / "a-valid.csv"
    table.write_text("text,label\na dog of 3 years sees the big old bird,1\n", encoding="utf-8")
    config = load_config(run_file)
    assert sum(one.near for one in find_overlap(config, threshold=0.6).overlaps) >= 1
    assert sum(one.near for one in find_overlap(config).overlaps) == 0
    with pytest.raises(ConfigError):
        find_overlap(config, threshold=1.1)


@pytest.mark.mirror
def test_known_overlap_of_real_sets_is_found(tmp_path: Path, mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SST-2, SST-5 and Rotten Tomatoes are cut from the same reviews; MRPC and STS-B share headlines."""
    path = tmp_path / "run.toml"
    path.write_text(
        f'encoder = "minilm"\n[data]\nmirror = "{mirror.as_posix()}"\n'
        'tasks = ["glue/sst2", "sst5", "rotten_tomatoes", "glue/mrpc", "glue/stsb"]\n',
        encoding="utf-8",
    )
    code, out, _ = run(capsys, "overlap", str(path), "--json")
    assert code == 0
    pairs = {(one["train"], one["evaluated"]["task"]) for one in json.loads(out)["overlaps"] if one["exact"] >= 5}
    assert {("rotten_tomatoes", "sst5"), ("sst5", "rotten_tomatoes"), ("glue/mrpc", "glue/stsb")} <= pairs


def test_held_out_tasks_and_all_of_their_rows_stay_out(tmp_path: Path, tiny_bert: Path) -> None:
    """A held-out task is not trained, nor its recasts; rows of others that stand in its train rows are left out; and
    the model says so."""
    from taskloom.modeling.lineage import lineage_of
    from taskloom.recipes.select import get_task
    from taskloom.workflows.preparing import choose, rows_of

    known = rows_of(get_task("builtin/agreement")).splits["train"]["text"].to_pylist()[:7]
    own = [f"the cat number {n} sees a big bird over there,{n % 2}" for n in range(30)]
    leaked = [f'"{text}",0' for text in known]
    (tmp_path / "own.csv").write_text("\n".join(["text,label", *own, *leaked]) + "\n", encoding="utf-8")
    path = tmp_path / "run.toml"
    path.write_text(
        f'encoder = "{tiny_bert}"\n[data]\ntasks = ["builtin/agreement", "builtin/agreement+label-nli", '
        '"builtin/role_tags"]\nheld_out = ["builtin/agreement"]\nmax_rows = 40\nmax_length = 32\ncache = "cache"\n'
        '[[task]]\nid = "own/a"\nkind = "classification"\nfiles = "own.csv"\nvalidation_share = 0\ntext = "text"\n'
        'label = "label"\n[training]\nsteps = 2\nbatch_size = 8\nprecision = "fp32"\ndevice = "cpu"\n'
        "[evaluation]\nwithout_embedding = false\nbaselines = false\n",
        encoding="utf-8",
    )
    config = load_config(path, ["data.max_rows=3000"])
    selection = choose(config)
    assert [task.id for task in selection.tasks] == ["own/a", "builtin/role_tags"]
    assert selection.excluded_by_name == ("builtin/agreement", "builtin/agreement+label-nli")
    assert prepare(config).left_out_rows["own/a"].tolist() == [*range(30, 37)]
    run = train(load_config(path))
    lineage = lineage_of(run.model)
    assert (sorted(lineage.trained), lineage.held_out) == (["builtin/role_tags", "own/a"], ("builtin/agreement",))
    assert lineage.seen(get_task("builtin/role_tags")) == "trained on builtin/role_tags"
    assert lineage.seen(get_task("builtin/agreement")) == ""
    with pytest.raises(ConfigError, match=r"data\.drop_overlap = false keeps them in"):
        prepare(load_config(path, ["data.drop_overlap=false"]))


def test_lineage_grows_and_what_is_held_out_shrinks() -> None:
    """A model that starts from another has seen what that one saw; a task that either saw, or did not keep away, is not
    held out; a model from before the record tells its tasks by its heads."""
    from taskloom.modeling.lineage import Lineage
    from taskloom.recipes.select import get_task

    rte, sst2, pos = get_task("glue/rte"), get_task("glue/sst2"), get_task("conll2003/pos_tags")
    first = Lineage(known=False).after([sst2], [rte, pos])
    assert (dict(first.trained), first.held_out) == ({"glue/sst2": "nyu-mll/glue/sst2"}, ("glue/rte", pos.id))
    second = first.after([get_task("glue/mrpc")], [rte])
    assert (sorted(second.trained), second.held_out) == (["glue/mrpc", "glue/sst2"], ("glue/rte",))
    third = second.after([rte], [pos])
    assert (third.seen(rte), third.held_out) == ("trained on glue/rte", ())
    ner = get_task("conll2003/ner_tags")
    assert "of the same data set" in Lineage().after([pos], []).seen(ner)
    assert Lineage().after([get_task("trec+label-nli")], []).seen(get_task("trec")) == "trained on trec"
