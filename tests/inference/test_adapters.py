"""Heads as files of a few kB, and models that others have published: what can be read safely gives the same answers."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_export import LENGTH, PAIRS, TASKS, TEXTS, saved_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import taskloom
from made_batches import NLI, described
from taskloom.errors import ModelError
from taskloom.inference.adapters import encoder_fingerprint
from taskloom.inference.folders import described_head
from taskloom.inference.predictor import load_model
from taskloom.modeling.encoder import Encoder
from taskloom.modeling.head_table import HeadTable
from taskloom.modeling.model import Model as Network
from taskloom.workflows.exporting import Wanted, export
from tiny import make_tiny

ROWS: dict[str, list[Any]] = {
    "topic": TEXTS,
    "emotions": TEXTS,
    "similarity": TEXTS,
    "choice": [("the man sees a tree", PAIRS)],
    "tags": [text.split() for text in TEXTS],
}


@pytest.fixture(scope="module")
def folder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained model with all kinds of heads."""
    return saved_model(tiny_bert, tmp_path_factory.mktemp("trained") / "model")


@pytest.mark.parametrize("task", ["topic", "choice", "tags"])
def test_adapter_on_an_export(task: str, folder: Path, tmp_path: Path) -> None:
    """A head in a few kB gives the model's answers, task vector included, on another head's Hugging Face folder."""
    export(folder, tmp_path / "base", Wanted(task="nli"))
    export(folder, tmp_path / "adapter", Wanted(form="adapter", task=task))
    assert sum(path.stat().st_size for path in (tmp_path / "adapter").iterdir()) < 4000
    found = load_model(tmp_path / "base", adapter=tmp_path / "adapter")
    assert found.tasks == ("nli@1", f"{task}@1")
    model = load_model(folder)
    assert found.predict(task, ROWS[task]) == model.predict(task, ROWS[task])
    assert found.classify(TEXTS, "good,bad") == model.classify(TEXTS, "good,bad")


def test_adapter_takes_the_place_of_a_task(folder: Path, tmp_path: Path) -> None:
    """On a model that knows the task, the adapter's head answers; the other tasks stay what they were."""
    export(folder, tmp_path / "adapter", Wanted(form="adapter", task="topic"))
    weights = load_file(tmp_path / "adapter" / "heads.safetensors")
    save_file(weights | {"head_bias": weights["head_bias"] + torch.tensor([0, 0, 50.0, 0])},
              tmp_path / "adapter" / "heads.safetensors")  # fmt: skip
    found = load_model(folder, adapter=tmp_path / "adapter")
    assert sorted(found.tasks) == sorted(load_model(folder).tasks)
    assert {one["label"] for one in found.predict("topic", TEXTS)} == {"river"}
    for task in ("emotions", "tags"):
        assert found.predict(task, ROWS[task]) == load_model(folder).predict(task, ROWS[task])


