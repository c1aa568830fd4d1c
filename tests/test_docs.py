"""Commands and code in README and docs are run here, offline; links and the reference are checked.

The convention, for each fence of a page, in order, all in one empty folder a page:

- `toml`, `csv`, `text` after `<!-- file: NAME -->` become that file; a `toml` fence without it must be valid TOML;
- `sh` is run line by line in this process: `taskloom ...`, `python -m taskloom ...` or `echo TEXT | taskloom ...`;
- `taskloom serve` serves until the page's end, at a free port to which the page's own address leads, and
  `curl URL [--json BODY]` asks it;
- `python` is run, with the names of the page's fences before it; the code cells of a notebook in the same way;
- a fence after `<!-- not run: why -->` is left alone.

Training is kept small: the encoder is a tiny random one, and `[training]` is told to take three steps.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
import shlex
import signal
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.request import Request, urlopen

import pytest

from taskloom import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(page for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
NOTEBOOKS = sorted(ROOT.glob("docs/*.ipynb"))
FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
SMALL = ["training.steps=3", "training.batch_size=8", "data.max_rows=40", "data.max_length=64"]


@dataclass(frozen=True)
class Fence:
    """A block of code in a page and the comment right before it."""

    language: str
    note: str
    body: str


def fences(page: Path) -> list[Fence]:
    """Return the fences of a page in order."""
    text = page.read_text(encoding="utf-8")
    return [Fence(found["language"], found["note"] or "", found["body"]) for found in FENCE.finditer(text)]


def runnable(page: Path) -> bool:
    """Tell whether a page has anything to run."""
    return any(fence.language in ("sh", "python") and not fence.note.startswith("not run:") for fence in fences(page))


class Servers(contextlib.ExitStack):
    """The servers that a page starts, each until the page ends."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: dict[str, str] = {}

    def start(self, words: list[str]) -> None:
        """Serve a model at a free port of this machine, whatever port is written."""
        pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
        from served import served
        from taskloom.inference.predictor import load_model
        from taskloom.serving.app import make_app

        port = words[words.index("--port") + 1] if "--port" in words else "8000"
        app = make_app(load_model(words[0], device="cpu"))
        self.addresses[f"127.0.0.1:{port}"] = self.enter_context(served(app))

    def led(self, text: str) -> str:
        """Return a text whose addresses are those where the servers really are."""
        for written, real in self.addresses.items():
            text = text.replace(written, real)
        return text

    def ask(self, words: list[str]) -> None:
        """Do what curl would do with an address and perhaps a body; any status but 2xx is an error."""
        body = words[words.index("--json") + 1].encode() if "--json" in words else None
        (address,) = (word for word in words if word.startswith("http://"))
        with urlopen(Request(address, body, {"Content-Type": "application/json"})) as answer:
            json.load(answer)


def run_command(line: str, servers: Servers) -> str:
    """Run one line of a shell fence; returns what it printed. Fails on what it does not know how to run."""
    words = shlex.split(servers.led(line), comments=True)
    given = ""
    if words[:1] == ["curl"]:
        servers.ask(words[1:])
        return ""
    if words[:2] == ["taskloom", "serve"]:
        servers.start(words[2:])
        return ""
    if words[:1] == ["echo"] and "|" in words:
        given = " ".join(words[1 : words.index("|")]) + "\n"
        words = words[words.index("|") + 1 :]
    if words[:3] == ["python", "-m", "taskloom"]:
        words = words[2:]
    assert words[:1] == ["taskloom"], f"not a command that can be run here: {line!r}; mark the fence `not run: why`"
    assert not set(words) & {"|", ">", "&&", ";"}, f"too much shell: {line!r}"
    small = SMALL if words[1] == "train" else SMALL[2:] if words[1] == "prepare" else []
    output = io.StringIO()
    before = sys.stdin
    sys.stdin = io.StringIO(given)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = cli.main([*words[1:], *small])
    finally:
        sys.stdin = before
    assert code == 0, f"{line!r} exited with {code}: {output.getvalue()}"
    return output.getvalue()


