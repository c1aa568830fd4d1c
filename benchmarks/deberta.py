"""DeBERTa-v3 attention beside transformers': time by length, on the lengths of real NLI rows, and memory.

python benchmarks/deberta.py [--layers 4] [--lengths 16 32 64 128 256 512] [--repeats 5]
TASKLOOM_MIRROR=DIR python benchmarks/deberta.py --mix             # the length mix of real NLI tasks, end to end
python benchmarks/deberta.py --memory                              # peak memory at length 512, batch 8

Random weights of base width (768, 12 heads, 256 buckets, shared keys, as deberta-v3-base has them), 2,048 tokens a
batch without padding. Both sides run the same weights in this process by turns; a repeat is one call of each. Training
is forward and backward with dropout 0.1, ours with its own dropout (taskloom.modeling.dropout), transformers' with
torch's; `dropout` in the table is transformers' attention with our dropout, so that the part of the attention alone can
be seen.
"""

from __future__ import annotations

import argparse
import copy
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from transformers import DebertaV2Config, DebertaV2Model

from taskloom.modeling.deberta import use_fast_attention
from taskloom.modeling.dropout import replace_dropout
from taskloom.modeling.encoder import set_threads

TOKENS = 2048
VOCABULARY = 1000


def network(layers: int, seed: int = 0) -> nn.Module:
    """Return transformers' network with random weights."""
    torch.manual_seed(seed)
    config = DebertaV2Config(
        vocab_size=VOCABULARY, hidden_size=768, num_hidden_layers=layers, num_attention_heads=12,
        intermediate_size=3072, relative_attention=True, position_buckets=256, max_relative_positions=-1,
        max_position_embeddings=512, pos_att_type=["p2c", "c2p"], share_att_key=True, norm_rel_ebd="layer_norm",
        position_biased_input=False, type_vocab_size=0,
    )  # fmt: skip
    return DebertaV2Model(config)


def sides(layers: int) -> dict[str, nn.Module]:
    """Return transformers' network, the same with our dropout, and ours."""
    reference = network(layers)
    dropout = copy.deepcopy(reference)
    replace_dropout(dropout)
    ours = copy.deepcopy(dropout)
    use_fast_attention(ours)
    return {"transformers": reference, "dropout": dropout, "ours": ours}


def call(model: nn.Module, batches: list[tuple[Tensor, Tensor | None]], *, train: bool, bf16: bool) -> None:
    """Run batches of (ids, mask) through a network, in training with gradients."""
    model.train(train)
    for ids, mask in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16), torch.set_grad_enabled(train):
            hidden = model(ids, attention_mask=mask).last_hidden_state
        if train:
            hidden.float().square().mean().backward()
    model.zero_grad(set_to_none=True)


def timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compared(
    models: dict[str, nn.Module], batches: list[tuple[Tensor, Tensor | None]], *, train: bool, bf16: bool, repeats: int
) -> dict[str, float]:
    """Return the median seconds of each side, called by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for number in range(repeats + 1):
        for name, model in models.items():
            found = timed(lambda model=model: call(model, batches, train=train, bf16=bf16))
            if number:  # the first call makes kernels and tables
                seconds[name].append(found)
    return {name: statistics.median(found) for name, found in seconds.items()}


def told(title: str, found: dict[str, float]) -> None:
    ratio = found["transformers"] / found["ours"]
    part = found["dropout"] / found["ours"]
    print(f"{title}: transformers {found['transformers'] * 1000:.0f} ms, with our dropout "
          f"{found['dropout'] * 1000:.0f}, ours {found['ours'] * 1000:.0f}: {ratio:.2f} times, attention alone "
          f"{part:.2f}", flush=True)  # fmt: skip


def by_length(options: argparse.Namespace) -> None:
    models = sides(options.layers)
    for train in (False, True):
        for bf16 in (False, True):
            for length in options.lengths:
                ids = torch.randint(1, VOCABULARY, (max(1, TOKENS // length), length))
                found = compared(models, [(ids, None)], train=train, bf16=bf16, repeats=options.repeats)
                told(f"{'training' if train else 'inference'} {'bf16' if bf16 else 'fp32'} {length}", found)


def mix(options: argparse.Namespace) -> None:
    """Compare on micro-batches of the lengths that real NLI rows have, cut as training cuts them."""
    import numpy as np

    import taskloom
    from taskloom.data.batches import cut
    from taskloom.data.tokenizer import Tokenizer
    from taskloom.modeling.encoder import resolve_encoder

    tokenizer = Tokenizer.open(resolve_encoder("minilm"))
    found = []
    for task in ("glue/mnli", "snli", "glue/rte", "super_glue/cb", "conj_nli", "sick/label"):
        rows = taskloom.load(task)["train"].shuffle(seed=0).select(range(64 if task != "super_glue/cb" else 32))
        for text in (rows["text"], rows["pair"]):
            found.append(np.diff(tokenizer.segments(list(text))[1]))
    lengths = np.sort(np.concatenate([one + two + 3 for one, two in zip(found[::2], found[1::2], strict=True)]))
    lengths = np.minimum(lengths, 256)
    ends = [0, *cut(lengths, np.ones_like(lengths), budget=8192, at_least=4), len(lengths)]
    batches = []
    for start, end in pairwise(ends):
        size = lengths[start:end]
        mask = torch.from_numpy((np.arange(size.max())[None, :] < size[:, None]).astype(np.int64))
        batches.append((torch.randint(1, VOCABULARY, mask.shape), None if bool(mask.all()) else mask))
    print(f"{len(lengths)} rows of {lengths.mean():.0f} tokens, {len(batches)} micro-batches")
    models = sides(options.layers)
    for train in (False, True):
        for bf16 in (False, True):
            seconds = compared(models, batches, train=train, bf16=bf16, repeats=options.repeats)
            told(f"{'training' if train else 'inference'} {'bf16' if bf16 else 'fp32'} NLI mix", seconds)


def memory(options: argparse.Namespace) -> None:
    """Print the peak memory of one call of either side at length 512, batch 8, each in a process of its own."""
    if not options.side:
        for train in ("", "--train"):
            for side in ("transformers", "ours"):
                command = [sys.executable, __file__, "--memory", "--side", side, "--layers", str(options.layers)]
                done = subprocess.run([*command, *filter(None, [train])], capture_output=True, text=True, check=True)
                print("training" if train else "inference", side, done.stdout.strip(), flush=True)
        return
    model = sides(options.layers)[options.side]
    small = torch.randint(1, VOCABULARY, (1, 16))
    call(model, [(small, None)], train=options.train, bf16=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call(model, [(torch.randint(1, VOCABULARY, (8, 512)), None)], train=options.train, bf16=True)
    print(f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6:.2f} GB more than at length 16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--mix", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--side", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    set_threads()
    if options.memory:
        memory(options)
    elif options.mix and os.environ.get("TASKLOOM_MIRROR"):
        mix(options)
    elif options.mix:
        print("Real rows are needed. Type: TASKLOOM_MIRROR=DIR python benchmarks/deberta.py --mix")
    else:
        by_length(options)


if __name__ == "__main__":
    main()
