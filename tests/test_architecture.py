"""The house: who may import whom, floor by floor, and how large a file may grow."""

import ast
import graphlib
from pathlib import Path

import pytest

from tests.running import ROOT

# From the ground up. A package or a module at the top of `src` imports from the floors below, and from itself.
FLOORS = (
    ("src.errors", "src.waiting", "src.stopping"),
    ("src.memory", "src.distributions", "src.geometry"),
    ("src.population", "src.runs"),
    ("src.objective",),
    ("src.theory", "src.starts"),
    ("src.outcome",),
    ("src.training",),
    ("src.model",),
    ("src.variants", "src.data"),
    ("src.results",),
    ("src.figures",),
    ("callbacks",),
    ("src.gate", "src.commands"),
    ("src.cli", "src.predictions"),
    ("src.sweep",),
)
PURE = (
    "src.waiting",
    "src.stopping",
    "src.errors",
    "src.memory",
    "src.distributions",
    "src.geometry",
    "src.population",
    "src.objective",
    "src.theory",
)
NEVER_IN_PURE = ("lightning", "tensorboard", "matplotlib", "rich")
MAX_LINES = 250
MAX_LINES_OF_THE_PAGE = 130
DRAWN_ONLY = ("src.results", "src.figures")  # they read and never train
SOURCES = sorted(path for folder in ("src", "callbacks") for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else str(node.module) for name in full}
    return names


def ours(path: Path) -> set[str]:
    return {name for name in imported(path) if name in MODULES}


def room(module: str) -> str:
    """The package, or the module at the top of `src`."""
    parts = module.split(".")
    return parts[0] if parts[0] == "callbacks" else ".".join(parts[:2])


def floor(module: str) -> int:
    (found,) = [k for k, rooms in enumerate(FLOORS) if room(module) in rooms]
    return found


@pytest.mark.parametrize("module", [name for name in MODULES if name != "src"])
def test_no_arrow_runs_up(module: str) -> None:
    others = {name for name in ours(MODULES[module]) if room(name) != room(module) and name != "src"}
    assert {name: floor(name) for name in others if floor(name) >= floor(module)} == {}


@pytest.mark.parametrize("module", [name for name in MODULES if name.count(".") > 1])
def test_no_module_imports_its_own_packages_page(module: str) -> None:
    """Which imports it in turn: a circle that the next test leaves out."""
    assert room(module) not in ours(MODULES[module])


def test_no_modules_import_each_other_in_a_circle() -> None:
    arrows = {name: ours(path) - {name} for name, path in MODULES.items()}
    # A package's own page imports its modules; that a module names its package is no circle of its own making.
    arrows = {name: {to for to in tos if not name.startswith(f"{to}.")} for name, tos in arrows.items()}
    assert list(graphlib.TopologicalSorter(arrows).static_order())


def test_every_room_is_on_a_floor_and_no_floor_has_a_room_that_is_gone() -> None:
    rooms = {room(name) for name in MODULES} - {"src"}
    assert sorted(name for row in FLOORS for name in row) == sorted(rooms)


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in PURE])
def test_the_maths_does_not_know_lightning(module: str) -> None:
    assert not [name for name in imported(MODULES[module]) if name.split(".")[0] in NEVER_IN_PURE]


def test_the_command_line_knows_no_callback() -> None:
    assert not [name for name in imported(MODULES["src.cli"]) if name.startswith("callbacks")]


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) in DRAWN_ONLY])
def test_results_and_figures_never_train(module: str) -> None:
    assert not [name for name in imported(MODULES[module]) if name.split(".")[0] == "lightning"]


def test_no_file_is_longer_than_a_reader_bears() -> None:
    folders = ("src", "callbacks", "benchmarks", "tests")
    paths = [
        path for folder in folders for ending in ("py", "h", "cpp") for path in (ROOT / folder).rglob(f"*.{ending}")
    ]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
    assert lengths["src/model.py"] <= MAX_LINES_OF_THE_PAGE
