"""One head, ready to leave: as a Hugging Face folder, as graphs, as an adapter, or as a sentence encoder.

Every form is compared with the model before it appears: logits to 1e-4; int8, whose logits differ, by its decisions on
rows that it was not made from. The folder appears whole or not at all.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import ModelError, SourceError, UnknownTaskError, did_you_mean
from taskloom.evaluation.predictions import Predictions
from taskloom.inference import tracing
from taskloom.inference.adapters import write_adapter
from taskloom.inference.check_rows import CheckRows
from taskloom.inference.export import AUTO_CLASSES, find_head, write_head
from taskloom.inference.folders import write_record
from taskloom.inference.graph_networks import over_head_graph
from taskloom.inference.graphs import FILES, FORMATS, Graph, open_graph, package
from taskloom.inference.parity import TOLERANCE, agreement, largest_difference
from taskloom.inference.quantizing import WAYS, Recorder, quantize
from taskloom.inference.sentence_folder import write_sentence_folder
from taskloom.modeling.head_table import Head
from taskloom.modeling.model import SHARPNESS, Model, check_new_folder, new_folder, pipeline_order, read_record
from taskloom.recipes.labels import normalize_label
from taskloom.recipes.recipe import Task
from taskloom.recipes.select import get_task
from taskloom.reporting.head_card import head_card, license_text, sentence_card
from taskloom.workflows.models import model_folder
from taskloom.workflows.preparing import choose, rows_of

FORMS = ("hf", *FORMATS, "adapter", "sentence-transformers")
LEAST_AGREEMENT = 0.98
RANGES = {"static": "ranges of real rows", "per token": "a range for each token"}
"""How int8 came by its ranges, in words."""
PAGES = ("tasks.md", "citations.bib")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be written: the form, the task (None: the zero-shot head), and how.

    `rows` gives the rows for int8, for the head found and the model's tokenizer.
    """

    form: str = "hf"
    task: str | None = None
    with_task_embedding: bool = False
    int8: bool = False
    force: bool = False
    rows: Callable[[Head, Tokenizer, int], CheckRows] | None = None

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ModelError(f"Format {self.form!r} is not one of {', '.join(FORMS)}.{did_you_mean(self.form, FORMS)}")
        if self.int8 and self.form not in FORMATS:
            raise ModelError(f"--int8 is for {' and '.join(FORMATS)}; a folder of format {self.form} has no int8.")
        if self.form == "adapter" and self.with_task_embedding:
            raise ModelError("An adapter always has the task embedding in it. Leave --with-task-embedding out.")
        if self.form == "sentence-transformers" and self.with_task_embedding:
            raise ModelError("Label names are compared without any task embedding. Leave --with-task-embedding out.")


def export(folder: Path, out: Path, wanted: Wanted) -> list[str]:
    """Write a head of the model in `folder` to the new folder `out`; returns what the checks found, a line each.

    Raises ModelError for a folder that is not empty, a package that is missing, or a form that gives other numbers:
    logits beyond 1e-4, or, unless forced, int8 with less than 98 % of the decisions.
    """
    check_new_folder(out)
    for name in {"onnx": ("onnxruntime",), "openvino": ("openvino",)}.get(wanted.form, ()):
        package(name)
    if wanted.int8:
        for name in {"onnx": ("onnx",), "openvino": ("onnx", "nncf")}[wanted.form]:
            package(name)
    model = Model.load(folder)
    if wanted.form == "sentence-transformers":
        return _write_sentences(model, folder, out, wanted.task)
    head = find_head(model, wanted.task)
    if wanted.form == "adapter":
        write_adapter(model, head, out, record=read_record(folder))
        size = sum(path.stat().st_size for path in out.iterdir())
        return [f"adapter of {head.task}: {size:,} bytes; opens with load_model(ENCODER, adapter={str(out)!r})"]
    with new_folder(out) as temporary:
        difference = write_head(
            Model.load(folder), folder, temporary, head, with_task_embedding=wanted.with_task_embedding
        )
        told = [f"hf: logits differ by at most {difference:.1e}, {TOLERANCE:g} is allowed"]
        if wanted.form != "hf":
            told = _write_graphs(folder, temporary, model, head, wanted)
        _write_pages(folder, temporary, head, wanted.form, told, out.name)
    return told


