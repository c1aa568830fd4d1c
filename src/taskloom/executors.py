"""The same work on many things, side by side: in this process, in processes of this machine, or on a Ray cluster.

Each piece of work is whole in itself and leaves its result on disk, so nothing is lost when a run is killed: started
again it does what is missing. Processes are started anew, never forked, since threads of torch, Arrow and tokenizers do
not survive a fork; they are joblib's, which needs no guard in the script that calls. Ray is the extra `ray`: it reaches
the cluster that RAY_ADDRESS names, or starts one of this machine alone.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from taskloom.errors import ConfigError, TrainingFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH_IT = 8
"""Pieces of work for each process before one is started: opening a tokenizer takes as long as preparing a few tasks."""


def worker_count(setting: int, pieces: int, *, cores: int) -> int:
    """Return how many processes to use; a setting of 0 takes a core each, as far as that is worth it."""
    return min(setting, pieces) if setting else max(1, min(cores, pieces // WORTH_IT))


def each_done(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int, executor: str = "processes"
) -> Iterator[tuple[int, Result]]:
    """Yield (place in `items`, result) in the order in which the pieces are done.

    `workers` 0 chooses; `executor` is "processes" or "ray". Raises ConfigError when Ray is asked for and not installed,
    and TrainingFailed when the system ended a process, which is nearly always memory.
    """
    if executor == "ray":
        return _with_ray(work, items)
    count = worker_count(workers, len(items), cores=workers or cores())
    return _with_processes(work, items, count) if count > 1 else enumerate(map(work, items))


def cores() -> int:
    """Return how many cores this process may use: a container's limit is below what the machine has."""
    from joblib import cpu_count

    return int(cpu_count())


def _placed(work: Callable[[Item], Result], place: int, item: Item, threads: int) -> tuple[int, Result]:
    """Do one piece in another process; its tokenizer takes `threads`, so that processes do not wait for each other."""
    os.environ.setdefault("RAYON_NUM_THREADS", str(threads))
    return place, work(item)


def _with_processes(work: Callable[[Item], Result], items: Sequence[Item], count: int) -> Iterator[tuple[int, Result]]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    threads = max(1, cores() // count)
    calls = (delayed(_placed)(work, place, item, threads) for place, item in enumerate(items))
    with parallel_config(backend="loky", inner_max_num_threads=threads):
        running = Parallel(n_jobs=count, return_as="generator_unordered", batch_size=1, pre_dispatch=2 * count)
        try:
            yield from running(calls)
        except TerminatedWorkerError as error:
            raise TrainingFailed(
                f"The system ended one of {count} processes, most likely for want of memory. What is done is kept: "
                "type the same command again with data.workers=1."
            ) from error


def _with_ray(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[int, Result]]:
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("data.executor = \"ray\" needs Ray. Type: pip install 'taskloom[ray]', or leave the key out.")
    import ray
    from ray.exceptions import RayError, RayTaskError

    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    remote: Any = ray.remote(_placed)
    waiting = [remote.remote(work, place, item, 1) for place, item in enumerate(items)]
    try:
        while waiting:
            (done,), waiting = ray.wait(waiting)
            yield ray.get(done)
    except RayTaskError:
        raise  # what the work itself raised
    except RayError as error:
        raise TrainingFailed(
            f"Ray lost a worker or its machine, most likely for want of memory ({error}). What is done is kept: type "
            "the same command again, with fewer workers on each machine."
        ) from error
    finally:
        for left in waiting:
            ray.cancel(left)
