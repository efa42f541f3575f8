"""Stationary points followed in p, where the best of them changes, and the command that shows it."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.predictions import __main__ as predictions
from src.runs.folder import (
    BEST_REGULAR,
    CRITICAL_POINTS,
    CROSSINGS,
    LOSS_CHANGE,
    LOSS_CHANGE_PICTURE,
    PHASES,
    PHASES_PICTURE,
)
from src.runs.tables import read_rows
from src.theory.branches import Branch, follow, of_one, probabilities, stationary_points
from src.theory.candidates import candidates, describe
from src.theory.crossings import crossings
from src.theory.family import ReLUFamily, columns_of, independent
from src.theory.regular import Sizes
from src.theory.spectra import MINIMUM
from src.theory.stationary import search
from tests.running import ROOT, slow

GRID = probabilities(0.05, 0.3, 2)
THREE, SIX = ReLUFamily(3), ReLUFamily(6)


@pytest.fixture(scope="module")
def branches() -> list[Branch]:
    return follow(THREE, GRID)


def test_the_grid_is_even_in_the_logarithm() -> None:
    grid = probabilities(0.01, 1.0, 3)
    assert grid == pytest.approx([0.01, 0.1, 1])


@pytest.mark.slow
def test_every_point_of_a_branch_is_stationary_with_the_loss_it_says(branches: list[Branch]) -> None:
    for k, p in enumerate(GRID):
        for branch in branches:
            if branch.verdicts[k]:
                at = independent(THREE, p).derivatives(branch.points[k : k + 1], torch.zeros(1).long())
                assert float(at.gradient.norm()) < 1e-10
                assert float(branch.loss[k]) == pytest.approx(float(at.loss), rel=1e-12)
            else:
                assert branch.loss[k].isnan()


@pytest.mark.slow
def test_three_features_are_best_as_a_triangle(branches: list[Branch]) -> None:
    assert "triangle" in branches[0].name
    assert branches[0].verdicts == [MINIMUM] * len(GRID)
    assert list(crossings(branches, THREE, GRID)) == []


@pytest.mark.slow
def test_no_two_branches_have_the_same_name_or_the_same_points(branches: list[Branch]) -> None:
    assert len({branch.name for branch in branches}) == len(branches)
    for k in range(0, len(GRID), len(GRID) - 1):
        losses = [float(branch.loss[k]) for branch in branches if branch.verdicts[k]]
        assert len({f"{loss:.10e}" for loss in losses}) == len(losses)


@pytest.mark.slow
def test_known_points_are_not_found_again() -> None:
    found = stationary_points(THREE, 0.1)
    losses = independent(THREE, 0.1).derivatives(found, of_one(found)).loss.tolist()
    assert len(stationary_points(THREE, 0.1, losses)) == 0


def test_candidates_are_of_every_polygon() -> None:
    W = columns_of(candidates(SIX, 0.1, Sizes(SIX)), 2, 6)
    described = [describe(w.unsqueeze(0)) for w in W]
    for name in (
        "hexagon",
        "pentagon + dead",
        "pentagon + stub",
        "square + 2 stubs on one direction",
        "square + 2 stubs",
    ):
        assert name in described


@pytest.mark.parametrize(("n_features", "p"), [slow(5, 0.2249), slow(6, 0.06872)])
def test_the_best_geometry_changes_where_two_have_the_same_loss(n_features: int, p: float) -> None:
    """Between two points of a coarse grid, to four digits."""
    grid, family = [0.9 * p, 1.1 * p], ReLUFamily(n_features)
    (crossing,) = [c for c in crossings(follow(family, grid), family, grid) if math.isclose(c.p, p, rel_tol=0.05)]
    assert f"{crossing.p:.4g}" == str(p)
    assert (crossing.below, crossing.above) == {5: ("pentagon", "square + dead"), 6: ("hexagon", "pentagon + stub")}[
        n_features
    ]


@pytest.mark.slow
def test_a_window_between_two_points_of_the_grid_is_found() -> None:
    grid = [0.06, 0.1]  # the hexagon is best at the one and the pentagon with a dead feature at the other
    found = [(f"{c.p:.4g}", c.below, c.above) for c in crossings(follow(SIX, grid), SIX, grid)]
    assert found == [
        ("0.06872", "hexagon", "pentagon + stub"),
        ("0.08112", "pentagon + stub", "pentagon + dead"),
    ]


@pytest.mark.slow
def test_a_crossing_is_where_the_losses_are_equal() -> None:
    grid, five = [0.2, 0.25], ReLUFamily(5)
    found = follow(five, grid)
    (crossing,) = crossings(found, five, grid)
    pair = [branch for branch in found if branch.name in (crossing.below, crossing.above)]
    points = torch.stack([branch.points[0] for branch in pair])
    surface = independent(five, crossing.p)
    at, _ = search(points, surface, of_one(points), 1.0, descend=False)
    losses = surface.derivatives(at, of_one(at)).loss
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-8)


@pytest.mark.slow
def test_a_coarse_grid_gives_the_crossing_of_a_fine_one() -> None:
    found, four = [], ReLUFamily(4)
    for n_points in (5, 21):
        grid = probabilities(0.3, 1.0, n_points)
        found += [crossing.p for crossing in crossings(follow(four, grid), four, grid)]
    assert len(found) == 2
    assert found[0] == pytest.approx(found[1], rel=1e-6)


# The command


def test_the_theory_command_writes_its_tables_and_its_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predictions.main(["theory", "--out", str(tmp_path)]) == 0
    assert [row["F"] for row in read_rows(tmp_path / LOSS_CHANGE)] == [str(F) for F in range(2, 9)]
    best = {
        row["n_features"]: row["point"] for row in read_rows(tmp_path / CRITICAL_POINTS) if row["is_best"] == "True"
    }
    assert best["6"] == "6"
    assert (tmp_path / LOSS_CHANGE_PICTURE).read_bytes().startswith(b"\x89PNG")
    assert "4.4906" in capsys.readouterr().out


@pytest.mark.slow
def test_nobody_has_to_read_what_the_command_prints(tmp_path: Path) -> None:
    """As with `| true`."""
    line = [sys.executable, "-m", "src.predictions", "theory", f"--out={tmp_path}"]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == ""
    assert run.returncode == 0
    assert (tmp_path / LOSS_CHANGE_PICTURE).is_file()


@pytest.mark.slow
def test_where_no_stationary_point_is_found_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = f"phases --n_features 6 --low 0.9999999 --high 1 --points 2 --out {tmp_path}".split()
    assert predictions.main(arguments) == 2
    sentence = "--low is 0.9999999; it must be another: from it to --high, 1.0, no stationary point was found."
    assert capsys.readouterr().err == f"error: {sentence}\n"


@pytest.mark.slow
@pytest.mark.parametrize("n_features", [3, 5])
def test_the_phases_command_writes_its_tables_and_its_picture(
    n_features: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = f"phases --n_features {n_features} --low 0.2 --high 0.25 --points 2 --out {tmp_path}".split()
    assert predictions.main(arguments) == 0
    rows = read_rows(tmp_path / PHASES)
    assert {row["verdict"] for row in rows} <= {"minimum", "saddle", "degenerate"}
    assert len({row["p"] for row in rows}) == 2
    regular = read_rows(tmp_path / BEST_REGULAR)
    assert {row["verdict"] for row in regular if row["name"] == "triangle"} <= {"minimum", "saddle"}
    assert (tmp_path / PHASES_PICTURE).read_bytes().startswith(b"\x89PNG")
    output = " ".join(capsys.readouterr().out.split())
    assert (tmp_path / CROSSINGS).exists() == (n_features == 5)
    if n_features == 5:
        (crossing,) = read_rows(tmp_path / CROSSINGS)
        assert f"{float(crossing['p']):.4g}" == "0.2249"
        assert "p = 0.2249: below it the best is pentagon, above it square + dead" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["phases", "--low", "0"], "--low is 0.0; it must be from 1e-06 to below 1."),
        (["phases", "--high", "0.001"], "--high is 0.001; it must be more than --low, 0.005, and at most 1."),
        (["phases", "--n_features", "11"], "--n_features is 11; it must be from 2 to 10."),
        (["phases", "--points", "1"], "--points is 1; it must be from 2 to 10,000."),
        (
            ["theory", "--out", "/dev/null/x"],
            "--out is /dev/null/x; it must be a folder that can be made: Not a directory.",
        ),
        (["theory", "--out", "a\0b"], r"--out is 'a\x00b'; it must be a folder that can be made: it has a null byte."),
        (["phases", "--n_hidden", "6"], "--n_hidden is 6; it must be from 1 to 5."),
        (["phases", "--n_features", "six"], "argument --n_features: invalid int value: 'six'"),
    ],
)
def test_a_bad_argument_is_refused_in_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predictions.main(arguments) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
