"""Preparing tasks: rows a second, bytes a row, memory; one process, several, and Ray, by turns.

TASKLOOM_MIRROR=DIR python benchmarks/preparing.py [RUN.toml] [--repeats 3] [--workers 1 2] [--ray] [--kill]

Each measurement is the whole command `taskloom prepare RUN.toml`, start-up included, into a new cache; "again" is the
same command when all is prepared. Memory is that of the largest process. --rows are sizes of one made task, whose
memory shows what grows with a task's rows. With --kill the command is killed with -9 at some moments, and started
again until it is done: what it leaves is compared, byte by byte, with what was prepared in one go.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEASURE = """
import json, resource, runpy, sys
sys.argv = ["taskloom", *sys.argv[1:]]
try:
    runpy.run_module("taskloom", run_name="__main__")
finally:
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps(peaks), file=sys.stderr)
"""


def prepare(run_file: Path, cache: Path, *options: str) -> tuple[float, float]:
    """Run the command; return its wall seconds and the memory of its largest process in GB."""
    command = [sys.executable, "-c", MEASURE, "prepare", str(run_file), f"data.cache={cache}", *options]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"taskloom prepare failed:\n{done.stderr[-2000:]}")
    return seconds, max(json.loads(done.stderr.strip().splitlines()[-1])) / 1e6


def sizes(cache: Path) -> tuple[int, int]:
    """Return how many rows and bytes a cache of prepared tasks holds."""
    tasks = [path for path in (cache / "tasks").iterdir() if (path / "manifest.json").exists()]
    rows = sum(max(0, (path.stat().st_size - 128) // 8) for task in tasks for path in task.rglob("rows.npy"))
    return rows, sum(path.stat().st_size for task in tasks for path in task.rglob("*") if path.is_file())


def content(cache: Path) -> str:
    """Return the sha256 of all prepared files."""
    files = sorted(path for path in (cache / "tasks").rglob("*") if path.is_file())
    parts = [f"{path.relative_to(cache)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def made(folder: Path, rows: int) -> Path:
    """Write a run file with one task of `rows` rows of about 60 words."""
    words = [f"w{number}" for number in range(5000)]
    generator = random.Random(rows)
    with (folder / f"{rows}.csv").open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        for row in range(rows):
            file.write(f"{row} {' '.join(generator.choices(words, k=60))},{'yes' if row % 2 else 'no'}\n")
    path = folder / f"{rows}.toml"
    path.write_text(
        'encoder = "minilm"\n[data]\ntasks = []\nmax_rows = 1000000000\n[[task]]\nid = "own/made"\n'
        f'files = {{ train = "{rows}.csv" }}\nkind = "classification"\ntext = "text"\nlabel = "label"\n',
        encoding="utf-8",
    )
    return path


def killed(run_file: Path, cache: Path, *options: str) -> int:
    """Kill the command at growing moments until it ends by itself; returns how often it was killed."""
    command = [sys.executable, "-m", "taskloom", "prepare", str(run_file), f"data.cache={cache}", *options]
    for kills in range(100):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(timeout=4 + 1.5 * kills)
            return kills
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
    raise SystemExit("It never ended.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_file", nargs="?", type=Path, default=Path("configs/slice.toml"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, nargs="*", default=[50_000, 400_000])
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--kill", action="store_true")
    given = parser.parse_args()
    ways = {f"{count} process{'es' if count > 1 else ''}": f"data.workers={count}" for count in given.workers}
    ways |= {"Ray": "data.executor=ray"} if given.ray else {}
    options = ["data.drop_overlap=false"]
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = ""
        for repeat in range(given.repeats):
            for way, option in ways.items():
                cache = folder / f"{repeat}-{way}"
                seconds, memory = prepare(given.run_file, cache, option, *options)
                again, _ = prepare(given.run_file, cache, option, *options)
                rows, size = sizes(cache)
                whole = whole or content(cache)
                assert content(cache) == whole, "not the same bytes"
                times.setdefault(way, []).append(seconds)
                print(f"{way}: {rows:,} rows in {seconds:.1f} s = {rows / seconds:,.0f} rows/s, "
                      f"{size / rows:.0f} bytes a row, {memory:.2f} GB; again {again:.1f} s", flush=True)  # fmt: skip
        for way, seconds_of_all in times.items():
            print(f"median {way}: {statistics.median(seconds_of_all):.1f} s")
        if given.kill:
            for way, option in ways.items():
                kills = killed(given.run_file, folder / f"killed {way}", option, *options)
                same = content(folder / f"killed {way}") == whole
                print(f"{way}: killed {kills} times, then whole; the same bytes: {same}", flush=True)
        for rows in given.rows:
            seconds, memory = prepare(made(folder, rows), folder / f"made-{rows}", *options)
            found, size = sizes(folder / f"made-{rows}")
            print(f"one task of {rows:,} rows: {seconds:.1f} s = {found / seconds:,.0f} rows/s, "
                  f"{size / found:.0f} bytes a row, {memory:.2f} GB", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