def _write_sentences(model: Model, folder: Path, out: Path, task: str | None) -> list[str]:
    """Write the matching head, or that of a task, as a sentence encoder with its pages."""
    head = model.table.matching() if task is None else find_head(model, task)
    if head is None:
        raise ModelError('This model has no matching head, so no sentence encoder. Train with recast = ["matching"].')
    with new_folder(out) as temporary:
        difference = write_sentence_folder(model, folder, temporary, head)
        told = [f"sentence-transformers: vectors differ by at most {difference:.1e}, {TOLERANCE:g} is allowed"]
        card = _own_card(folder)
        page = sentence_card(card=card, figures=told, folder=out.name, sharpness=SHARPNESS)
        (temporary / "README.md").write_text(page, encoding="utf-8")
        _write_license(folder, temporary, card)
    return told


def exported_labels(head: Head) -> tuple[str, ...]:
    """Return the labels of an exported head in the order of its logits."""
    return pipeline_order(head)[0] if head.kind == "classification" else head.labels


def _write_pages(folder: Path, out: Path, head: Head, form: str, told: list[str], name: str) -> None:
    labels = exported_labels(head)
    write_record(out, head, labels, max_length=int(read_record(folder)["max_length"]))
    card = _own_card(folder)
    page = head_card(head, labels, card=card, form=form, figures=told, folder=name)
    (out / "README.md").write_text(page, encoding="utf-8")
    _write_license(folder, out, card)


def _own_card(folder: Path) -> str:
    own = folder / "README.md"
    return own.read_text(encoding="utf-8") if own.is_file() else ""


def _write_license(folder: Path, out: Path, card: str) -> None:
    (out / "LICENSE").write_text(license_text(card), encoding="utf-8")
    for page in PAGES:
        if (folder / page).is_file():
            shutil.copy(folder / page, out / page)


def _write_graphs(folder: Path, out: Path, model: Model, head: Head, wanted: Wanted) -> list[str]:
    """Turn the weights of a Hugging Face folder into graphs; returns what the checks found."""
    traced = out / FILES["onnx", "fp32"]
    tracing.write_head_graph(_network(out, head), head.kind, traced)
    path = out / FILES[wanted.form, "fp32"]
    if wanted.form == "openvino":
        tracing.write_openvino(traced, path)
    for weights in out.glob("*.safetensors"):
        weights.unlink()
    told = [_parity(folder, path, model, head, wanted)]
    if wanted.int8:
        told.append(_write_int8(folder, out, traced, head, wanted))
    if wanted.form == "openvino":
        shutil.rmtree(traced.parent)
    return told


def _network(folder: Path, head: Head) -> Any:
    import transformers

    from taskloom.modeling.encoder import quiet

    with quiet():
        return getattr(transformers, AUTO_CLASSES[head.kind]).from_pretrained(str(folder)).eval()


def _parity(folder: Path, path: Path, model: Model, head: Head, wanted: Wanted) -> str:
    graph = over_head_graph(open_graph(path), in_exported_order(head))
    difference = largest_difference(
        model, graph, (head, graph.table.heads[0]), Tokenizer.open(folder),
        max_length=int(read_record(folder)["max_length"]), own_vector=wanted.with_task_embedding,
    )  # fmt: skip
    if not difference <= TOLERANCE:
        raise ModelError(
            f"The {wanted.form} graph of {head.task} differs from the model by {difference:.2g}; at most {TOLERANCE} "
            "is allowed. It is not written; take another format."
        )
    return f"{wanted.form} fp32: logits differ by at most {difference:.1e}, {TOLERANCE:g} is allowed; {_size(path)}"


def _write_int8(folder: Path, out: Path, traced: Path, head: Head, wanted: Wanted) -> str:
    """Write the first int8 form that decides as fp32 does; returns what was found of it."""
    if wanted.rows is None:
        raise ModelError("int8 is made from and checked on rows. Name a task or a file with --calibrate.")
    tokenizer = Tokenizer.open(folder)
    rows = wanted.rows(head, tokenizer, int(read_record(folder)["max_length"]))
    head = with_labels(head, rows.store.labels)
    exported, ways = in_exported_order(head), WAYS[wanted.form]

    def answers(graph: Graph, *, calibrate: bool = False) -> Predictions:
        return rows.ask(over_head_graph(graph, exported), exported, tokenizer, vector=False, calibrate=calibrate)

    recorder = Recorder(open_graph(out / FILES[wanted.form, "fp32"]))
    if "static" in ways:
        answers(recorder, calibrate=True)
    before, path = answers(recorder.graph), out / FILES[wanted.form, "int8"]
    scale = None if head.low is None or head.high is None else head.high - head.low
    for way in ways:
        quantize(way, traced, path, recorder.seen)
        found = agreement(before, answers(open_graph(path)), scale=scale, labeled=rows.labeled)
        if found.sure_share >= LEAST_AGREEMENT:
            break
    else:
        if not wanted.force:
            raise ModelError(
                f"int8 of {head.task}: {found.line()}; at least {LEAST_AGREEMENT:.0%} is asked for. Leave --int8 out, "
                "--calibrate with rows that are more like those it will read, or write it anyway with --force."
            )
    return f"{wanted.form} int8, {RANGES[way]}: {found.line()}; {_size(path)}"


