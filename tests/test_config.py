"""The run file: defaults, overrides, paths, messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskloom.config import RunConfig, keys, make_config
from taskloom.errors import ConfigError
from taskloom.run_file import load_config, to_toml

KEYS = """
name encoder seed task
data.tasks data.exclude data.held_out data.license_use data.mirror data.cache data.max_rows data.max_length data.recast
data.drop_overlap data.on_error data.workers data.executor
mixture.exponent mixture.weights mixture.floor
model.task_embedding_drop model.task_embedding_drops model.share_heads model.loss_scaling model.multilabel_loss
model.attention
training.steps training.epochs training.minutes training.batch_size training.learning_rate training.head_learning_rate
training.layer_decay training.schedule training.warmup_steps training.weight_decay training.clip
training.label_smoothing training.dropout training.keep training.start_share training.class_weights
training.precision training.device training.compile training.pool_steps
training.tokens_per_micro_batch training.min_micro_batches training.max_choices training.skip_spikes
training.evaluate_every training.save_every training.early_stop training.best_checkpoint training.keep_checkpoints
evaluation.max_rows evaluation.without_embedding evaluation.recasts evaluation.baselines
output.folder output.track
""".split()


def write(folder: Path, text: str, name: str = "run.toml") -> Path:
    """Write a run file and return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, *overrides: str) -> str:
    """Return the message with which a run file is refused."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text), overrides)
    return str(caught.value)


def test_key_list_is_frozen() -> None:
    """Adding or removing a key is a decision: it is made here, in config.py and in docs/run-toml.md together."""
    assert keys() == KEYS


def test_every_key_is_described() -> None:
    """The reference is made from docstrings, so none may be missing."""
    from taskloom.config import SECTIONS

    for section in SECTIONS.values():
        bare = [key for key, field in section.model_fields.items() if key not in SECTIONS and not field.description]
        assert bare == []


def test_empty_file_gives_defaults_and_its_own_name(tmp_path: Path) -> None:
    """A file without keys is a run with the defaults, named like the file."""
    config = load_config(write(tmp_path, "", "first.toml"))
    assert config.name == "first"
    assert config.training.batch_size == 384
    assert config.output.folder == str(tmp_path / "runs")


def test_config_is_frozen() -> None:
    """A configuration does not change after it was checked."""
    with pytest.raises(ValueError, match="frozen"):
        RunConfig().training.steps = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.steps=200", 200),
        ("training.learning_rate=1e-4", 1e-4),
        ("training.compile=true", True),
        ("training.schedule=cosine", "cosine"),
        ('training.schedule="cosine"', "cosine"),
    ],
)
def test_override_is_read_as_toml_else_as_text(tmp_path: Path, override: str, expected: object) -> None:
    """A value on the command line is a number, a flag or a word, with or without quotes."""
    config = load_config(write(tmp_path, "[training]\nsteps = 1\n"), [override])
    assert getattr(config.training, override.split("=")[0].split(".")[1]) == expected


def test_override_of_lists_and_weights(tmp_path: Path) -> None:
    """A list takes one plain text or a TOML list; a weight's key is a task id, dots and slashes included."""
    path = write(tmp_path, '[mixture]\nweights = { "glue/rte" = 2.0 }\n')
    config = load_config(path, ["data.tasks=glue/*", 'data.exclude=["a", "b"]', "mixture.weights.odd/v1.5=3"])
    assert config.data.tasks == ("glue/*",)
    assert config.data.exclude == ("a", "b")
    assert config.mixture.weights == {"glue/rte": 2.0, "odd/v1.5": 3.0}
    config = load_config(path, ["model.task_embedding_drops.family:nli=0.5", "model.task_embedding_drops.odd/v1.5=0"])
    assert config.model.task_embedding_drops == {"family:nli": 0.5, "odd/v1.5": 0.0}


def test_name_of_digits_stays_a_name(tmp_path: Path) -> None:
    """A key that holds text takes a number as text."""
    assert load_config(write(tmp_path, ""), ["name=2026"]).name == "2026"


def test_paths_are_relative_to_the_file_and_in_overrides_to_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file is the same run from everywhere; what is typed is meant from where it is typed."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "encoder").mkdir()
    monkeypatch.chdir(tmp_path)
    text = 'encoder = "encoder"\n[data]\nmirror = "../hub"\n[[task]]\nid = "own/a"\nfiles = { train = "a.csv" }\n'
    config = load_config(write(tmp_path / "configs", text), ["data.cache=store"])
    assert config.encoder == str(tmp_path / "configs" / "encoder")
    assert config.data.mirror == str(tmp_path / "hub")
    assert config.data.cache == str(tmp_path / "store")
    assert config.task[0]["files"] == {"train": str(tmp_path / "configs" / "a.csv")}


