"""DeBERTa-v3 beside transformers' own: time by length, on the lengths of real NLI rows, memory, compiling, optimizer.

python benchmarks/deberta.py [--layers 2] [--lengths 16 32 64 128 256 512] [--repeats 5]
TASKLOOM_MIRROR=DIR python benchmarks/deberta.py --mix [--every 3] [--precisions bf16]   # real NLI lengths, 12 layers
python benchmarks/deberta.py --memory                              # peak memory at length 512, batch 8
python benchmarks/deberta.py --compile                             # ours with and without torch.compile
python benchmarks/deberta.py --optimizer                           # a step over 128,100 x 768 word embeddings

Random weights of base width (768, 12 heads, 256 buckets, shared keys, as deberta-v3-base has them), 2,048 tokens a
batch without padding. Both sides run the same weights in this process by turns; a repeat is one call of each. Training
is forward and backward with dropout 0.1, ours with its own dropout (taskloom.modeling.dropout), transformers' with
torch's; `--apart` adds transformers' attention with our dropout, so that the part of the attention alone can be seen.
The mix reads pooled features, as NLI does, so that our last layer computes first tokens alone.
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

from taskloom.config import TrainingConfig
from taskloom.modeling.deberta import use_fast_attention
from taskloom.modeling.devices import set_threads
from taskloom.modeling.dropout import replace_dropout
from taskloom.modeling.encoder import compile_layers
from taskloom.modeling.packing import wanted
from taskloom.modeling.rows import gather_rows
from taskloom.training.optimizer import Optimizer

TOKENS = 2048
VOCABULARY = 1000
CLOCK = time.process_time if os.environ.get("OMP_NUM_THREADS") == "1" else time.perf_counter
"""With one thread the time of the processor, which other programs on the machine move less."""


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


def sides(layers: int, *, apart: bool = False) -> dict[str, nn.Module]:
    """Return transformers' network and ours; with `apart` also transformers' with our dropout."""
    reference = network(layers)
    dropout = copy.deepcopy(reference)
    replace_dropout(dropout)
    ours = copy.deepcopy(dropout)
    use_fast_attention(ours)
    return {"transformers": reference, **({"dropout": dropout} if apart else {}), "ours": ours}


def call(
    model: nn.Module, batches: list[tuple[Tensor, Tensor | None]], *, train: bool, bf16: bool, first: bool = False
) -> None:
    """Run batches of (ids, mask) through a network, in training with gradients; `first`: first tokens are read."""
    model.train(train)
    for ids, mask in batches:
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=bf16),
            torch.set_grad_enabled(train),
            wanted("first" if first else "last"),
        ):
            hidden = model(ids, attention_mask=mask).last_hidden_state
        if train:
            (hidden[:, 0] if first else hidden).float().square().mean().backward()
    model.zero_grad(set_to_none=True)


def timed(run: Callable[[], None]) -> float:
    start = CLOCK()
    run()
    return CLOCK() - start


def compared(
    models: dict[str, nn.Module],
    batches: list[tuple[Tensor, Tensor | None]],
    *,
    train: bool,
    bf16: bool,
    repeats: int,
    first: bool = False,
) -> dict[str, list[float]]:
    """Return the seconds of each side, called by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for number in range(repeats + 1):
        for name, model in models.items():
            found = timed(lambda model=model: call(model, batches, train=train, bf16=bf16, first=first))
            if number:  # the first call makes kernels and tables
                seconds[name].append(found)
    return seconds


def told(title: str, seconds: dict[str, list[float]], base: str = "transformers") -> None:
    """Print medians, and the median of the ratios of neighboring calls, which a busy machine moves less."""
    ratios = [one / other for one, other in zip(seconds[base], seconds["ours"], strict=True)]
    times = ", ".join(f"{name} {statistics.median(found) * 1000:.0f} ms" for name, found in seconds.items())
    medians = statistics.median(seconds[base]) / statistics.median(seconds["ours"])
    print(f"{title}: {times}: {medians:.2f} times, by turns {statistics.median(ratios):.2f}", flush=True)


def precisions(options: argparse.Namespace) -> list[bool]:
    return [name == "bf16" for name in options.precisions]


