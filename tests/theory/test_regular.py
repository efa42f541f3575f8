"""Regular polygons and solids of any pointwise model: where their norms and biases are best, and what they are then."""

import math
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from scipy.optimize import check_grad

from src.geometry.shapes import Shape, shapes_of
from src.predictions import __main__ as predictions
from src.predictions.models import family
from src.runs.folder import BEST_REGULAR, PHASES, PHASES_PICTURE
from src.runs.tables import read_rows
from src.theory.best_regular import RegularPoint, regular_points
from src.theory.branches import follow, of_one
from src.theory.critical_points import best_norm_and_bias, polygon_cost
from src.theory.crossings import crossings
from src.theory.family import Family, ReLUFamily, as_points, independent
from src.theory.regular import Sizes, assembled, products
from tests.running import slow

SOLIDS = {4: "tetrahedron", 6: "octahedron", 8: "square antiprism"}
NOT_POINTWISE = "a model whose answers are functions of z = V^T W x + b, entry by entry."
NO_OVERLAY = "a file with `model: {class_path: ..., init_args: {...}}`, which can be read."


@lru_cache
def named(model: str, n_features: int, n_hidden: int) -> Family:
    name, *settings = model.split(" ")
    return family(name, settings, n_features, n_hidden)


def shape_named(name: str, n_corners: int) -> Shape:
    return next(shape for shape in shapes_of(n_corners) if shape.name == name)


def regular(own: Family, p: float) -> dict[str, RegularPoint]:
    return {point.name: point for point in regular_points(own, [p], Sizes(own))}


@pytest.mark.slow
def test_polygons_of_rare_features_are_those_in_closed_form() -> None:
    """As p goes to 0 features are active one at a time; what two of them do adds about p times as much."""
    p, n = 1e-4, 6
    found = regular(ReLUFamily(n), p)
    for k, name in {3: "triangle", 5: "pentagon", 6: "hexagon"}.items():
        assert (found[name].norm, found[name].bias) == pytest.approx(best_norm_and_bias(k), abs=20 * p)
        assert 3 * n * found[name].loss / p == pytest.approx(polygon_cost(k) + n - k, abs=30 * p)
    assert found["pentagon"].dead_bias == pytest.approx(p / 2, rel=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        "Leaky --model.slope=0.1",
        *map(slow, ("SquaredReLU", "L4")),
        "Untied",
        "NoBias",
        *map(slow, ("GELU", "Softplus")),
    ],
)
def test_a_polygon_is_a_critical_point_of_any_activation(model: str) -> None:
    """The gradient of the whole loss, not of norm and bias alone."""
    p, own = 0.1, named(model, 3, 2)
    sizes = Sizes(own)
    found = sizes.of([shape_named("triangle", 3)], p)
    assert found is not None
    W, b = assembled(found, 2, 3, 0.0)
    point = as_points(own.shapes(3, 2), W.unsqueeze(0), b.unsqueeze(0))
    surface = independent(own, p, point)
    assert float(surface.derivatives(point, of_one(point)).gradient.norm()) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("model", ["Leaky --model.slope=0.1", "SquaredReLU"])
def test_stationary_points_of_other_activations_have_no_slope(model: str) -> None:
    """By differences of the loss, which know nothing of its derivatives."""
    own, grid = named(model, 3, 2), [0.1, 0.12]
    branches = follow(own, grid)
    assert branches
    surface = independent(own, grid[0])

    def loss(point: torch.Tensor) -> float:
        rows = torch.as_tensor(point).unsqueeze(0)
        return float(surface.derivatives(rows, of_one(rows)).loss)

    for branch in branches[:2]:
        error = check_grad(loss, lambda point: 0 * point, branch.points[0].numpy(), epsilon=1e-6)
        assert error < 1e-6  # one-sided differences, times curvatures below 1


@pytest.mark.slow
def test_two_pairs_and_an_edge_have_less_loss_than_a_tetrahedron() -> None:
    """Of four features in three dimensions an antipodal pair and two orthogonal ones disturb each other less."""
    own, grid = ReLUFamily(4, 3), [0.057, 0.06]
    branches = follow(own, grid)
    losses = {branch.name: float(branch.loss[0]) for branch in branches}
    assert branches[0].name == "digon x single x single"
    assert losses["digon x single x single"] < losses["tetrahedron"]
    assert {branch.name: branch.verdicts for branch in branches}["tetrahedron"] == ["minimum"] * 2
    assert list(crossings(branches, own, grid)) == []


