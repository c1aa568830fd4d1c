"""The server under load, on this machine's loopback alone: what many clients at once get, and what is left after it.

    python benchmarks/serving.py [throughput] [clients] [soak] [generated] [--run RUN | --narrow] [--minutes 5]
                                 [--pause 0] [--requests 10000]

throughput: 64 clients that ask one text with 10 labels at a time, and one client, in turns; medians of 5 rounds.
clients:    256 clients at once, 4 requests each, of all kinds of work; statuses and seconds.
soak:       16 clients for `--minutes`; memory of the process after a tenth of the time and at the end; statuses.
generated:  requests that schemathesis makes from the server's own description, right and wrong; counts by status.

Without `--run` a 22M encoder with heads of random weights is served: the work is the same. `--narrow` serves two narrow
layers instead, where the server is of interest and not the model, as `generated` always does. In the soak each client
stays away for `--pause` seconds after an answer. Exits 1 when an answer was a 5xx, memory grew by 5 % or more, or 64
clients were no faster than one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

PARTS = ("throughput", "clients", "soak", "generated")
TEXT = "My card was charged twice for one payment at the shop near the station, number {}."
LABELS = "card payment, transfer, exchange rate, top-up, refund, lost card, limits, fees, identity, something else"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
HEADS = (
    ("nli", "classification", ("entailment", "neutral", "contradiction")),
    ("topics", "multilabel", ("food", "cars", "music", "art")),
    ("score", "regression", ()),
    ("choices", "multiple_choice", ()),
    ("words", "token_classification", ("O", "B-x", "I-x")),
)


def main() -> int:
    """Run the chosen parts; returns 1 when one of them found fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--narrow", action="store_true")
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    faults: list[str] = []
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as folder:
        for part in given.parts:
            run = given.run or made_run(Path(folder) / part, small=given.narrow or part == "generated")
            with served(run) as (process, address):
                faults += measure(part, address, process, given)
    for fault in faults:
        print(f"FAULT: {fault}")
    return int(bool(faults))


def measure(part: str, address: str, process: int, given: argparse.Namespace) -> list[str]:
    """Run one part; returns the faults that it found."""
    if part == "throughput":
        return asyncio.run(throughput(address))
    if part == "clients":
        return asyncio.run(clients(address))
    if part == "soak":
        return asyncio.run(soak(address, process, seconds=60 * given.minutes, pause=given.pause))
    return generated(address, requests=given.requests, seed=given.seed)


def made_run(folder: Path, *, small: bool) -> Path:
    """Write a model with a head of each kind on the 22M encoder, or on one of two narrow layers."""
    from taskloom.modeling.encoder import Encoder, resolve_encoder
    from taskloom.modeling.head_table import HeadTable
    from taskloom.modeling.model import Model

    encoder = resolve_encoder("minilm")
    if small:
        encoder = narrow_encoder(encoder, folder / "encoder")
    heads = [
        {"task": f"made/{name}@1", "id": f"made/{name}", "kind": kind, "labels": labels, "key": name,
         "low": 1.0 if kind == "regression" else None, "high": 5.0 if kind == "regression" else None}
        for name, kind, labels in HEADS
    ]  # fmt: skip
    model = Model(Encoder.open(encoder), HeadTable.make(heads))
    model.save(folder / "model", tokenizer_folder=encoder, max_length=128, encoder_name="minilm")
    return folder