def by_length(options: argparse.Namespace) -> None:
    models = sides(options.layers, apart=options.apart)
    for train in (False, True):
        for bf16 in precisions(options):
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
    padding = 1 - lengths.sum() / sum(ids.numel() for ids, _ in batches)
    print(f"{len(lengths)} rows of {lengths.mean():.0f} tokens, {len(batches)} micro-batches, padding {padding:.1%}")
    batches = batches[options.every // 2 :: options.every]
    models = sides(options.layers, apart=options.apart)
    for train in (False, True):
        for bf16 in precisions(options):
            seconds = compared(models, batches, train=train, bf16=bf16, repeats=options.repeats, first=True)
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


def compiling(options: argparse.Namespace) -> None:
    """Compare our layers with themselves compiled, at lengths left open, and say how long compiling took."""
    plain = sides(options.layers)["ours"]
    compiled = copy.deepcopy(plain)
    compile_layers(compiled)
    for train in (False, True):
        for length in options.lengths:
            ids = torch.randint(1, VOCABULARY, (max(1, TOKENS // length), length))
            batches: list[tuple[Tensor, Tensor | None]] = [(ids, None)]
            start = CLOCK()
            call(compiled, batches, train=train, bf16=True)
            took = CLOCK() - start
            both = {"plain": plain, "ours": compiled}
            seconds = compared(both, batches, train=train, bf16=True, repeats=options.repeats)
            told(f"{'training' if train else 'inference'} bf16 {length}, compiled in {took:.0f} s", seconds, "plain")


def optimizer_step(options: argparse.Namespace) -> None:
    """Time clipping, step and clearing for word embeddings of the real size, a few rows in use, beside the encoder."""
    model, small = sides(12)["ours"], torch.randint(1, VOCABULARY, (8, 32))
    encoder = [timed(lambda: call(model, [(small, None)], train=True, bf16=True)) for _ in range(4)]
    print(f"forward and backward of the encoder, 8 x 32 tokens in bf16: {statistics.median(encoder) * 1000:.0f} ms")
    seconds: dict[str, list[float]] = {"dense": [], "lazy": []}
    made = {}
    for name in seconds:
        table = nn.Parameter(torch.randn(128_100, 768) * 0.02)
        sparse = ["words"] if name == "lazy" else []
        made[name] = (
            table,
            Optimizer(
                encoder={"words": table, "another": nn.Parameter(torch.zeros(1))},
                rows={},
                layer_of={},
                settings=TrainingConfig(),
                steps=1000,
                sparse=sparse,
            ),
        )
    for step in range(1, 4 + 3 * options.repeats):
        used = {"words": torch.randperm(128_100)[: 150 if step % 2 else 3000].sort().values}
        for name, (table, optimizer) in made.items():
            start = CLOCK()
            optimizer.begin(used)
            rows = gather_rows(table, used["words"])
            (rows * 0.01).square().sum().backward()
            optimizer.clip(1.0, used if name == "lazy" else None)
            optimizer.step(step, used)
            optimizer.zero_grad(used)
            if step > 3:
                seconds[name].append(CLOCK() - start)
    for rows, part in ((150, slice(1, None, 2)), (3000, slice(0, None, 2))):
        dense, lazy = (statistics.median(found[part]) * 1000 for found in seconds.values())
        print(f"{rows} rows in use: dense {dense:.1f} ms, lazy {lazy:.1f} ms: {dense / lazy:.1f} times")
    with made["lazy"][1].settled():
        pass
    print(f"all rows settled for an evaluation and put back: {timed(lambda: settle(made['lazy'][1])) * 1000:.0f} ms")


def settle(optimizer: Optimizer) -> None:
    with optimizer.settled():
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=0, help="2, with --mix 12")
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--every", type=int, default=1, help="with --mix: one in so many micro-batches")
    parser.add_argument("--apart", action="store_true")
    for name in ("mix", "memory", "compile", "optimizer"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--side", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.layers = options.layers or (12 if options.mix else 2)
    set_threads()
    if options.mix and not os.environ.get("TASKLOOM_MIRROR"):
        parser.error("Real rows are needed. Type: TASKLOOM_MIRROR=DIR python benchmarks/deberta.py --mix")
    chosen = [
        (options.memory, memory), (options.mix, mix), (options.compile, compiling), (options.optimizer, optimizer_step),
    ]  # fmt: skip
    next((run for asked, run in chosen if asked), by_length)(options)


if __name__ == "__main__":
    main()