def test_adapter_of_another_encoder_is_refused(folder: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """One changed weight is another encoder; so is a folder that holds no adapter, and an adapter is no model."""
    export(folder, tmp_path / "adapter", Wanted(form="adapter", task="topic"))
    other = Network.load(folder)
    assert encoder_fingerprint(other.encoder) == encoder_fingerprint(Network.load(folder).encoder)
    with torch.no_grad():
        next(other.encoder.network.parameters())[3, 1] += 1e-6
    other.save(tmp_path / "other", tokenizer_folder=tiny_bert, max_length=LENGTH, encoder_name="tiny")
    with pytest.raises(ModelError, match="belongs to another encoder"):
        load_model(tmp_path / "other", adapter=tmp_path / "adapter")
    with pytest.raises(ModelError, match=r"is an adapter\..*adapter="):
        load_model(tmp_path / "adapter")
    with pytest.raises(ModelError, match="is no adapter"):
        load_model(folder, adapter=tiny_bert)
    with pytest.raises(ModelError, match="always has the task embedding"):
        Wanted(form="adapter", with_task_embedding=True)


def published(folder: Path, labels: tuple[str, ...], *, architecture: str = "deberta-v2") -> Path:
    """Write a classifier as others publish theirs: labels in the configuration, weights in safetensors."""
    make_tiny(folder, architecture)
    config = {"id2label": dict(enumerate(labels)), "label2id": {name: at for at, name in enumerate(labels)}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=len(labels), ignore_mismatched_sizes=True, **config
        )
        network.classifier.weight.data.normal_(0, 0.5)
        network.classifier.bias.data.normal_(0, 0.5)
    network.config.update({"tasks": ["glue/mnli"], "classifiers_size": [len(labels)]})  # as tasksource's are
    network.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("labels", [*list(permutations(NLI))[::2], ("not_entailment", "entailment")])
def test_published_nli_models(labels: tuple[str, ...], tmp_path: Path) -> None:
    """Whatever the order and casing of its labels, an NLI classifier classifies as the pipeline does with it.

    The pipeline takes the first label for contradiction, or the last if the first is entailment; where neither is,
    its multi-label scores are another label's, so that only single answers are compared.
    """
    folder = published(tmp_path / "published", tuple(label.upper() for label in labels))
    model = taskloom.load_model(folder)
    assert model.zero_shot_task == "nli" and model.heads[0].labels == labels
    run = pipeline("zero-shot-classification", str(folder))
    names = ["good", "bad", "a river"]
    right = labels[0] in ("contradiction", "not_entailment") or labels[-1] in ("contradiction", "not_entailment")
    for multi_label in (False, True)[: 1 + (right and labels.index("entailment") in (0, len(labels) - 1))]:
        for text in TEXTS:
            expected = run(text, names, multi_label=multi_label)
            found = model.classify(text, names, multi_label=multi_label)
            assert found["labels"] == expected["labels"]
            np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-4)


def test_published_classifier_without_entailment(tmp_path: Path) -> None:
    """Any other classifier answers `predict` under its own labels and says that it cannot classify zero-shot."""
    folder = published(tmp_path / "published", ("LABEL_0", "joy"), architecture="bert")
    model = load_model(folder)
    run = pipeline("text-classification", str(folder), top_k=None)
    for text, answer in zip(TEXTS, model.predict("classifier", TEXTS), strict=True):
        expected = {one["label"]: one["score"] for one in run([text])[0]}
        assert answer["scores"] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ModelError, match="no entailment head"):
        model.classify("no", "good,bad")


def test_one_label_is_a_score(tmp_path: Path) -> None:
    """A published model of one output says nothing of its problem: it answers with its score, not with 100 % of it."""
    folder = published(tmp_path / "published", ("LABEL_0",), architecture="bert")
    assert json.loads((folder / "config.json").read_text(encoding="utf-8")).get("problem_type") is None
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = network(**tokens).logits.flatten().tolist()
    found = load_model(folder).predict("classifier", TEXTS)
    assert [answer["score"] for answer in found] == pytest.approx(expected, abs=1e-4)


def test_what_is_no_model_is_said(tiny_bert: Path, tmp_path: Path) -> None:
    """Pickled weights stay closed, a bare encoder answers nothing, and labels that are not numbered are named."""
    folder = published(tmp_path / "published", NLI)
    config = json.loads((folder / "config.json").read_text())
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no \*\.safetensors, but pytorch_model\.bin"):
        load_model(folder)
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["DebertaV2Model"]}))
    with pytest.raises(ModelError, match="an encoder without a classifier"):
        load_model(folder)
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": "a", "7": "b"}}))
    with pytest.raises(ModelError, match="numbers its labels"):
        load_model(folder)
    with pytest.raises(ModelError, match=r"neither heads\.json nor config\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "config, length",
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "bert", "max_position_embeddings": 512, "tokenizer": 128}, 128),
        ({"model_type": "bert", "max_position_embeddings": 512, "tokenizer": 10**30}, 512),
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, 512),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False,
          "tokenizer": 1680}, 1680),
    ],
)  # fmt: skip
def test_length_of_published_models(config: dict[str, Any], length: int, tmp_path: Path) -> None:
    """The tokenizer's length counts where the encoder has as many positions; relative ones have no end."""
    told = config.pop("tokenizer", None)
    architecture = {"architectures": ["XForSequenceClassification"], "id2label": {"0": "no", "1": "yes"}}
    (tmp_path / "config.json").write_text(json.dumps(config | architecture))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": told} if told else {}))
    assert described_head(tmp_path)[1] == length


