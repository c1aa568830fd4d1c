"""A run that is killed at any moment ends as the unbroken one does: kill -9, SIGTERM, damaged files, no space.

python benchmarks/kills.py [--kills 40] [--seed 0]

A run of 200 steps on built-in tasks with a small random encoder (two layers of width 64, dropout on), a checkpoint
every 4 steps. Each of the kills starts it anew in its own folder, kills it at a random moment, or, every second time,
as soon as a temporary checkpoint folder is there, that is while it is being saved; then the same command runs to the
end. The sha256 of the last checkpoint's weights and optimizer must be those of the run that was left alone. After that:
SIGTERM at six moments, a flipped byte in each file of a checkpoint, and files that may not grow to a checkpoint's size.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = 200
RUN = """
encoder = "{encoder}"
[data]
tasks = ["builtin/label_nli", "builtin/topic_mentions", "builtin/span_tags", "builtin/edit_similarity"]
max_rows = 200
max_length = 48
drop_overlap = false
[training]
steps = {steps}
batch_size = 8
learning_rate = 1e-3
precision = "fp32"
evaluate_every = 70
save_every = 4
[evaluation]
max_rows = 20
"""


def make_encoder(folder: Path) -> None:
    """Write a small random BERT with the tokenizer of the 22M encoder."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from taskloom.modeling.encoder import resolve_encoder

    tokenizer = AutoTokenizer.from_pretrained(str(resolve_encoder("minilm")))
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=128, max_position_embeddings=64)  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def start(folder: Path, name: str, *, limit: int | None = None) -> subprocess.Popen[str]:
    """Start the run `name`; with `limit` no file may grow beyond so many bytes, as on a full disk."""

    command = [sys.executable, "-m", "taskloom", "train", str(folder / "run.toml"), f"name={name}"]
    if limit:
        command = ["sh", "-c", f"ulimit -f {limit // 512}; trap '' XFSZ; exec \"$@\"", "sh", *command]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(folder: Path, name: str) -> str:
    """Run to the end and return what was told."""
    process = start(folder, name)
    told = process.communicate()[1]
    if process.returncode:
        raise SystemExit(f"{name} failed:\n{told}")
    return told


def digest(folder: Path, name: str) -> str:
    """Return the sha256 of weights and optimizer state after the last step."""
    last = folder / "runs" / name / "checkpoints" / f"step-{STEPS:06d}"
    files = [last / "weights.safetensors", last / "optimizer.safetensors"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def wait_for_step(process: subprocess.Popen[str], log: Path, step: int) -> None:
    """Wait until a run has logged this many steps."""
    while process.poll() is None and not (log.exists() and log.read_text(encoding="utf-8").count('"loss"') >= step):
        time.sleep(0.003)


def wait_for_save(process: subprocess.Popen[str], checkpoints: Path) -> None:
    """Wait until a checkpoint is being written."""
    while process.poll() is None and not any(checkpoints.glob(".tmp-*/*")):
        time.sleep(0.0002)


def killed(folder: Path, number: int, dice: random.Random, expected: str) -> tuple[bool, str]:
    """Kill a run once and finish it; returns whether it ended like the unbroken one, and where it was killed."""
    name = f"kill-{number}"
    run = folder / "runs" / name
    process = start(folder, name)
    wait_for_step(process, run / "log.jsonl", dice.randrange(0, STEPS - 8))
    where = "at random"
    if number % 2:
        wait_for_save(process, run / "checkpoints")
        where = "while saving"
    else:
        time.sleep(dice.random() * 0.05)
    process.kill()
    process.communicate()
    left = [path.name for path in (run / "checkpoints").glob(".tmp-*")]
    finish(folder, name)
    same = digest(folder, name) == expected
    shutil.rmtree(run)
    return same, f"{where}{', half a checkpoint left' if left else ''}"


def terminated(folder: Path, expected: str) -> None:
    """Send SIGTERM at six moments; each must exit with 143 and a valid checkpoint, and end like the unbroken run."""
    for number, step in enumerate((0, 1, 3, 69, 150, 198)):
        name = f"term-{number}"
        process = start(folder, name)
        wait_for_step(process, folder / "runs" / name / "log.jsonl", step)
        asked = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        process.communicate()
        seconds = time.perf_counter() - asked
        saved = sorted(path.name for path in (folder / "runs" / name / "checkpoints").glob("step-*"))
        finish(folder, name)
        same = digest(folder, name) == expected
        print(f"SIGTERM after step {step}: exit {process.returncode} in {seconds:.2f} s, "
              f"last checkpoint {saved[-1] if saved else 'none'}, same end: {same}")  # fmt: skip


def flipped(folder: Path, expected: str) -> None:
    """Flip one byte in each file of the newest checkpoint; it must be found, told, and the one before used."""
    names = ("weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json")
    for number, file in enumerate(names):
        name = f"flip-{number}"
        process = start(folder, name)
        wait_for_step(process, folder / "runs" / name / "log.jsonl", 42)
        process.kill()
        process.communicate()
        newest = max((folder / "runs" / name / "checkpoints").glob("step-*"))
        content = bytearray((newest / file).read_bytes())
        content[len(content) // 2] ^= 0x10
        (newest / file).write_bytes(content)
        told = finish(folder, name)
        found = next((line for line in told.splitlines() if "Going back" in line), "NOT FOUND")
        print(f"byte flipped in {file}: same end: {digest(folder, name) == expected}; told: {found[-110:]}")


def full(folder: Path, expected: str) -> None:
    """Run out of room while saving; the checkpoint before must stay whole, and the run go on when there is room."""
    name = "full"
    process = start(folder, name)
    wait_for_step(process, folder / "runs" / name / "log.jsonl", 30)
    process.kill()
    process.communicate()
    before = max((folder / "runs" / name / "checkpoints").glob("step-*"))
    process = start(folder, name, limit=100_000)
    told = process.communicate()[1]
    after = max((folder / "runs" / name / "checkpoints").glob("step-*"))
    finish(folder, name)
    print(f"no room: exit {process.returncode}, {before.name} kept: {after == before}, "
          f"same end: {digest(folder, name) == expected}; told: {told.strip().splitlines()[-1][-200:]}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dice = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"TASKLOOM_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        make_encoder(folder / "encoder")
        (folder / "run.toml").write_text(RUN.format(encoder=folder / "encoder", steps=STEPS), encoding="utf-8")
        finish(folder, "whole")
        expected = digest(folder, "whole")
        results = []
        for number in range(given.kills):
            same, where = killed(folder, number, dice, expected)
            results.append(same)
            print(f"kill {number + 1} {where}: {'same end' if same else 'ANOTHER END'}", flush=True)
        print(f"{sum(results)} of {len(results)} killed runs end in the weights of the unbroken one")
        terminated(folder, expected)
        flipped(folder, expected)
        full(folder, expected)


if __name__ == "__main__":
    main()
