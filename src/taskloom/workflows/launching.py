"""`taskloom train --processes N`: several processes of one training on this machine, started and stopped together.

Without a GPU that is the faster way: two processes with a thread each took 1.04 s for a step of the 22M encoder that
one with two threads took 1.5 s for, since threads wait for each other after every product, processes once a step. Ranks
find each other as under torchrun, whose environment they are given; what torchrun does for several machines is left
out. Process 0 speaks; what the others say is kept and shown when process 0 has nothing to say.

The price: each process holds the model and the optimizer's state, and opens the data (about 1 GB for 22M parameters).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from taskloom.errors import ConfigError
from taskloom.executors import cores

LAUNCHED = "TASKLOOM_LAUNCHED"
"""Set for the processes that `launch` starts: they end with the one that started them."""
POLL, GRACE = 0.1, 20.0
"""Seconds between two looks at the processes, and for the others to end after one has failed."""
ENDED = 128 + signal.SIGKILL
TOLD = 4000
"""Characters of what a silent process said that are shown when it failed."""


def processes_for(asked: int, device: str = "auto") -> int:
    """Return how many processes `--processes` means: 0 is one for each GPU, else for each core that may be used.

    `device` is the run's setting. Raises ConfigError where torchrun or another launcher has said it already, and for
    more processes than GPUs where these are to be used: two cannot share one.
    """
    if asked != 1 and "WORLD_SIZE" in os.environ and LAUNCHED not in os.environ:
        raise ConfigError(
            f"--processes {asked} was given, and WORLD_SIZE={os.environ['WORLD_SIZE']} says that a launcher such as "
            "torchrun started this process. Give --nproc-per-node to torchrun, or start taskloom without it."
        )
    if asked < 0:
        raise ConfigError(f"--processes {asked} is below 0. Give a number of processes, or 0 for one for each core.")
    if asked == 1:
        return 1
    import torch

    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    if asked > gpus > 0:
        raise ConfigError(
            f"--processes {asked} was given, and this machine has {gpus} GPU{'s' if gpus > 1 else ''}: a process takes "
            f"one for itself. Give --processes {gpus} or fewer, or type training.device=cpu."
        )
    return asked or gpus or cores()


def launch(arguments: Sequence[str], count: int) -> int:
    """Run `python ARGUMENTS` as `count` processes and return the exit code: that of process 0, unless another failed
    first. SIGINT and SIGTERM are passed on to all of them."""
    with tempfile.TemporaryFile() as told, _passing_signals() as children:
        port = _free_port()
        for rank in range(count):
            children.append(_start(arguments, rank, count, port, told))
        failed = _wait(children)
        codes = [_code(child) for child in children]
        if failed and codes[0] in (0, ENDED):  # process 0 has nothing to say, or had to be ended while it waited
            told.seek(0)
            print(told.read().decode(errors="replace")[-TOLD:], file=sys.stderr)
            return codes[failed]
        return codes[0]


def follow_launcher() -> None:
    """End as after SIGTERM, saved, when the process that started this one is gone, even if it was killed.

    It holds the other end of standard input and never writes to it.
    """
    if LAUNCHED not in os.environ:
        return

    def watch() -> None:
        while os.read(0, 1024):  # not sys.stdin, whose lock would still be held when the program ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="launcher").start()


def _start(arguments: Sequence[str], rank: int, count: int, port: int, told: IO[bytes]) -> subprocess.Popen[bytes]:
    given = {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port, LAUNCHED: 1,
    }  # fmt: skip
    environment = {"OMP_NUM_THREADS": str(max(1, cores() // count)), **os.environ}
    quiet: dict[str, Any] = {} if rank == 0 else {"stdout": subprocess.DEVNULL, "stderr": told}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment | {name: str(value) for name, value in given.items()},
        stdin=subprocess.PIPE, start_new_session=True, **quiet,
    )  # fmt: skip


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until all have ended, and return which failed first; the others are then ended, too."""
    failed, since = None, 0.0
    while any(child.poll() is None for child in children):
        time.sleep(POLL)
        bad = [rank for rank, child in enumerate(children) if child.poll()]
        if bad and failed is None:
            failed, since = bad[0], time.monotonic()
        if failed is not None and time.monotonic() - since > GRACE:
            for child in children:
                child.kill()
    bad = [rank for rank, child in enumerate(children) if child.returncode]
    return failed if failed is not None else next(iter(bad), None)


def _code(child: subprocess.Popen[bytes]) -> int:
    code = child.returncode
    return 128 - code if code < 0 else code


@contextmanager
def _passing_signals() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yield a list of processes to which SIGINT and SIGTERM are passed on while inside; what is left at the end is
    killed."""
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: object) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield children
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
            if child.stdin is not None:
                child.stdin.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