@pytest.mark.parametrize("n", [4, slow(6), slow(8)])
def test_a_known_solid_is_a_minimum_in_space(n: int) -> None:
    point = regular(ReLUFamily(n, 3), 0.057)[SOLIDS[n]]
    assert point.verdict == "minimum"
    assert point.n_corners == n
    assert point.distance < 1e-6


@pytest.mark.slow
def test_a_planar_pentagon_in_space_is_a_saddle() -> None:
    assert regular(ReLUFamily(5, 3), 0.057)["pentagon"].verdict == "saddle"


def test_products_are_of_all_shapes_that_fit() -> None:
    names = {tuple(shape.name for shape in shapes) for shapes in products(3, 6)}
    assert {("hexagon",), ("triangular prism",), ("digon",) * 3, ("pentagon", "single")} <= names
    assert all(sum(shape.dimension for shape in shapes) <= 3 for shapes in products(3, 6))
    assert all(sum(shape.n_corners for shape in shapes) == 6 for shapes in products(3, 6))


@pytest.mark.slow
def test_where_features_differ_in_importance_a_polygon_moves() -> None:
    point = regular(named("Importance --model.decay=0.999", 3, 2), 0.1)["triangle"]
    assert point.distance > 1e-3
    assert regular(named("Importance --model.decay=1.0", 3, 2), 0.1)["triangle"].distance < 1e-6


def test_the_posts_model_by_its_name_is_the_post() -> None:
    own = named("src.model.ReLUOutputModel", 4, 2)
    assert own.is_posts
    one, other = (regular(each, 0.1)["square"] for each in (own, ReLUFamily(4)))
    assert math.isclose(one.loss, other.loss, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("HiddenReLU", "--model is HiddenReLU; it must be " + NOT_POINTWISE),
        ("src.model.ToyModel", "--model is ToyModel; it must be " + NOT_POINTWISE),
        ("nowhere.yaml", "--model is nowhere.yaml; it must be " + NO_OVERLAY),
        ("Leaky --model.slope x", "model.slope: Expected a float. Got value: x"),
        ("Leaky --model.n_hidden=3", "--model.n_hidden is given; it must be said by --n_hidden."),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_in_one_sentence(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predictions.main(["phases", "--model", *arguments.split(" ")]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {message}"  # the model may have been built before


def test_arguments_of_no_model_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert predictions.main(["phases", "--model.slope=0.1"]) == 2
    message = "--model is not given; it must be given, for --model.slope to be an argument of it."
    assert capsys.readouterr().err == f"error: {message}\n"


def test_an_overlay_names_a_model_with_its_arguments() -> None:
    assert family("configs/models/leaky.yaml", ["--model.slope=0.2"], 3, 2).name == "Leaky, slope 0.2"
    assert family("configs/models/leaky.yaml", [], 3, 2).name == "Leaky, slope 0.1"


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ([], "phases_6"),
        (["--n_hidden", "3", "--n_features", "4"], "phases_4_m3"),
        (["--model", "Leaky", "--model.slope", "0.01"], "phases_6_leaky_slope_0.01"),
    ],
)
def test_the_folder_is_named_after_the_model(arguments: list[str], folder: str) -> None:
    options = predictions._parse(["phases", *arguments])
    assert str(options.out) == f"lightning_logs/{folder}"


@pytest.mark.slow
def test_the_command_serves_an_activation_that_is_integrated(tmp_path: Path) -> None:
    """On a coarse grid, at the post's p and five others; the last digits do not stand in the way of a verdict."""
    arguments = f"phases --model GELU --n_features 3 --low 0.05 --high 0.1 --points 2 --out {tmp_path}".split()
    assert predictions.main(arguments) == 0
    triangles = [row for row in read_rows(tmp_path / BEST_REGULAR) if row["name"] == "triangle"]
    assert len(triangles) == 6
    assert {row["verdict"] for row in triangles} <= {"minimum", "saddle"}
    assert len({row["p"] for row in read_rows(tmp_path / PHASES)}) == 2
    assert (tmp_path / PHASES_PICTURE).is_file()
