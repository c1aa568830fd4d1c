"""How long the report of a run takes and how large it is, by number of tasks, on made run folders.

python benchmarks/report.py [--tasks 5,85,420] [--repeats 3]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from made_run import made_run
from taskloom.reporting.material import gather
from taskloom.reporting.page import page


def measure(tasks: int, repeats: int) -> str:
    """Return a line: median seconds of reading and of drawing, megabytes, pictures."""
    reading, drawing, text = [], [], ""
    with tempfile.TemporaryDirectory() as folder:
        report, trained = made_run(Path(folder) / "run", tasks)
        for _ in range(repeats):
            started = time.perf_counter()
            material = gather(Path(folder) / "run", report, trained)
            middle = time.perf_counter()
            text = page(material)
            reading.append(middle - started)
            drawing.append(time.perf_counter() - middle)
    medians = f"{statistics.median(reading):6.2f} s  {statistics.median(drawing):6.2f} s"
    return f"{tasks:5}  {medians}  {len(text.encode()) / 1e6:6.2f} MB  {text.count('<svg'):6} pictures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="5,85,420", help="numbers of tasks")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print("tasks  reading   drawing      size")
    for tasks in map(int, given.tasks.split(",")):
        print(measure(tasks, given.repeats), flush=True)


if __name__ == "__main__":
    main()