def narrow_encoder(tokenizer: Path, folder: Path) -> Path:
    """Write a random BERT of two layers of width 64 with the tokenizer of another encoder; returns its folder."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    opened = AutoTokenizer.from_pretrained(str(tokenizer))
    config = BertConfig(vocab_size=len(opened), hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=128, max_position_embeddings=130)  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    opened.save_pretrained(folder)
    return folder


@contextmanager
def served(run: Path) -> Iterator[tuple[int, str]]:
    """Yield process id and address of a server; at the end it has to stop by itself."""
    words = [sys.executable, "-m", "taskloom", "serve", str(run), "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = None
        for line in server.stderr:
            if found := re.search(r"at (http://\S+)", line):
                break
        assert found, "the server did not begin"
        try:
            yield server.pid, found[1]
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 143
            assert "Traceback" not in server.stderr.read()


def works(address: str) -> list[tuple[str, Any]]:
    """Return a request of every kind that the model answers: (path, body)."""
    rows = {
        "multiple_choice": {"prompt": TEXT, "choices": ["It was refunded.", "It was not.", "Nobody knows."]},
        "token_classification": {"tokens": TEXT.split()},
    }
    found: dict[str, tuple[str, Any]] = {}
    for task in httpx2.get(f"{address}/tasks").json()["tasks"]:
        row = rows.get(task["kind"], {"text": TEXT})
        found[task["kind"]] = (f"/predict/{task['id']}", {"rows": [row] * 4})
    labels = LABELS.split(", ")
    several = {"texts": [TEXT] * 8, "labels": labels, "multi_label": True}
    return [("/classify", {"texts": TEXT, "labels": labels}), ("/classify", several), *found.values()]


class Clients:
    """A number of clients that ask at the same time; statuses and seconds of all answers."""

    def __init__(self, address: str, count: int) -> None:
        limits = httpx2.Limits(max_connections=count, max_keepalive_connections=count)
        self.http = httpx2.AsyncClient(base_url=address, limits=limits, timeout=300)
        self.count = count
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []

    async def ask(self, path: str, body: Any) -> None:
        """Send one request; told to come again later, do so."""
        while True:
            started = time.perf_counter()
            answer = await self.http.post(path, json=body)
            self.statuses[answer.status_code] += 1
            if answer.status_code != 429:
                self.seconds.append(time.perf_counter() - started)
                return
            await asyncio.sleep(int(answer.headers["Retry-After"]))

    async def share(self, asked: list[tuple[str, Any]], *, pause: float = 0.0) -> float:
        """Let the clients work through requests, each one at a time; returns requests a second."""
        waiting = iter(asked)

        async def client() -> None:
            for path, body in waiting:
                await self.ask(path, body)
                await asyncio.sleep(pause)

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(self.count)))
        return len(asked) / (time.perf_counter() - started)

    def faults(self, name: str) -> list[str]:
        """Return what is wrong with the statuses."""
        wrong = {status: count for status, count in self.statuses.items() if status not in (200, 429)}
        return [f"{name}: statuses {wrong}"] if wrong else []

    def told(self) -> str:
        """Return statuses and seconds in words."""
        parts = statistics.quantiles(self.seconds, n=100)
        statuses = ", ".join(f"{count:,} times {status}" for status, count in sorted(self.statuses.items()))
        return f"{statuses}; median {parts[49]:.2f} s, 99 % within {parts[98]:.2f} s, longest {max(self.seconds):.2f} s"


async def throughput(address: str, *, rounds: int = 5, many: int = 64) -> list[str]:
    """Compare one client with many, interleaved, on texts that are never the same."""
    one, together = Clients(address, 1), Clients(address, many)
    number = iter(range(1_000_000))

    def asked(count: int) -> list[tuple[str, Any]]:
        labels = LABELS.split(", ")
        return [("/classify", {"texts": TEXT.format(next(number)), "labels": labels}) for _ in range(count)]

    await one.share(asked(10))
    rates: list[tuple[float, float]] = []
    for _ in range(rounds):
        rates.append((await one.share(asked(20)), await together.share(asked(2 * many))))
    alone, shared = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(other / first for first, other in rates)
    print(f"throughput, a text x 10 labels a request: one client {alone:.1f} requests/s, {many} clients {shared:.1f}: "
          f"{ratio:.2f} times (rounds {', '.join(f'{other / first:.2f}' for first, other in rates)})")  # fmt: skip
    slow = [] if ratio > 1 else [f"throughput: {many} clients are no faster than one ({ratio:.2f})"]
    return [*slow, *one.faults("throughput"), *together.faults("throughput")]


async def clients(address: str, *, count: int = 256, each: int = 4) -> list[str]:
    """Ask with many clients at once, all kinds of work mixed."""
    kinds = works(address)
    many = Clients(address, count)
    rate = await many.share([kinds[at % len(kinds)] for at in range(count * each)])
    print(
        f"clients: {count} at once, {count * each:,} requests of {len(kinds)} kinds, {rate:.1f} a second; {many.told()}"
    )
    return many.faults("clients")


async def soak(address: str, process: int, *, seconds: float, pause: float) -> list[str]:
    """Ask for minutes and compare the memory of the process, warm, with that at the end."""
    kinds = works(address)
    some = Clients(address, 16)
    end = time.monotonic() + seconds
    memory: list[float] = []
    while time.monotonic() < end:
        await some.share(kinds * 8, pause=pause)
        memory.append(resident(process))
    warm = memory[len(memory) // 10]
    growth = memory[-1] / warm - 1
    print(f"soak: {seconds / 60:.1f} minutes, {some.told()}; memory {memory[0]:.0f} MB at first, {warm:.0f} MB warm, "
          f"{memory[-1]:.0f} MB at the end: {100 * growth:+.1f} %")  # fmt: skip
    grown = [f"soak: memory grew by {100 * growth:.1f} %"] if growth >= 0.05 else []
    return [*grown, *some.faults("soak")]


def resident(process: int) -> float:
    """Return the resident memory of a process in MB (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def generated(address: str, *, requests: int, seed: int) -> list[str]:
    """Send what schemathesis makes of the description, until so many requests were sent; count answers by status."""
    described = httpx2.get(f"{address}/openapi.json").json()
    tasks = [task["id"] for task in httpx2.get(f"{address}/tasks").json()["tasks"]]
    parameter = described["paths"]["/predict/{task}"]["post"]["parameters"][0]
    parameter["schema"] = {"anyOf": [{"enum": tasks}, {"type": "string", "minLength": 1}]}
    faults: list[str] = []
    rounds = 0
    while (sent := sum(answered(address).values())) < requests and not faults:
        rounds += 1
        faults = sent_round(described, address, seed=seed + rounds, examples=max(20, min(1000, (requests - sent) // 3)))
    counts = answered(address)
    told = ", ".join(f"{count:,} times {status}" for status, count in sorted(counts.items()))
    print(f"generated: {sum(counts.values()):,} requests in {rounds} rounds: {told}")
    failed = {status: count for status, count in counts.items() if status >= "500"}
    return [*faults, *([f"generated: {failed}"] if failed else [])]


def sent_round(described: Any, address: str, *, seed: int, examples: int) -> list[str]:
    """Let schemathesis send one round of requests; returns what it found, if anything."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "openapi.json"
        file.write_text(json.dumps(described), encoding="utf-8")
        words = [
            *(Path(sys.executable).parent / "schemathesis", "run", file, "--url", address),
            *("--phases", "examples,coverage,fuzzing", "--seed", str(seed), "--max-examples", str(examples)),
            *("--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off", "--checks", CHECKS),
            *("--request-timeout", "300"),
        ]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return [f"generated, seed {seed}: {done.stdout[-3000:]}{done.stderr[-1000:]}"] if done.returncode else []


def answered(address: str) -> Counter[str]:
    """Return how many requests the server answered with each status, by its own count, but for /metrics itself."""
    counts: Counter[str] = Counter()
    for line in httpx2.get(f"{address}/metrics").text.splitlines():
        found = re.match(r'taskloom_requests_total\{path="([^"]*)",status="(\d+)"\} (\S+)', line)
        if found and found[1] != "/metrics":
            counts[found[2]] += int(float(found[3]))
    return counts


if __name__ == "__main__":
    sys.exit(main())
