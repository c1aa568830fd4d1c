"""Imports go one way, and importing the package costs nothing.

The rooms and the modules in them are listed from top to bottom; a module may import only from what stands above it. A
new module has to be written into the list: its place is a decision.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import taskloom

PACKAGE = Path(taskloom.__file__).parent

ORDER = """
errors executors progress toml config run_file
recipes.schema recipes.functions recipes.expressions recipes.recipe recipes.generators recipes.catalog recipes.cautions
recipes.facts recipes.labels recipes.recasts recipes.select recipes.held_out recipes.own recipes.recorded recipes.check
recipes.known recipes.columns recipes.propose
data.hashing data.whole data.kept data.columns data.spilled data.mirror data.files data.hub data.source data.splits
data.canonical data.standardize data.truth data.locks data.ragged data.cuts data.tokenizer data.truncation data.arrays
data.segments data.store data.known_stores data.shots data.label_options data.recast data.shingles data.overlap
data.mixture data.rows data.matrices data.batches
modeling.devices modeling.tensors modeling.rows modeling.dropout modeling.comparing modeling.token_layout
modeling.bert modeling.packing modeling.disentangled modeling.deberta modeling.kernels modeling.encoder
modeling.pooler modeling.scoring modeling.head_table modeling.heads modeling.keeping modeling.model
modeling.warm_start modeling.lineage
evaluation.spans evaluation.metrics evaluation.predictions evaluation.statistics evaluation.intervals
evaluation.baselines evaluation.tfidf evaluation.report evaluation.paired evaluation.comparison evaluation.routes
evaluation.scoring evaluation.calibration evaluation.evaluator evaluation.thresholds evaluation.engine
evaluation.table evaluation.across
evaluation.transfer_report evaluation.transfer_table evaluation.protocol
training.lazy_adamw training.optimizer training.ranks training.checkpoint training.run_folder training.health
training.gradients training.prefetch training.signals training.watch training.loop training.plan training.building
training.steps training.trial training.trackers training.trainer
inference.inputs inference.results inference.prepared_rows inference.abstaining inference.export
inference.sentence_folder inference.graphs inference.tracing inference.graph_networks inference.per_token
inference.quantizing inference.backends inference.adapters inference.folders inference.opening inference.parity
inference.check_rows inference.label_sets inference.pieces inference.remembered inference.scorers inference.zero_shot
inference.one_pass inference.matching inference.classifying inference.streaming inference.predictor
adapting.features adapting.probing adapting.start adapting.finetuning adapting.distillation adapting.blind
adapting.measuring adapting.choosing adapting.measurements
reporting.task_list reporting.licenses reporting.hub_metadata reporting.card reporting.one_task reporting.finetuned
reporting.distilled reporting.head_card reporting.answers reporting.reliability reporting.embedding_map reporting.texts
reporting.transfer_results reporting.material reporting.svg reporting.charts reporting.task_view
reporting.transfer_view reporting.page
serving.settings serving.works serving.batching serving.bodies serving.measures serving.guard serving.known_tasks
serving.asking serving.description serving.app serving.server
workflows.listing workflows.showing workflows.checking workflows.overlapping workflows.proposing workflows.own_data
workflows.own_rows workflows.publishing workflows.models workflows.launching workflows.preparing workflows.exporting
workflows.running workflows.planning workflows.tuning workflows.transferring workflows.subject workflows.evaluating
workflows.distilling
quickstart
commands.options commands.printing commands.catalog commands.runs commands.evaluation commands.models commands.adapting
commands.zero_shot commands.serving cli
""".split()

HEAVY = {"torch", "transformers", "datasets", "pyarrow", "numpy", "pandas", "sklearn", "tokenizers", "huggingface_hub"}
NETWORK = {"socket", "ssl", "http", "urllib.request", "requests", "httpx", "huggingface_hub"}


def name_of(path: Path) -> str:
    """Return the dotted name of a module below the package: "recipes.catalog.glue"; "recipes" for its __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if name_of(path)}


def imported(path: Path, *, top_only: bool = False) -> set[str]:
    """Return the full names that a file imports; with `top_only` not those inside functions and type checking."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif top_only and (isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or _is_type_checking(node)):
            continue
        pending += ast.iter_child_nodes(node)
    return found


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def own_imports(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, in dotted form below the package."""
    names = {name.removeprefix("taskloom.") for name in imported(path) if name.startswith("taskloom.")}
    return {name for name in names if name in MODULES}


