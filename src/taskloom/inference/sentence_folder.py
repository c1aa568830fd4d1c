"""A matching head as a sentence encoder in the folder layout of sentence-transformers: one vector for any text.

The head compares two texts by the weighted products of their vectors' dimensions. With the root of each weight in a
last diagonal layer, the plain dot product of two vectors is that sum, over SHARPNESS: `classify(..., way="matching")`
takes the softmax of SHARPNESS times the dot products of a text with label names. A vector is about of length one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from safetensors.torch import save_file
from torch import Tensor

from taskloom.errors import ModelError
from taskloom.inference.export import PROBE, PROBE_PAIR, TOLERANCE
from taskloom.modeling.encoder import pooled_by, quiet
from taskloom.modeling.head_table import Head
from taskloom.modeling.model import SHARPNESS, Model, read_record, save_tokenizer

MODULES = ("Transformer", "Pooling", "Normalize", "Dense")
"""What a text goes through, one after the other; all but the first have a folder's name of their own."""
DENSE = Path("3_Dense")
IDENTITY = "torch.nn.modules.linear.Identity"


def write_sentence_folder(model: Model, source: Path, out: Path, head: Head) -> float:
    """Write the encoder and matching head of the model in `source` into the folder `out`; returns by how much the
    vectors of a few texts differ when what was written is opened again.

    Raises ModelError for another head, or weights below zero, which have no root.
    """
    weight = _roots(model, head)
    length = int(read_record(source)["max_length"])
    with torch.no_grad(), quiet():
        texts = _probe(source, length)
        expected = _vectors(model.encoder.base.eval(), texts, weight)
        model.encoder.base.save_pretrained(out)  # type: ignore[operator]
        save_tokenizer(source, out, max_length=length)
        _write_modules(out, width=len(weight), length=length)
        save_file({"linear.weight": torch.diag(weight).contiguous()}, out / DENSE / "model.safetensors")
        return _difference(out, texts, weight, expected)


def _roots(model: Model, head: Head) -> Tensor:
    """Return the root of each dimension's weight, where SHARPNESS is one (width,)."""
    if not head.apart:
        raise ModelError(
            f"{head.task} is no matching head, so it compares no vectors. A sentence encoder is written for models "
            'trained with `data.recast = ["matching"]`; leave --head out to take their head.'
        )
    weight = model.head_weight.detach()[head.rows[0]].float() / SHARPNESS
    if float(weight.min()) < 0:
        raise ModelError(
            f"{int((weight < 0).sum())} dimensions of {head.task} have weights below zero, so no dot product gives its "
            "scores. Write the head with --format adapter."
        )
    return weight.sqrt()


def _write_modules(out: Path, *, width: int, length: int) -> None:
    paths = ["", *(f"{place}_{name}" for place, name in enumerate(MODULES) if place)]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{name}"}
        for place, (name, path) in enumerate(zip(MODULES, paths, strict=True))
    ]
    pooling = {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    dense = {"in_features": width, "out_features": width, "bias": False, "activation_function": IDENTITY}
    files: dict[str, Any] = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": length, "do_lower_case": False},
        "config_sentence_transformers.json": {"similarity_fn_name": "dot", "prompts": {}},
        f"{paths[1]}/config.json": pooling,
        f"{paths[3]}/config.json": dense,
    }
    for name, values in files.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _probe(source: Path, length: int) -> dict[str, Tensor]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source))
    found = tokenizer([*PROBE, *PROBE_PAIR], padding=True, truncation=True, max_length=length, return_tensors="pt")
    return dict(found)


def _vectors(base: Any, texts: dict[str, Tensor], weight: Tensor) -> Tensor:
    """Return the vectors (texts, width) that the modules give, with a network of transformers below them."""
    hidden = base(**texts).last_hidden_state.float()
    means = pooled_by("mean", hidden[:, 0], hidden, texts["attention_mask"])
    return functional.normalize(means, dim=1) * weight


def _difference(out: Path, texts: dict[str, Tensor], weight: Tensor, expected: Tensor) -> float:
    from transformers import AutoModel

    given = _vectors(AutoModel.from_pretrained(str(out)).eval(), texts, weight)
    difference = float((given - expected).abs().max())
    if not difference <= TOLERANCE:
        raise ModelError(f"What was written gives other vectors, by {difference:.2g}; at most {TOLERANCE} is allowed.")
    return difference