def run_python(body: str, names: dict[str, object]) -> None:
    """Run a Python fence; training in it is kept small."""
    small = "".join(f", {override!r}" for override in SMALL)
    body = re.sub(r'(taskloom\.train\("[^"]+")', rf"\1{small}", body)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(body, "<fence>", "exec"), names)


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_fences_run(page: Path, tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page tells the reader to type works, from its first fence to its last."""
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    with Servers() as servers:
        _run_page(page, tmp_path, tiny_bert, servers)
    signal.signal(signal.SIGTERM, handler)


def _run_page(page: Path, folder: Path, encoder: Path, servers: Servers) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    for fence in fences(page):
        if fence.note.startswith("not run:"):
            continue
        if fence.note.startswith("file:"):
            body = fence.body.replace('encoder = "minilm"', f"encoder = {str(encoder)!r}")
            (folder / fence.note.removeprefix("file:").strip()).write_text(body, encoding="utf-8")
        elif fence.language == "sh":
            for line in fence.body.splitlines():
                if line.strip() and not line.startswith("#"):
                    run_command(line, servers)
        elif fence.language == "python":
            run_python(servers.led(fence.body), names)


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: page.name)
def test_notebooks_run(page: Path, tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code cells of a notebook work from the first to the last; it is valid, and without old output."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(page.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            body = "".join(cell["source"]).replace('encoder = "minilm"', f"encoder = {str(tiny_bert)!r}")
            run_python(body, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_toml_fences_are_run_files(page: Path, tmp_path: Path) -> None:
    """Every TOML fence is valid, and its keys exist."""
    from taskloom.run_file import load_config

    for number, fence in enumerate(fence for fence in fences(page) if fence.language == "toml"):
        path = tmp_path / f"{number}.toml"
        path.write_text(fence.body, encoding="utf-8")
        tomllib.loads(fence.body)
        load_config(path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_fences_are_of_a_known_language(page: Path) -> None:
    """A misspelled language would take a fence out of the tests."""
    known = {"sh", "python", "toml", "csv", "text", "json", "jsonl"}
    assert {fence.language for fence in fences(page)} <= known


def test_the_readme_is_run() -> None:
    """The page that everybody reads has commands and code that are run."""
    languages = [fence.language for fence in fences(ROOT / "README.md") if not fence.note.startswith("not run:")]
    assert languages.count("sh") >= 2
    assert languages.count("python") >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link names a file that is there."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_reference_is_fresh() -> None:
    """docs/run-toml.md is what the docstrings of the configuration say; `make docs` makes it anew."""
    maker = load_maker()
    assert (ROOT / "docs" / "run-toml.md").read_text(encoding="utf-8") == maker.reference()


def load_maker() -> ModuleType:
    """Return docs/make_reference.py as a module."""
    specification = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_commands_table_is_complete() -> None:
    """The README names every command, and none that is not there."""
    import typer

    known = set(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"^\| `taskloom (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named == known


def test_constraints_name_what_the_package_needs() -> None:
    """Each direct dependency has a tested version, and none names an address."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = (
        project["dependencies"] + project["optional-dependencies"]["offline"] + project["optional-dependencies"]["dev"]
    )
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert {re.split(r"[<>=!~\[ ]", name)[0].lower().replace("_", "-") for name in needed} <= pinned
    assert [line for line in lines if "://" in line or "@" in line or "+" in line.split("#")[0]] == []


def said_in_the_code() -> str:
    """Return every text in the package's source, the fixed parts of f-strings included, a line each."""
    import ast

    import taskloom

    found: list[str] = []
    for path in Path(taskloom.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(" ".join(node.value.split()))
    return "\n".join(found)


def test_troubleshooting_quotes_what_is_said() -> None:
    """Each message in the page is one that the code can print: every fixed part of it stands in the source."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(messages) > 25
    said = said_in_the_code()
    parts = {message: [part.strip() for part in message.split("...")] for message in messages}
    unsaid = {message: [part for part in found if part not in said] for message, found in parts.items()}
    assert {message: missing for message, missing in unsaid.items() if missing} == {}
