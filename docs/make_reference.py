"""Make docs/run-toml.md from the classes in taskloom.config; a test fails while the two differ.

python docs/make_reference.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from taskloom.config import BOUNDS, SECTIONS, RunConfig
from taskloom.toml import toml_value

TARGET = Path(__file__).with_name("run-toml.md")

HEAD = """# RUN.toml

<!-- Made by docs/make_reference.py from the docstrings in src/taskloom/config.py: change those, then `make docs`. -->

A run file says what is trained, on what, and how. Every key may be left out. A key that does not exist is refused, with
the nearest one that does. `config.toml` in a run's folder is the resolved and complete copy.

- **On the command line** `key=value` after the file changes one key: `taskloom train run.toml training.steps=200`. The
  value is read as TOML, else as plain text: `data.tasks=glue/*`, `mixture.weights.glue/rte=2.0`.
- **Paths** are relative to the folder of the run file, and with `key=value` to the current folder.
- **A run goes on** when the same command is typed again. How long it trains, how often it evaluates and saves, and
  where it runs may change in between; any other change is an error that names the key and both values.

A small one:

```toml
name = "first"
encoder = "minilm"

[data]
tasks = ["builtin/*"]
max_rows = 500

[training]
epochs = 2
learning_rate = 1e-4
batch_size = 32
```
"""


def reference() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for name, section in SECTIONS.items():
        title = f"## [{name}]" if name else "## Top level"
        about = "" if name == "" else f"\n{section.__doc__}\n"
        parts += [f"{title}\n{about}", "| key | default | allowed | meaning |", "|---|---|---|---|"]
        parts += [row(key, field) for key, field in section.model_fields.items() if key not in SECTIONS]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def row(key: str, field: FieldInfo) -> str:
    """Return one line of a table."""
    default = "" if key == "task" else f"`{toml_value(field.default)}`"
    if key == "name" and field.default == RunConfig().name:
        default = "the file's name"
    meaning = " ".join((field.description or "").split()).replace("|", "\\|")
    return f"| `{key}` | {default} | {allowed(field)} | {meaning} |"


def allowed(field: FieldInfo) -> str:
    """Return what a key may hold."""
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in annotation.__args__)
    inner = next((part for part in get_args(annotation) if get_origin(part) is Literal), None)
    if inner is not None:
        return f"list of {', '.join(f'`{choice}`' for choice in get_args(inner))}"
    words = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}
    plain = words.get(annotation, "table" if "dict" in str(annotation) else "list of texts")
    bounds = [
        f"{BOUNDS[name]} {getattr(part, name):g}" for part in field.metadata for name in BOUNDS if hasattr(part, name)
    ]
    return ", ".join([plain, *bounds])


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
    print(f"wrote {TARGET.name}")
