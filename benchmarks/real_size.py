"""The original's real size on this machine: a DeBERTa-v3-base of random weights, steps of 384, a kill, a resume.

TASKLOOM_MIRROR=DIR python benchmarks/real_size.py [RUN.toml]      default: configs/slice.toml, 85 tasks

184M parameters with the vocabulary of 128,100; the tokenizer is the 22M encoder's, so token ids stay below 30,522. The
run makes two steps of 384 examples with a checkpoint each, is killed with -9 after the second, and goes on with a third
one, after which it is stopped before its evaluation. Printed: seconds of each step by log.jsonl, the time to open the
model and to go on, the most memory of the process, and the bytes of a checkpoint.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def make_encoder(folder: Path) -> None:
    """Write a DeBERTa-v3-base with random weights."""
    import torch
    from transformers import AutoTokenizer, DebertaV2Config, DebertaV2ForSequenceClassification

    from taskloom.modeling.encoder import resolve_encoder

    tokenizer = AutoTokenizer.from_pretrained(str(resolve_encoder("minilm")))
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=128_100, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
        max_position_embeddings=512, relative_attention=True, position_buckets=256, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0,
        pooler_hidden_size=768, pooler_hidden_act="gelu", max_relative_positions=-1,
    )  # fmt: skip
    network = DebertaV2ForSequenceClassification(config)
    print(f"parameters: {sum(parameter.numel() for parameter in network.parameters()) / 1e6:.0f}M")
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def started(run_file: str, folder: Path) -> subprocess.Popen[str]:
    """Start the run."""
    options = [f"encoder={folder / 'encoder'}", f"output.folder={folder / 'runs'}", "name=real", "training.steps=3"]
    options += ["training.batch_size=384", "training.save_every=1", "training.learning_rate=2e-5"]
    command = [sys.executable, "-m", "taskloom", "train", run_file, *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)


def wait(process: subprocess.Popen[str], path: Path) -> tuple[float, int]:
    """Wait until a path is there; returns the seconds and the most memory that the process held, in bytes."""
    began, most = time.perf_counter(), 0
    while not path.exists():
        if process.poll() is not None:
            raise SystemExit("the run ended by itself")
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        most = max(most, *(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")))
        time.sleep(0.1)
    return time.perf_counter() - began, most


def main() -> None:
    if not os.environ.get("TASKLOOM_MIRROR"):
        print("Real rows are needed. Type: TASKLOOM_MIRROR=DIR python benchmarks/real_size.py")
        return
    run_file = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "configs" / "slice.toml")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_encoder(folder / "encoder")
        checkpoints = folder / "runs" / "real" / "checkpoints"
        process = started(run_file, folder)
        seconds, memory = wait(process, checkpoints / "step-000002")
        process.kill()
        process.wait()
        print(f"two steps, from the start of the process: {seconds:.0f} s, memory {memory / 1e9:.2f} GB")
        size = sum(file.stat().st_size for file in (checkpoints / "step-000002").iterdir())
        print(f"a checkpoint: {size / 1e9:.2f} GB")
        process = started(run_file, folder)
        seconds, memory = wait(process, checkpoints / "step-000003")
        process.kill()
        process.wait()
        print(f"going on with the third step, from the start: {seconds:.0f} s, memory {memory / 1e9:.2f} GB")
        lines = (folder / "runs" / "real" / "log.jsonl").read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
        print(f"steps logged: {[(entry['step'], round(entry['loss'], 4)) for entry in entries]}; "
              f"step 2 took {entries[1]['time'] - entries[0]['time']:.0f} s with the first save")  # fmt: skip
        plan = json.loads((folder / "runs" / "real" / "plan.json").read_text(encoding="utf-8"))
        print(f"tasks: {len(plan['tasks'])}")


if __name__ == "__main__":
    main()
