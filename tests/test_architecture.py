"""The arrows of the design: maths never reads Lightning, models never read callbacks, results never train."""

import ast
from pathlib import Path

import pytest

from tests.running import ROOT

LAYERS = [
    {"src.errors", "src.palette", "src.rates", "src.fused"},
    {"src.geometry", "src.objective", "src.memory", "src.population", "src.theory", "src.schedules"},
    {"src.draws", "src.metrics", "src.terminal", "src.closed_form"},
    {"src.streams", "src.stationary"},
    {"src.data"},
    {"src.model", "src.figures", "src.rate_figures", "src.runs", "src.charts", "src.tables"},
    {"callbacks.recorder", "src.initialisations", "src.phases", "src.regimes"},
    {"callbacks.*", "src.theory_figures", "src.regime_figures"},
    {"callbacks.example_snapshots"},
    {"src.cli", "src.predictions"},
    {"src.cells"},
    {"src.sweep_report"},
    {"src.sweep"},
]
PURE = (
    "src.errors",
    "src.palette",
    "src.rates",
    "src.geometry",
    "src.fused",
    "src.objective",
    "src.population",
    "src.closed_form",
    "src.draws",
    "src.streams",
    "src.stationary",
    "src.theory",
    "src.memory",
    "src.tables",
    "src.terminal",
    "src.figures",
    "src.rate_figures",
    "src.theory_figures",
    "src.phases",
)
NEVER_IN_PURE = ("lightning", "torchmetrics", "tensorboard")


def modules() -> dict[str, Path]:
    paths = [*(ROOT / "src").glob("*.py"), *(ROOT / "callbacks").glob("*.py")]
    return {f"{path.parent.name}.{path.stem}": path for path in paths if path.stem != "__init__"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names} if module in ("src", "callbacks") else {module}
    return names


def layer(module: str) -> int:
    exact = [k for k, names in enumerate(LAYERS) if module in names]
    package = [k for k, names in enumerate(LAYERS) if f"{module.partition('.')[0]}.*" in names]
    return (exact or package)[0]


@pytest.mark.parametrize("module", sorted(modules()))
def test_no_module_imports_from_its_own_layer_or_above(module: str) -> None:
    ours = {name for name in imported(modules()[module]) if name.split(".")[0] in ("src", "callbacks")}
    assert {name: layer(name) for name in ours if layer(name) >= layer(module)} == {}


@pytest.mark.parametrize("module", PURE)
def test_the_maths_does_not_know_lightning(module: str) -> None:
    assert not [name for name in imported(modules()[module]) if name.split(".")[0] in NEVER_IN_PURE]


def test_the_command_line_knows_no_callback() -> None:
    assert not [name for name in imported(modules()["src.cli"]) if name.startswith("callbacks")]