def in_exported_order(head: Head) -> Head:
    """Return the head with the places of its labels among the exported logits as its rows."""
    names = [normalize_label(label) for label in exported_labels(head)]
    if head.kind != "classification":
        return dataclasses.replace(head, rows=tuple(range(len(head.rows))))
    order = [normalize_label(label) for label in head.labels]
    rows = tuple(range(len(names))) if head.nli_names() is None else tuple(map(names.index, order))
    return dataclasses.replace(head, rows=rows)


def with_labels(head: Head, labels: tuple[str, ...]) -> Head:
    """Return a head with its labels in the order of a task that has the same ones, else the head as it is."""
    mine, theirs = ([normalize_label(label) for label in names] for names in (head.labels, labels))
    if head.labels == labels or sorted(mine) != sorted(theirs) or len(set(mine)) < len(mine):
        return head
    return dataclasses.replace(head, labels=labels, rows=tuple(head.rows[mine.index(name)] for name in theirs))


def _size(path: Path) -> str:
    beside = path.with_suffix(".bin")
    return f"{(path.stat().st_size + (beside.stat().st_size if beside.is_file() else 0)) / 1e6:.1f} MB"


def export_from(path: Path, out: Path, wanted: Wanted, *, calibrate: str | None = None) -> list[str]:
    """Write one head of a run or model to `out`; returns what the checks found, a line each.

    `calibrate` names the rows that an int8 form is made from and checked on: a file, or a task (default: the head's
    own), whose rows are read as the run read them.
    """
    folder = model_folder(path)

    def rows(head: Head, tokenizer: Tokenizer, max_length: int) -> CheckRows:
        return _check_rows(folder, calibrate, head, tokenizer, max_length)

    if wanted.int8:
        wanted = dataclasses.replace(wanted, rows=rows)
    return export(folder, out, wanted)


def _known_task(name: str, calibrate: str | None) -> Task:
    """Return a task of the catalog; the errors say what --calibrate takes."""
    try:
        return get_task(name)
    except UnknownTaskError as error:
        if calibrate is None:
            raise ModelError(
                f"int8 is made from and checked on rows, and those of {name} are nowhere recorded: it is no task of "
                "the catalog. Give --calibrate FILE with rows like those that the model will read."
            ) from error
        if Path(calibrate).suffix or calibrate.startswith(("/", ".", "~")):
            raise SourceError(f"There is no file {calibrate}. Give --calibrate a file of rows, or a task.") from error
        raise UnknownTaskError(f"{error} --calibrate takes a task, or a file; there is none of this name.") from error


def _check_rows(folder: Path, calibrate: str | None, head: Head, tokenizer: Tokenizer, max_length: int) -> CheckRows:
    """Return the rows of a file, or of a task of the run or the catalog, in the cache that the run uses."""
    from taskloom.data.store import build, cache_folder
    from taskloom.inference.check_rows import TO_CALIBRATE, rows_of_file, rows_of_task
    from taskloom.run_file import load_config

    if calibrate is not None and Path(calibrate).is_file():
        return rows_of_file(Path(calibrate), head, tokenizer, max_length=max_length)
    run = folder.parent / "config.toml"
    config = load_config(run) if run.is_file() else None
    own = {task.id: task for task in choose(config).tasks} if config else {}
    name = (calibrate or head.id).partition("@")[0]
    task = own[name] if name in own else _known_task(name, calibrate)
    canonical = rows_of(task, mirror=config.data.mirror if config else "", max_rows=10 * TO_CALIBRATE)
    cache = cache_folder(config.data.cache if config else "")
    return rows_of_task(build(canonical, tokenizer, cache=cache, max_length=max_length, max_rows=10 * TO_CALIBRATE))
