"""Random encoders small enough for tests: real architectures and real tokenizers, weights drawn from a seed."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "the a of and to in is was it for on with as by at an be this that are or from not no yes cat dog bird house tree "
    "river red green blue big small old new man woman child "
    "runs eats sees says good bad happy sad one two three "
    "paris london"
).split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-"


def word_piece_tokenizer(**options: object) -> PreTrainedTokenizerFast:
    """Return a WordPiece tokenizer over common words and all letters, with BERT's template.

    `options` go to the wrapper, for example the names of the inputs that it gives.
    """
    pieces = [*SPECIALS, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    names = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **names, **options)


SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
DEBERTA_V3 = {
    "relative_attention": True, "position_buckets": 16, "max_relative_positions": -1, "norm_rel_ebd": "layer_norm",
    "share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "type_vocab_size": 0,
    "pooler_hidden_size": 32, "pooler_hidden_act": "gelu", "pooler_dropout": 0.0,
}  # fmt: skip
CONFIGS: dict[str, tuple[type, dict[str, object]]] = {
    "bert": (BertConfig, SIZES),
    "deberta-v2": (DebertaV2Config, SIZES | DEBERTA_V3),
    "roberta": (RobertaConfig, SIZES | {"type_vocab_size": 1}),
    "electra": (ElectraConfig, SIZES | {"embedding_size": 16}),
    "modernbert": (ModernBertConfig, SIZES | {"global_attn_every_n_layers": 2, "local_attention": 8}),
    "distilbert": (DistilBertConfig, {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48}),
    "albert": (AlbertConfig, SIZES | {"embedding_size": 16}),
    "mpnet": (MPNetConfig, SIZES),
}
"""Architectures whose logits come from one linear layer; DeBERTa-v2 as the v3 models are built, with relative positions
in buckets, shared keys and no absolute positions."""


def make_tiny(folder: Path, architecture: str = "bert") -> None:
    """Write a random encoder of two layers of width 32 with its tokenizer.

    The weights are larger than at initialization, so that outputs differ visibly between texts.
    """
    tokenizer = word_piece_tokenizer()
    config_class, values = CONFIGS[architecture]
    specials = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    config = config_class(vocab_size=len(tokenizer), max_position_embeddings=130, **specials, **values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = AutoModelForSequenceClassification.from_config(config)
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3 if "embeddings" in name else 0.2)
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_tiny_bert(folder: Path) -> None:
    """Write a tiny BERT."""
    make_tiny(folder, "bert")


def make_tiny_deberta(folder: Path) -> None:
    """Write a tiny DeBERTa-v2."""
    make_tiny(folder, "deberta-v2")
