"""Start-up: `import taskloom` and `taskloom tasks`, whole processes, and the slowest imports. Goal: below 0.5 s.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import taskloom": ["-c", "import taskloom"],
    "taskloom --help": ["-m", "taskloom", "--help"],
    "taskloom tasks": ["-m", "taskloom", "tasks"],
}
RUNS = 7


def seconds(arguments: list[str]) -> float:
    """Return the wall time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def slowest(arguments: list[str], count: int = 8) -> list[str]:
    """Return the modules whose import took longest by itself, from -X importtime."""
    output = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True
    )
    rows = [line.removeprefix("import time:").split("|") for line in output.stderr.splitlines() if "|" in line][1:]
    ranked = sorted(rows, key=lambda row: int(row[0]), reverse=True)[:count]
    return [f"{int(own) / 1000:6.1f} ms  {name.strip()}" for own, _, name in ranked]


def main() -> None:
    for title, arguments in COMMANDS.items():
        times = sorted(seconds(arguments) for _ in range(RUNS))
        print(f"{title:18} min {times[0]:.3f} s, median {statistics.median(times):.3f} s, max {times[-1]:.3f} s")
    print("slowest imports of `taskloom tasks`:")
    print("\n".join(slowest(COMMANDS["taskloom tasks"])))


if __name__ == "__main__":
    main()
