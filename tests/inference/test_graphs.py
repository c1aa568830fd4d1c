"""Graphs: the model's numbers on ONNX Runtime and OpenVINO, for every kind of head, and no answer at all otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_export import LENGTH, PAIRS, TEXTS, saved_model

import taskloom
from taskloom.data.tokenizer import Tokenizer
from taskloom.errors import DataError, ModelError, SourceError, UnknownTaskError
from taskloom.inference import graphs, quantizing
from taskloom.inference.check_rows import CheckRows, rows_of_file
from taskloom.inference.parity import largest_difference
from taskloom.inference.predictor import Model, load_model
from taskloom.modeling.head_table import Head
from taskloom.modeling.model import Model as Network
from taskloom.reporting.head_card import front_matter
from taskloom.workflows import exporting
from taskloom.workflows.exporting import Wanted, export
from tiny import make_tiny

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")
FORMATS = ("onnx", "openvino")
ROWS: dict[str, list[Any]] = {
    "nli": list(zip(TEXTS, PAIRS, strict=True)),
    "topic": TEXTS,
    "emotions": TEXTS,
    "similarity": TEXTS,
    "choice": [("the man sees a tree", PAIRS), ("no", PAIRS[:2])],
    "tags": [text.split() for text in TEXTS],
}


@pytest.fixture(scope="module", params=["bert", "deberta"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained model with all kinds of heads, in both architectures."""
    encoder = request.getfixturevalue(f"tiny_{request.param}")
    return saved_model(encoder, tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture(scope="module")
def bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained model of one architecture."""
    return saved_model(tiny_bert, tmp_path_factory.mktemp("trained") / "model")


def numbers(answer: Any) -> list[float]:
    """Return all numbers in an answer, in order of the names beside them."""
    if isinstance(answer, dict):
        return [number for name in sorted(answer) for number in numbers(answer[name])]
    if isinstance(answer, list):
        return [number for one in answer for number in numbers(one)]
    return [answer] if isinstance(answer, float) else []


def same_answers(found: list[Any], expected: list[Any]) -> None:
    """Check that two lists of answers tell the same labels and scores."""
    assert [set(one) for one in found] == [set(one) for one in expected]
    assert [one.get("label") for one in found] == [one.get("label") for one in expected]
    assert [one.get("labels") for one in found] == [one.get("labels") for one in expected]
    np.testing.assert_allclose(numbers(found), numbers(expected), atol=1e-4)


def test_every_head_as_onnx(folder: Path, tmp_path: Path) -> None:
    """Each kind of head (two for DeBERTa) as a graph of its own gives the answers of the model, at several lengths."""
    model = load_model(folder)
    chosen = (
        ROWS if model.network.encoder.config.model_type == "bert" else {task: ROWS[task] for task in ("nli", "tags")}
    )
    for task, rows in chosen.items():
        told = export(folder, tmp_path / task, Wanted(form="onnx", task=task))
        assert "logits differ by at most" in told[0]
        found = load_model(tmp_path / task)
        assert (found.backend, found.precision, found.max_length) == ("onnx", "fp32", LENGTH)
        assert sorted(path.name for path in (tmp_path / task).rglob("*.onnx")) == ["model.onnx"]
        assert not list((tmp_path / task).glob("*.safetensors"))
        for several in (rows, rows[:1]):
            same_answers(found.predict(task, several), model.predict(task, several, use_task_embedding=False))


def test_openvino_and_zero_shot(folder: Path, tmp_path: Path) -> None:
    """The zero-shot head as OpenVINO classifies as the model does, with the task's vector folded in when asked for."""
    export(folder, tmp_path / "plain", Wanted(form="openvino"))
    export(folder, tmp_path / "vector", Wanted(form="openvino", with_task_embedding=True))
    assert (tmp_path / "plain" / "openvino" / "openvino_model.xml").is_file()
    assert not (tmp_path / "plain" / "onnx").exists()
    model = load_model(folder)
    labels = ["good", "bad", "a river"]
    for name, with_vector in (("plain", False), ("vector", True)):
        found = load_model(tmp_path / name)
        assert found.backend == "openvino"
        expected = model.classify(TEXTS, labels, use_task_embedding=with_vector)
        same_answers(found.classify(TEXTS, labels), expected)


@pytest.mark.parametrize("architecture", ["roberta", "modernbert"])
def test_other_architectures(architecture: str, tmp_path: Path) -> None:
    """Networks without token types, and ModernBERT, trace to the same numbers."""
    make_tiny(tmp_path / "encoder", architecture)
    folder = saved_model(tmp_path / "encoder", tmp_path / "model")
    export(folder, tmp_path / "out", Wanted(form="onnx", task="topic"))
    expected = load_model(folder).predict("topic", TEXTS, use_task_embedding=False)
    same_answers(load_model(tmp_path / "out").predict("topic", TEXTS), expected)


@pytest.mark.parametrize("backend", FORMATS)
def test_whole_model_on_another_runtime(backend: str, folder: Path) -> None:
    """Each trained task and both uses of the task's vector give the same on the graph of the encoder's features."""
    model = load_model(folder)
    elsewhere = load_model(folder, backend=backend)
    assert elsewhere.backend == backend and elsewhere.precision == "fp32"
    for task, rows in ROWS.items():
        for vector in (True, False):
            expected = model.predict(task, rows, use_task_embedding=vector)
            same_answers(elsewhere.predict(task, rows, use_task_embedding=vector), expected)
    same_answers(model.classify(TEXTS, ["good", "bad"], backend=backend), model.classify(TEXTS, ["good", "bad"]))


def test_a_graph_is_made_once(bert: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second opening takes the graph from the cache; other weights get a graph of their own."""
    monkeypatch.setenv("TASKLOOM_CACHE", str(tmp_path / "cache"))
    load_model(bert, backend="onnx")
    made = list((tmp_path / "cache" / "graphs").iterdir())
    monkeypatch.setattr(torch.onnx, "export", lambda *_a, **_k: pytest.fail("traced again"))
    load_model(bert, backend="onnx")
    assert list((tmp_path / "cache" / "graphs").iterdir()) == made and len(made) == 1
    monkeypatch.undo()


def test_graphs_run_on_the_cpu_beside_a_gpu(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where "auto" is a GPU, a runtime that has none takes the CPU by itself, and refuses the GPU that is asked for."""
    place = {"auto": "meta", "cuda": "meta"}
    monkeypatch.setattr("taskloom.inference.predictor.choose_device", lambda name: torch.device(place[name]))
    found = load_model(bert, backend="onnx")
    assert found.device.type == "cpu"
    assert found.predict("topic", TEXTS[:1])[0]["label"]
    assert load_model(bert, precision="int8").device.type == "cpu"
    with pytest.raises(ModelError, match="onnx runs on the CPU, not on meta"):
        load_model(bert, backend="onnx", device="cuda")


@pytest.mark.parametrize("backend", FORMATS)
def test_int8_without_rows(backend: str, folder: Path) -> None:
    """A whole model in int8 runs on either runtime, near the fp32 probabilities and not equal to them."""
    assert load_model(folder, precision="int8").backend == "onnx"
    model = load_model(folder, backend=backend, precision="int8")
    assert (model.backend, model.precision) == (backend, "int8")
    expected = load_model(folder).predict("topic", TEXTS)
    found = model.predict("topic", TEXTS)
    assert 0 < np.abs(np.subtract(numbers(found), numbers(expected))).max() < 0.2


def lines_of(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


WORDS = "the cat eats in big house no a small blue bird sees that man and says it is good tree river".split()


def many_texts(count: int) -> list[str]:
    """Return texts of growing length that differ."""
    generator = np.random.default_rng(3)
    return [" ".join(generator.choice(WORDS, 2 + row % 12)) for row in range(count)]


def reader(path: Path) -> Callable[[Head, Tokenizer, int], CheckRows]:
    """Return what reads the rows of a file for int8."""
    return lambda head, tokenizer, length: rows_of_file(path, head, tokenizer, max_length=length)


@pytest.mark.parametrize("form", FORMATS)
def test_int8_is_checked_on_rows(form: str, bert: Path, tmp_path: Path) -> None:
    """int8 stands beside fp32, its agreement and accuracy are told, and the folder opens in int8."""
    if form == "openvino":
        pytest.importorskip("nncf")
    answers = load_model(bert).predict("topic", many_texts(80), use_task_embedding=False)
    rows = [{"text": text, "label": one["label"]} for text, one in zip(many_texts(80), answers, strict=True)]
    path = lines_of(tmp_path / "rows.jsonl", rows)
    told = export(bert, tmp_path / "out", Wanted(form=form, task="topic", int8=True, rows=reader(path), force=True))
    assert "of decisions agree on 40 rows" in told[1] and "accuracy 1.0000 -> " in told[1]
    assert set(graphs.graphs_in(tmp_path / "out")) == {(form, "fp32"), (form, "int8")}
    found = load_model(tmp_path / "out")
    assert found.precision == "int8" and load_model(tmp_path / "out", precision="fp32").precision == "fp32"
    expected = load_model(bert).predict("topic", TEXTS, use_task_embedding=False)
    assert 0 < np.abs(np.subtract(numbers(found.predict("topic", TEXTS)), numbers(expected))).max() < 0.2


def test_bad_int8_is_refused(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less than 98 % of the decisions nothing is written, unless forced."""
    path = lines_of(tmp_path / "rows.jsonl", [{"text": text} for text in many_texts(60)])
    monkeypatch.setattr(exporting, "quantize", lambda _format, source, target, _feeds: _swapped(source, target))
    wanted = {"form": "onnx", "task": "topic", "int8": True, "rows": reader(path)}
    with pytest.raises(ModelError, match=r"of decisions agree on 30 rows.*98% is asked for.*--force"):
        export(bert, tmp_path / "out", Wanted(**wanted))
    assert not (tmp_path / "out").exists()
    assert len(export(bert, tmp_path / "out", Wanted(**wanted, force=True))) == 2


@pytest.mark.parametrize("form", FORMATS)
def test_the_first_int8_that_decides_alike_is_taken(
    form: str, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges of real rows that move decisions give way to a range for each token, for OpenVINO as for ONNX."""
    if form == "openvino":
        pytest.importorskip("nncf")
    path = lines_of(tmp_path / "rows.jsonl", [{"text": text} for text in many_texts(60)])
    made = []

    def quantized(way: Any, source: Path, target: Path, feeds: Any) -> None:
        made.append(way)
        if way == "static":
            _swapped(source, tmp_path / "swapped.onnx")
            exporting.tracing.write_openvino(tmp_path / "swapped.onnx", target)
        else:
            quantizing.quantize(way, source, target, feeds)

    monkeypatch.setattr(exporting, "quantize", quantized)
    monkeypatch.setattr(exporting, "LEAST_AGREEMENT", 0.9)  # an encoder of random weights is unsure of everything
    told = export(bert, tmp_path / "out", Wanted(form=form, task="topic", int8=True, rows=reader(path)))
    assert tuple(made) == quantizing.WAYS[form], told
    assert "int8, a range for each token: " in told[1]
    assert set(graphs.graphs_in(tmp_path / "out")) == {(form, "fp32"), (form, "int8")}
    expected = load_model(bert).predict("topic", TEXTS, use_task_embedding=False)
    found = load_model(tmp_path / "out").predict("topic", TEXTS)
    assert 0 < np.abs(np.subtract(numbers(found), numbers(expected))).max() < 0.1


def _swapped(source: Path, target: Path) -> None:
    """Write the graph with its last bias turned around, so that other labels win."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(source)
    bias = next(one for one in model.graph.initializer if one.name.endswith("classifier.bias"))
    values = onnx.numpy_helper.to_array(bias)
    bias.CopyFrom(onnx.numpy_helper.from_array(values + np.float32([9, 0, -9, 0]), bias.name))
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target)


def test_a_wrong_graph_is_refused(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph whose logits are others than the model's is not written."""
    write = exporting.tracing.write_head_graph

    def wrong(network: torch.nn.Module, kind: str, path: Path, **options: bool) -> None:
        write(network, kind, path.with_suffix(".right"), **options)
        _swapped(path.with_suffix(".right"), path)

    monkeypatch.setattr(exporting.tracing, "write_head_graph", wrong)
    with pytest.raises(ModelError, match=r"differs from the model by .*not written"):
        export(bert, tmp_path / "out", Wanted(form="onnx", task="topic"))
    assert not (tmp_path / "out").exists()


def test_parity_sees_a_small_change(bert: Path) -> None:
    """A weight that is off by a hundredth shows in the check of logits, whatever the head reads."""
    own, other = Network.load(bert), Network.load(bert)
    tokenizer = Tokenizer.open(bert)
    for task in ("topic", "tags"):
        head = own.table.heads[own.table.places[task]]
        given = {"max_length": LENGTH, "own_vector": False}
        assert largest_difference(own, other, (head, head), tokenizer, **given) == 0
        with torch.no_grad():
            other.head_weight[head.rows[1], 0] += 1e-2
        assert largest_difference(own, other, (head, head), tokenizer, **given) > 1e-4


def test_ready_to_upload(bert: Path, tmp_path: Path) -> None:
    """Card with the fields that the hub checks, license file, label maps and tokenizer stand in each form."""
    for form in ("hf", "onnx"):
        export(bert, tmp_path / form, Wanted(form=form))
        header = front_matter((tmp_path / form / "README.md").read_text(encoding="utf-8"))
        assert header["license"] == "other" and header["license_name"] == "see-license-file"
        assert (tmp_path / form / header["license_link"]).read_text(encoding="utf-8")
        assert header["pipeline_tag"] == "zero-shot-classification" and header["library_name"] == "transformers"
        config = json.loads((tmp_path / form / "config.json").read_text(encoding="utf-8"))
        assert config["id2label"] == {"0": "entailment", "1": "neutral", "2": "contradiction"}
        assert config["label2id"] == {"entailment": 0, "neutral": 1, "contradiction": 2}
        assert (tmp_path / form / "tokenizer.json").is_file()
    assert (tmp_path / "hf" / "model.safetensors").is_file()


def test_mistakes_are_named(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a runtime cannot do, a package that is missing and rows that do not fit are said, and nothing is written."""
    model = load_model(bert)
    with pytest.raises(ModelError, match=r"'onx' is not one of torch, onnx, openvino\. Did you mean 'onnx'"):
        model.classify("no", "good,bad", backend="onx")
    with pytest.raises(ModelError, match="torch has no int8"):
        load_model(bert, backend="torch", precision="int8")
    with pytest.raises(ModelError, match="no bf16"):
        load_model(bert, backend="onnx", precision="bf16")
    with pytest.raises(ModelError, match="--int8 is for onnx and openvino"):
        Wanted(form="hf", int8=True)
    with pytest.raises(ModelError, match="Name a task or a file with --calibrate"):
        export(bert, tmp_path / "out", Wanted(form="onnx", task="topic", int8=True))
    head = model.heads[1]
    few = lines_of(tmp_path / "few.jsonl", [{"text": "no"}] * 10)
    with pytest.raises(DataError, match="at least 20 of each"):
        rows_of_file(few, head, Tokenizer.open(bert), max_length=LENGTH)
    wrong = lines_of(tmp_path / "wrong.jsonl", [{"text": "no", "label": "tree"}, {"text": "no", "label": "trees"}] * 30)
    with pytest.raises(DataError, match="Row 1: 'trees' is no label of topic"):
        rows_of_file(wrong, head, Tokenizer.open(bert), max_length=LENGTH)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"pip install 'taskloom\[export\]'"):
        export(bert, tmp_path / "out", Wanted(form="onnx", task="topic"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("calibrate", "error", "message"),
    [
        (None, ModelError, "those of topic are nowhere recorded.*Give --calibrate FILE"),
        ("rows.csv", SourceError, "There is no file rows.csv"),
        ("./rows", SourceError, "There is no file ./rows"),
        ("glue/rtee", UnknownTaskError, "Did you mean 'glue/rte'.* --calibrate takes a task, or a file"),
    ],
)
def test_rows_for_int8_that_are_not_there(
    calibrate: str | None, error: type[Exception], message: str, bert: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A head of rows of one's own, and a mistyped file, are told by what --calibrate takes."""
    monkeypatch.chdir(tmp_path)
    head = next(one for one in Network.load(bert).table.heads if one.id == "topic")
    with pytest.raises(error, match=message):
        exporting._check_rows(bert, calibrate, head, Tokenizer.open(bert), LENGTH)


def test_public_export_knows_every_form() -> None:
    """What the command writes is allowed by the type of the function, and told in its text."""
    told = taskloom.export.__doc__ or ""
    assert [form for form in exporting.FORMS if f'"{form}"' not in told] == []
    allowed = taskloom.export.__annotations__["format"]
    assert [form for form in exporting.FORMS if f"'{form}'" not in allowed.replace('"', "'")] == []


def test_public_functions(bert: Path, tmp_path: Path) -> None:
    """`taskloom.export` and `load_model` take the forms and runtimes by name."""
    assert taskloom.export(bert, tmp_path / "out", head="topic", format="onnx") == tmp_path / "out"
    model: Model = taskloom.load_model(tmp_path / "out", backend="onnx", precision="fp32")
    assert model.tasks == ("topic@1",) and model.heads[0].labels == ("house", "tree", "river", "bird")


def test_nothing_is_reported(bert: Path) -> None:
    """The package through which OpenVINO reports its use is not loaded, though it may be installed."""
    code = (
        "import sys\nfrom taskloom.inference.graphs import package\npackage('openvino')\n"
        "print('openvino_telemetry' in sys.modules)"
    )
    import subprocess

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