@pytest.mark.parametrize("name", ["minilm", "microsoft/deberta-v3-base", "bert-base-cased"])
def test_names_of_encoders_are_not_paths(tmp_path: Path, name: str) -> None:
    """A hub id stays a hub id as long as there is no such folder."""
    assert load_config(write(tmp_path, f'encoder = "{name}"')).encoder == name


def test_resolved_copy_loads_back_equal(tmp_path: Path) -> None:
    """config.toml is complete: it gives the same configuration from another folder, odd texts included."""
    text = """
    encoder = "./encoder"
    seed = 7
    [data]
    tasks = ["glue/*", "family:nli"]
    [mixture]
    weights = { "a/b" = 0.5, plain = 2 }
    [[task]]
    id = "own/priority"
    files = { train = ["a.csv", "b.csv"] }
    kind = "classification"
    text = 'quotes " and \\ and {braces}'
    label = "é\\u007f"
    names = { "1" = "high", "two words" = "low" }
    [[task]]
    id = "own/other"
    low = -1.5
    flag = true
    """
    config = load_config(write(tmp_path, text))
    (tmp_path / "elsewhere").mkdir()
    assert load_config(write(tmp_path / "elsewhere", to_toml(config), "config.toml")) == config


def test_resolved_copy_holds_every_key() -> None:
    """Nothing is left to a default that a later version could change."""
    import tomllib

    values = tomllib.loads(to_toml(RunConfig()))
    flat = [key for key in values if not isinstance(values[key], dict)]
    flat += [f"{section}.{key}" for section in values if isinstance(values[section], dict) for key in values[section]]
    assert sorted(flat) == sorted(set(KEYS) - {"task"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[training]\nstep = 3\n", "no key 'training.step'. Did you mean 'training.steps'"),
        ("learning_rate = 1e-4\n", "no key 'learning_rate'. Did you mean 'training.learning_rate'"),
        ('[data]\ntask = ["a"]\n', "no key 'data.task'. Did you mean 'data.tasks'"),
        ("[trainig]\nsteps = 3\n", "no key 'trainig'"),
        (
            '[training]\nschedule = "linar"\n',
            "training.schedule = \"linar\". Allowed: 'linear', 'constant', 'cosine'. Did",
        ),
        ('[training]\nsteps = "many"\n', 'training.steps = "many". Allowed: a whole number.'),
        ("[training]\nsteps = 1.5\n", "training.steps = 1.5. Allowed: a whole number."),
        ("[training]\nepochs = -1\n", "training.epochs = -1. Allowed: above 0."),
        ("[training]\nlearning_rate = inf\n", "training.learning_rate = inf. Allowed:"),
        ("[mixture]\nfloor = 2.0\n", "mixture.floor = 2.0. Allowed: at most 1."),
        ("[data]\ntasks = 3\n", "data.tasks = 3. Allowed: a list in brackets"),
        ("training = 3\n", "training = 3 is not a section. Write [training]"),
        ('name = "a/b"\n', 'name = "a/b". Allowed: letters, digits'),
        ("name = first\n", "is not valid TOML"),
    ],
)
def test_mistakes_in_a_file_tell_key_value_and_what_is_allowed(tmp_path: Path, text: str, expected: str) -> None:
    """One message: which key, what was given, what is allowed, what was meant."""
    message = refusal(tmp_path, text)
    assert expected in message
    assert "run.toml" in message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """A file is mended in one go."""
    message = refusal(tmp_path, '[training]\nstep = 3\nclip = "x"\n[data]\nmax_rows = 0\n')
    assert [part in message for part in ("training.step", "training.clip", "data.max_rows")] == [True] * 3


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.steps", "is not of the form key=value"),
        ("=3", "is not of the form key=value"),
        ("steps=3", "no key 'steps'. Did you mean 'training.steps'"),
        ("training.stepz=3", "Did you mean 'training.steps'"),
        ("training=3", "no key 'training'"),
        ("task=[]", "Own tasks cannot be given as key=value"),
        ("training.steps=lots", 'training.steps = "lots". Allowed: a whole number'),
    ],
)
def test_mistakes_in_an_override(tmp_path: Path, override: str, expected: str) -> None:
    """The command line is checked like the file."""
    assert expected in refusal(tmp_path, "", override)


def test_missing_file_names_a_near_one(tmp_path: Path) -> None:
    """A mistyped path is answered with the file that is there."""
    write(tmp_path, "", "slice.toml")
    with pytest.raises(ConfigError, match=r"no run file .*slise\.toml\. Did you mean 'slice\.toml'"):
        load_config(tmp_path / "slise.toml")


def test_make_config_checks_plain_values() -> None:
    """Values from a program are checked like those from a file."""
    with pytest.raises(ConfigError, match=r"training\.steps"):
        make_config({"training": {"steps": -1}})
