"""The same work in this process, in others, and on Ray."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from taskloom.config import make_config
from taskloom.errors import ConfigError, DataError, TrainingFailed, UserError
from taskloom.executors import each_done, worker_count
from taskloom.workflows.preparing import Preparation, prepare


def squared(number: int) -> tuple[int, int]:
    """Return the square, and the process that made it."""
    return number * number, os.getpid()


def refused(number: int) -> int:
    """Refuse odd numbers."""
    if number % 2:
        raise DataError(f"{number} is odd.")
    return number


def gone(_number: int) -> None:
    """End the process as the system does when memory runs out."""
    os.kill(os.getpid(), 9)


def test_results_come_with_their_place() -> None:
    """Every piece is done once, in this process with one worker and in others with two."""
    for workers in (1, 2):
        done = dict(each_done(squared, range(6), workers=workers))
        assert {place: square for place, (square, _) in done.items()} == {n: n * n for n in range(6)}
        assert (os.getpid() in {process for _, process in done.values()}) == (workers == 1)


def test_errors_reach_the_caller() -> None:
    """An error in another process is the one that was raised there; one that is killed is told with what to type."""
    with pytest.raises(DataError, match="1 is odd"):
        list(each_done(refused, range(2), workers=2))
    with pytest.raises(TrainingFailed, match=r"data\.workers=1"):
        list(each_done(gone, range(2), workers=2))


def test_processes_are_used_where_they_are_worth_it() -> None:
    """A core each by default, but none for a handful of tasks; what is asked for is done."""
    assert [worker_count(0, pieces, cores=4) for pieces in (1, 7, 15, 16, 24, 400)] == [1, 1, 1, 2, 3, 4]
    assert worker_count(3, 2, cores=1) == 2
    assert worker_count(3, 400, cores=1) == 3


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """Processes do not run the caller's script again, as multiprocessing's own would."""
    script = tmp_path / "script.py"
    script.write_text(
        "import math\nfrom taskloom.executors import each_done\nprint('once')\n"
        "print(sorted(each_done(math.factorial, range(4), workers=2)))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "once\n[(0, 1), (1, 1), (2, 2), (3, 6)]\n"


def prepared(folder: Path, encoder: Path, **data: object) -> Preparation:
    """Prepare three small tasks, of which one has no file."""
    entries = []
    for name in ("a", "b", "missing"):
        if name != "missing":
            (folder / f"{name}.csv").write_text("text,label\n" + f"{name} cat,yes\n{name} dog,no\n" * 20)
        entries.append({"id": f"own/{name}", "files": {"train": str(folder / f"{name}.csv")}, "kind": "classification",
                        "text": "text", "label": "label"})  # fmt: skip
    values = {"tasks": [], "max_length": 16, "drop_overlap": False, **data}
    return prepare(make_config({"encoder": str(encoder), "data": values, "task": entries}))


def same(folder: Path, encoder: Path, **other: object) -> None:
    """Check that preparing gives the files, bytes and failures of preparing in this process."""
    one = prepared(folder, encoder, workers=1, cache=str(folder / "one"))
    several = prepared(folder, encoder, cache=str(folder / "several"), **other)
    assert [task.id for task in several.tasks] == [task.id for task in one.tasks] == ["own/a", "own/b"]
    assert several.failed == one.failed and several.failed[0].task == "own/missing"
    for mine, theirs in zip(one.stores, several.stores, strict=True):
        assert mine.folder != theirs.folder and mine.fingerprint == theirs.fingerprint
        files = [path.relative_to(mine.folder) for path in mine.folder.rglob("*") if path.is_file()]
        assert len(files) > 5
        assert all((mine.folder / name).read_bytes() == (theirs.folder / name).read_bytes() for name in files)


def test_two_processes_prepare_what_one_prepares(tmp_path: Path, tiny_bert: Path) -> None:
    """Stores are equal byte by byte, and a task that fails is reported alike."""
    same(tmp_path, tiny_bert, workers=2)


def test_a_mistake_stops_where_that_is_asked_for(tmp_path: Path, tiny_bert: Path) -> None:
    """With data.on_error=stop the error of another process is raised as what it is."""
    with pytest.raises(UserError, match=r"missing\.csv"):
        prepared(tmp_path, tiny_bert, workers=2, on_error="stop", cache=str(tmp_path / "cache"))


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed")
def test_ray_prepares_what_one_process_prepares(tmp_path: Path, tiny_bert: Path) -> None:
    """On a Ray of this machine stores are equal byte by byte, and a task that fails is reported alike."""
    import ray

    try:
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
        same(tmp_path, tiny_bert, executor="ray")
        with pytest.raises(ValueError, match="not defined for negative values"):
            list(each_done(math.factorial, [3, -1], workers=0, executor="ray"))
    finally:
        ray.shutdown()


def test_a_ray_worker_that_died_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with processes of this machine: one message. What the work itself raised stays what it is."""

    class RayError(Exception):
        """What all of Ray's errors are."""

    class RayTaskError(RayError):
        """What the work raised."""

    class Refused(RayTaskError, DataError):
        """Ray raises a class that is both."""

    raised: list[Exception] = [RayError("Worker crashed: SIGKILL"), Refused("1 is odd.")]
    cancelled: list[int] = []

    def get(_: int) -> None:
        raise raised.pop(0)

    ray: Any = SimpleNamespace(
        is_initialized=lambda: True, remote=lambda work: SimpleNamespace(remote=lambda _, place, *__: place),
        wait=lambda waiting: (waiting[:1], waiting[1:]), get=get, cancel=cancelled.append,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "ray", ray)
    errors: Any = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    monkeypatch.setitem(sys.modules, "ray.exceptions", errors)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    with pytest.raises(TrainingFailed, match=r"Worker crashed: SIGKILL.*What is done is kept"):
        list(each_done(squared, range(2), workers=0, executor="ray"))
    with pytest.raises(DataError, match="1 is odd"):
        list(each_done(squared, range(2), workers=0, executor="ray"))
    assert cancelled == [1, 1]


def test_ray_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the message says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'taskloom\[ray\]'"):
        list(each_done(partial(squared), [1], workers=0, executor="ray"))
