"""A run file (RUN.toml) as one frozen value, checked when it is made.

Unknown keys are refused with the nearest known one, and every mistake in a file is told at once. Defaults are written
in one place only, the classes below, whose docstrings are the reference (docs/run-toml.md is made from them). The
price: pydantic is imported by every command that reads a run file (about 0.1 s).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from taskloom.errors import ConfigError, did_you_mean, nearest
from taskloom.toml import toml_value


def _one_or_many(value: Any) -> Any:
    """Let a single string stand for a list of one, and a list for a tuple."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
RecastForm = Literal["label-nli", "multiple-choice", "instruction", "one-pass", "matching"]
Recasts = Annotated[tuple[RecastForm, ...], BeforeValidator(_one_or_many)]
Trackers = Annotated[tuple[Literal["trackio", "wandb"], ...], BeforeValidator(_one_or_many)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class DataConfig(_Section):
    """Which tasks, and how many of their rows."""

    tasks: Texts = ("tasksource-420",)
    """Tasks from the catalog: ids, globs (`*` crosses `/`), collections (`tasksource-420`, `starter`, `held-out`,
    `procedural`, `extra`, `all`) and selectors (`family:nli`, `kind:regression`, `role:train`). `[]` leaves your own
    tasks alone."""
    exclude: Texts = ("role:evaluation", "defect:*")
    """Patterns of tasks to leave out; they always win, and what they take from exactly named tasks is printed."""
    held_out: Texts = ()
    """Patterns of tasks that transfer will be measured on, e.g. `held-out`: they, their recasts and what else reads the
    same data set are not trained, and train rows of other tasks that stand in any of their rows, train rows too, are
    left out. The model records it."""
    license_use: Literal["any", "commercial"] = "any"
    """`commercial` keeps only the tasks whose data license is known to allow commercial use."""
    mirror: str = ""
    """A folder laid out `OWNER/NAME` like the hub's repositories, read before the hub. Empty: the environment variable
    `TASKLOOM_MIRROR`, else the hub."""
    cache: str = ""
    """Where prepared tasks are kept and shared by runs. Empty: `TASKLOOM_CACHE`, else the user's cache folder."""
    max_rows: Count = 30000
    """Most train rows of a task: a random subset keyed by task and row, the same in every run. Validation and test
    rows are never capped here."""
    max_length: Annotated[int, Field(ge=8)] = 256
    """Longest sequence in tokens, special tokens included. Pairs are cut longest first; a choice row cuts only its
    prompt, at its beginning."""
    recast: Recasts = ()
    """Further tasks made of the chosen classification and multilabel tasks, trained beside them as `ID+FORM`:
    `label-nli`, `multiple-choice`, `instruction`, `one-pass`; see the recipe guide."""
    drop_overlap: bool = True
    """Leave out train rows that are exact or near duplicates of a validation or test row of any task of the run, but
    for rows of fewer than three words; `taskloom overlap` shows them."""
    on_error: Literal["report", "stop"] = "report"
    """A task that cannot be prepared: `report` it and go on with the others, or `stop`."""
    workers: CountOrNone = 0
    """Processes that prepare tasks side by side. 0: one for each core, where there are enough tasks."""
    executor: Literal["processes", "ray"] = "processes"
    """Who prepares tasks: `processes` of this machine, or `ray` (extra `ray`): the cluster that RAY_ADDRESS names, all
    of whose machines see `data.mirror` and `data.cache` under the same path."""


class MixtureConfig(_Section):
    """How often each task is drawn."""

    exponent: Annotated[float, Field(ge=0)] = 1.0
    """A task's share grows with its train rows to this power: 1 is proportional to size, 0 is the same for all."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Factors on the shares by task id or pattern, e.g. `{ "glue/rte" = 2.0, "*+one-pass" = 0.5 }`. An exact id counts
    alone; factors of several patterns are multiplied."""
    floor: Share = 0.0
    """The smallest share that a task gets, as a part of an equal share."""


class ModelConfig(_Section):
    """What is trained."""

    task_embedding_drop: Share = 0.1
    """How often the task embedding is left out of a training example, so that the model also works without it."""
    task_embedding_drops: dict[str, Share] = {}
    """The same by task id or pattern, e.g. `{ "family:nli" = 0.5 }` for heads that are mostly used without it. An exact
    id counts alone; of several patterns the last one counts."""
    share_heads: bool = True
    """Tasks with the same set of label names share one head."""
    loss_scaling: Literal["none", "log_labels", "uncertainty"] = "none"
    """Divide a row's loss by the log of its number of labels, or learn a scale for each task."""
    multilabel_loss: Literal["mean", "sum"] = "mean"
    """A multi-label row's loss is the `mean` of its labels' losses, as heavy as any other row's, or their `sum`: many
    labels then weigh more."""
    attention: Literal["auto", "eager", "sdpa", "flash"] = "auto"
    """The attention code: `auto` is taskloom's own exact one for DeBERTa-v2 and v3, `sdpa` where the encoder has it;
    `flash` are CUDA kernels (for DeBERTa those of disentangled-flash or flashdeberta, for others flash-attn); `eager`
    and `sdpa` are transformers' own."""


class TrainingConfig(_Section):
    """How it is trained."""

    steps: CountOrNone = 0
    """Optimizer steps. 0: `epochs` decides."""
    epochs: Annotated[float, Field(gt=0)] = 1.0
    """Passes over all train rows, where `steps` is 0."""
    minutes: Annotated[float, Field(ge=0)] = 0.0
    """Train for about so many minutes: before the first step a short trial tells how many of the steps fit, and the
    schedule ends with them. A run that goes on keeps their number. Preparing and evaluating come on top. 0: all."""
    batch_size: Count = 384
    """Examples in one optimizer step, from all tasks together; an example is one row, whatever its choices."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    """Peak learning rate."""
    head_learning_rate: Annotated[float, Field(ge=0)] = 0.0
    """Peak rate of heads and task embeddings. 0: the same as `learning_rate`."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the rate from each encoder layer to the one below; 1 trains all layers alike."""
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    """How the rate goes on after the warm-up."""
    warmup_steps: CountOrNone = 500
    """Steps over which the rate rises; at most a tenth of all steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decay of weights, not of biases and norms."""
    clip: Annotated[float, Field(ge=0)] = 1.0
    """Largest norm of a step's gradient. 0: no limit."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the probability that training spreads over all labels of a row."""
    dropout: Literal["own"] | Share = "own"
    """Share of the encoder's values that dropout sets to zero; `own` as the encoder's configuration has it. A small
    encoder that sees few rows twice may learn more without: 0."""
    keep: Annotated[float, Field(ge=0)] = 0.0
    """How strongly the untouched encoder's similarities are kept: what a squared difference of cosines, between a text
    and the texts and label names of other rows, weighs beside a row's loss; 0 not at all. It needs `matching` recasts,
    whose texts and names they are, and costs a forward pass of a second, frozen encoder."""
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """At the end the encoder's weights are averaged with those that it started from, which get this share: it forgets
    less, for a little less on the trained tasks. Heads and task embeddings stay as they are."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs the rows of a classification task by the inverse frequency of their class among its train rows,
    so that every class counts as much as any other of the task; the task's weight as a whole stays."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto` is bf16 where the hardware is fast at it, which on a CPU is tried; a run keeps what it began with."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto` is cuda, else mps, else cpu."""
    compile: bool = False
    """Compile the encoder's layers with torch.compile. On CPUs it needs a C++ compiler, pads micro-batches, and bought
    nothing where it was measured (docs/log.md); on GPUs it was not measured."""
    pool_steps: Count = 1
    """Steps whose rows are sorted by length together and dealt out again, to pad less. Above 1 it changes which rows
    share a step: short ones with short ones."""
    tokens_per_micro_batch: Annotated[int, Field(ge=64)] = 8192
    """Padded tokens that go through the encoder at once; lower it when memory runs out. It changes no result but for
    dropout and rounding."""
    min_micro_batches: Count = 4
    """A step is cut into at least so many micro-batches."""
    max_choices: Annotated[int, Field(ge=2)] = 8
    """Most choices of a row in training; wrong ones are sampled. Evaluation scores all."""
    skip_spikes: bool = False
    """Leave out a step whose loss or gradient norm lies more than 6 standard deviations above the last 128."""
    evaluate_every: CountOrNone = 1000
    """Steps between evaluations of validation rows. 0: only at the end."""
    save_every: CountOrNone = 500
    """Steps between checkpoints. 0: only at the end and when interrupted."""
    early_stop: CountOrNone = 0
    """End after so many evaluations in a row without a better mean score. 0: never."""
    best_checkpoint: bool = False
    """End with the weights of the best evaluation by mean score, not with the last ones."""
    keep_checkpoints: Count = 2
    """How many of the latest checkpoints stay on disk."""


class EvaluationConfig(_Section):
    """How it is evaluated."""

    max_rows: Count = 2000
    """Rows of a split that are evaluated during training; the last pass uses all."""
    without_embedding: bool = True
    """The last pass scores every task also with its task embedding left out; it then takes twice as long."""
    recasts: bool = True
    """The last pass scores recasts, too, which say the rows of other tasks in other words: they are often most of a
    run's rows. During training they are always among what is scored."""
    baselines: bool = True
    """The last pass puts chance and TF-IDF with a linear model, fitted on the same train rows, beside each score;
    seconds a task, kept with the prepared rows."""


class OutputConfig(_Section):
    """Where the results go."""

    folder: str = "runs"
    """The run folder is `folder/name`."""
    track: Trackers = ()
    """Trackers to send the log to as well: `trackio`, `wandb`. TensorBoard events are in the run folder anyway."""


class RunConfig(_Section):
    """One run: `load_config` in `run_file` makes it from a file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "tasksource-420"
    """The run's name, and the name of its folder. Left out of a run file: the file's own name without `.toml`."""
    encoder: Annotated[str, Field(min_length=1)] = "microsoft/deberta-v3-base"
    """A hub id, a folder, the `model` folder of a run (a warm start), or `minilm`: the 22M encoder of the extra
    `offline`."""
    seed: CountOrNone = 0
    """Decides the order of rows, dropout and new weights."""
    data: DataConfig = DataConfig()
    mixture: MixtureConfig = MixtureConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    output: OutputConfig = OutputConfig()
    task: Annotated[tuple[dict[str, Any], ...], BeforeValidator(_one_or_many)] = ()
    """Your own tasks, each a `[[task]]` table next to the catalog's; see the recipe guide."""


SECTIONS: dict[str, type[BaseModel]] = {
    "": RunConfig,
    "data": DataConfig,
    "mixture": MixtureConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "evaluation": EvaluationConfig,
    "output": OutputConfig,
}


def keys() -> list[str]:
    """Return every key in dotted form, in the order of the reference; `task` stands for the list of own tasks."""
    found = [name for name in RunConfig.model_fields if name not in SECTIONS]
    found += [f"{name}.{key}" for name, section in SECTIONS.items() if name for key in section.model_fields]
    return found


def make_config(values: Mapping[str, Any], *, where: str = "the configuration") -> RunConfig:
    """Return the configuration in nested plain values; raises ConfigError that tells every mistake."""
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        problems = list(dict.fromkeys(_explain(dict(problem)) for problem in error.errors()))
        raise ConfigError("\n".join(f"{where}: {problem}" for problem in problems)) from error


def _explain(problem: Mapping[str, Any]) -> str:
    """Return key, given value and what is allowed for one of pydantic's errors."""
    key = ".".join(str(part) for part in problem["loc"])
    kind, given, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(key)
    if kind in ("model_type", "dict_type") and key in SECTIONS:
        return f"{key} = {_shown(given)} is not a section. Write [{key}] on a line of its own, its keys below."
    if kind == "literal_error":
        return f"{key} = {_shown(given)}. Allowed: {context['expected'].replace(' or ', ', ')}.{_hint(given, context)}"
    wanted = {
        "string_type": "a string in quotes",
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "tuple_type": 'a list in brackets, ["a", "b"]',
        "dict_type": "a table, { name = value }",
        "string_pattern_mismatch": "letters, digits, dots, dashes and underscores, beginning with a letter or digit",
        "string_too_short": "a string that is not empty",
    }.get(kind) or "; ".join(f"{BOUNDS[name]} {bound:g}" for name, bound in context.items() if name in BOUNDS)
    return f"{key} = {_shown(given)}. Allowed: {wanted or problem['msg']}."


BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def _hint(given: Any, context: Mapping[str, Any]) -> str:
    allowed = [word.strip(" '") for word in context["expected"].replace(" or ", ",").split(",")]
    return did_you_mean(str(given), allowed)


def unknown_key(key: str) -> str:
    """Say that there is no such key, and which are near: the same word in another section, or one spelled alike."""
    section, _, last = key.rpartition(".")
    same = [known for known in keys() if known.rpartition(".")[2] == last]
    near = list(dict.fromkeys(nearest(key, keys(), 2) + same))[:3]
    hint = f" Did you mean {' or '.join(repr(known) for known in near)}?" if near else ""
    place = section if section in SECTIONS else ""
    allowed = ", ".join(SECTIONS[place].model_fields)
    return f"there is no key {key!r}.{hint} {f'[{place}]' if place else 'The top level'} has {allowed}."


def _shown(value: Any) -> str:
    try:
        shown = toml_value(value)
    except TypeError:
        shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