def tasknet_adapter(folder: Path, *, pickled: bool = False) -> tuple[Path, dict[str, torch.Tensor]]:
    """Write an adapter as tasknet writes it: all classifiers in one file, names and labels in the configuration."""
    generator = torch.Generator().manual_seed(5)
    sizes = {"glue/rte": ["entailment", "not_entailment"], "codah/codah": None, "trec": ["a", "b", "c"]}
    counts = [len(labels or ["one"]) for labels in sizes.values()]
    weights = {"Z": torch.randn(3, 32, generator=generator) * 0.3}
    for place, count in enumerate(counts):
        weights[f"classifiers.{place}.weight"] = torch.randn(count, 32, generator=generator)
        weights[f"classifiers.{place}.bias"] = torch.randn(count, generator=generator)
    folder.mkdir()
    config = {"tasks": list(sizes), "classifiers_size": counts, "labels_list": list(sizes.values())}
    (folder / "config.json").write_text(json.dumps(config))
    if pickled:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors")
    return folder, weights


def test_tasknet_adapters(tmp_path: Path) -> None:
    """All classifiers of a tasknet adapter in safetensors answer, with their task vectors; pickled ones stay closed."""
    folder = published(tmp_path / "published", NLI)
    adapter, weights = tasknet_adapter(tmp_path / "adapter")
    model = load_model(folder, adapter=adapter)
    assert model.tasks == ("nli", "glue/rte", "codah/codah", "trec")
    assert model.heads[3].labels == ("a", "b", "c") and model.heads[2].kind == "multiple_choice"
    encoder = Encoder.open(folder).eval()
    inputs = model._how.tokenizer.backend.encode(TEXTS[0])
    pooled, _ = encoder(torch.tensor([inputs.ids]), first_vector=weights["Z"][2:3])
    expected = (pooled @ weights["classifiers.2.weight"].T + weights["classifiers.2.bias"]).softmax(1)[0]
    answer = model.predict("trec", TEXTS[:1])[0]
    torch.testing.assert_close(torch.tensor(list(answer["scores"].values())), expected, rtol=0, atol=1e-4)
    assert len(model.predict("codah/codah", [("the man", PAIRS)])[0]["scores"]) == len(PAIRS)
    pickled, _ = tasknet_adapter(tmp_path / "pickled", pickled=True)
    with pytest.raises(ModelError, match=r"pickled \(pytorch_model\.bin\).*safetensors"):
        load_model(folder, adapter=pickled)


def test_tasknet_adapter_of_another_width(tmp_path: Path, tiny_bert: Path) -> None:
    """An adapter whose heads are as wide as another encoder is refused."""
    folder = published(tmp_path / "published", NLI)
    adapter, weights = tasknet_adapter(tmp_path / "adapter")
    save_file(weights | {"classifiers.0.weight": torch.zeros(2, 48)}, adapter / "model.safetensors")
    with pytest.raises(ModelError, match=r"glue/rte has the shape \(2, 48\).*32 wide"):
        load_model(folder, adapter=adapter)


def test_adapter_file_has_one_task(tiny_bert: Path, tmp_path: Path) -> None:
    """Of shared rows an adapter keeps those of its own task, in its own order of labels."""
    shared = [
        described("one", "classification", ("house", "tree", "river")),
        described("two", "classification", ("river", "house", "tree")),
    ]
    for task in shared:
        task["key"] = "shared"
    folder = saved_model(tiny_bert, tmp_path / "model", shared)
    assert HeadTable.from_json(json.loads((folder / "heads.json").read_text())["tasks"]).size == 3
    export(folder, tmp_path / "adapter", Wanted(form="adapter", task="two"))
    base = saved_model(tiny_bert, tmp_path / "base", [TASKS[0]])
    found = load_model(base, adapter=tmp_path / "adapter")
    assert found.predict("two", TEXTS) == load_model(folder).predict("two", TEXTS)