def place(module: str) -> int | None:
    """Return the place of a module in ORDER: its own line's, or that of the package it lies in."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in ORDER:
            return ORDER.index(".".join(parts[:length]))
    return None


def is_package(module: str) -> bool:
    """Tell whether a name is a room's or subroom's __init__."""
    return MODULES[module].name == "__init__.py"


def test_every_module_has_a_place() -> None:
    """No module stands outside of the order; the package's two entry points and rooms' __init__ are outside of it."""
    placed = [module for module in MODULES if module != "__main__" and not (is_package(module) and "." not in module)]
    assert [module for module in placed if place(module) is None] == []
    assert [name for name in ORDER if name not in MODULES] == []


@pytest.mark.parametrize("module", [name for name in MODULES if place(name) is not None])
def test_imports_point_up(module: str) -> None:
    """A module imports only from modules above it; inside catalog and generators the modules are one place."""
    here = place(module)
    assert here is not None
    arrows = {other: place(other) for other in own_imports(MODULES[module])}
    wrong = [other for other, there in arrows.items() if there is not None and there > here]
    assert wrong == [], f"{module} imports {wrong}, which stand below it"


@pytest.mark.parametrize("package", ["recipes.catalog", "recipes.generators"])
def test_families_do_not_import_their_package(package: str) -> None:
    """Family files are leaves: the package gathers them, and none reaches back."""
    members = [name for name in MODULES if name.startswith(f"{package}.")]
    assert members
    assert [name for name in members if package in own_imports(MODULES[name])] == []


def test_rooms_are_empty_at_the_door() -> None:
    """A room's __init__ imports nothing, so that importing one module never brings in its neighbors."""
    rooms = [name for name in MODULES if is_package(name) and "." not in name]
    assert len(rooms) >= 6
    assert [
        name for name in rooms if imported(MODULES[name], top_only=True) - {"__future__", "__future__.annotations"}
    ] == []


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in MODULES
        if name.split(".")[0]
        in (
            "errors",
            "config",
            "progress",
            "recipes",
            "cli",
            "listing",
            "checking",
            "overlapping",
            "publishing",
            "workflows",
            "own_rows",
            "subject",
            "evaluating",
            "quickstart",
            "__main__",
        )
    ],
)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    """What the command line reads at start brings in neither torch nor any other large library."""
    roots = {name.split(".")[0] for name in imported(MODULES[module], top_only=True)}
    assert roots & HEAVY == set()


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("data.")])
def test_torch_begins_at_batches(module: str) -> None:
    """Reading and preparing rows needs no torch; the batches are where it begins."""
    roots = {name.split(".")[0] for name in imported(MODULES[module])}
    if module != "data.batches":
        assert "torch" not in roots


def test_only_source_and_encoder_reach_the_network() -> None:
    """The modules that can leave this machine are two; the server's socket only listens, and the launcher's finds a
    free port of this machine."""
    reach = {
        name
        for name, path in MODULES.items()
        if {part for whole in imported(path) for part in (whole, whole.split(".")[0])} & NETWORK
    }
    assert reach <= {"data.hub", "data.source", "modeling.encoder", "serving.server", "workflows.launching"}


def test_no_module_is_named_like_a_public_function() -> None:
    """Importing taskloom.train as a module would put it in the place of the function."""
    top = {name.split(".")[0] for name in MODULES}
    assert top & set(taskloom.__all__) == set()


def test_public_names_exist() -> None:
    """Each name in __all__ can be had, and an unknown one is an AttributeError."""
    assert [name for name in taskloom.__all__ if not hasattr(taskloom, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = taskloom.nothing


SPY = """
import json, sys
events = []
def watch(event, arguments):
    if event.startswith("socket.") or event == "subprocess.Popen":
        events.append([event, str(arguments)])
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        events.append([event, str(arguments[0])])
sys.addaudithook(watch)
import taskloom
taskloom.tasks()
dir(taskloom)
print(json.dumps([sorted({name.split(".")[0] for name in sys.modules}), events]))
"""


def test_import_and_listing_touch_nothing() -> None:
    """In a fresh process: no torch, no socket, no process, no file written."""
    import json

    output = subprocess.run([sys.executable, "-B", "-c", SPY], check=True, capture_output=True, text=True).stdout
    modules, events = json.loads(output)
    assert set(modules) & HEAVY == set()
    assert events == []
