"""The table of geometries: what it counts, and what it says of the columns that are not learned."""

import math
from statistics import fmean, median
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from rich.console import Console

from src.results.agreement import agreement_rows
from src.results.geometries import geometry_rows, geometry_table


def row(geometry: str, loss: float, norm: float, unlearned_norm: str = "", unlearned_angle: str = "") -> dict[str, Any]:
    return {
        "geometry": geometry,
        "loss": loss,
        "frobenius_norm": norm,
        "n_learned": 5,
        "unlearned_norm": unlearned_norm,
        "unlearned_angle": unlearned_angle,
    }


CENSUS = [
    row("pentagon", 1.0, 2.0, "0.2 0.4", "1.0 3.0"),
    row("pentagon", 2.0, 2.0, "0.6", "5.0"),
    row("hexagon", 4.0, 3.0),
    row("pentagon", 3.0, 5.0, "0.8", "7.0"),
]


def test_a_geometry_has_its_share_and_what_its_members_have_in_common() -> None:
    pentagon, hexagon = geometry_rows(CENSUS)
    assert (pentagon["geometry"], pentagon["count"], pentagon["n"], pentagon["share"]) == ("pentagon", 3, 4, 0.75)
    assert pentagon["low"] < 0.75 < pentagon["high"]
    assert (pentagon["loss"], pentagon["frobenius_norm"], pentagon["n_learned"]) == (2.0, 3.0, 5.0)
    assert (pentagon["unlearned_norm"], pentagon["unlearned_angle"], pentagon["unlearned_near"]) == (0.5, 4.0, 0.75)
    assert (hexagon["geometry"], hexagon["count"], hexagon["unlearned_norm"]) == ("hexagon", 1, None)


def test_rows_read_from_a_file_count_like_those_just_made() -> None:
    assert geometry_rows([{name: str(value) for name, value in row.items()} for row in CENSUS]) == geometry_rows(CENSUS)


def test_the_median_is_over_all_numbers_in_all_cells() -> None:
    def median(*angles: str) -> float | None:
        (found,) = geometry_rows([row("pentagon", 1.0, 1.0, "0.1", angle) for angle in angles])
        return found["unlearned_angle"]

    assert median("nan 3", "1 nan", "2") == 2
    assert median("1 4", "2 4") == 3
    assert median("nan") is None


@given(st.lists(st.floats(width=32), min_size=1), st.lists(st.decimals(0, 180, places=2), min_size=1))
def test_what_is_added_row_by_row_is_what_statistics_says_of_the_whole(losses: list[float], angles: list[Any]) -> None:
    assume(not {math.inf, -math.inf} <= set(losses))  # of which `fmean` wants to know nothing
    n = max(len(losses), len(angles))
    losses = [losses[k % len(losses)] for k in range(n)]
    angles = [angles[k % len(angles)] for k in range(n)]
    census = (row("pentagon", loss, 1.0, "", str(angle)) for loss, angle in zip(losses, angles, strict=True))
    (found,) = geometry_rows(census)
    assert found["loss"] == fmean(losses) or math.isnan(found["loss"])
    assert math.isnan(found["loss"]) == math.isnan(sum(losses))
    assert found["unlearned_angle"] == median([float(angle) for angle in angles])


def test_the_summary_of_one_census_names_each_geometry_once() -> None:
    cells = [list(column.cells) for column in geometry_table({"": geometry_rows(CENSUS)}).columns]
    assert cells == [
        ["pentagon", "hexagon"],
        ["3", "1"],
        ["75.0%", "25.0%"],
        ["30.1% to 95.4%", "4.6% to 69.9%"],
        ["2.00000", "4.00000"],
        ["3.000", "3.000"],
        ["0.500", ""],
        ["4.0°", ""],
    ]


def test_the_summary_of_several_censuses_fits_a_terminal() -> None:
    console = Console(width=80, record=True, quiet=False)
    with console.capture() as capture:
        console.print(
            geometry_table({name: geometry_rows(CENSUS) for name in ("lr=0.001, momentum=0.99", "n_features=7")})
        )
    lines = capture.get().splitlines()
    assert "4 instances each" in lines[0]
    assert sum("pentagon" in line for line in lines) == 2
    assert "…" not in capture.get()


def test_agreement_pairs_seeds_not_rows() -> None:
    def census(*names: str, seeds: tuple[int, ...] = (0, 1, 2, 3)) -> list[dict[str, Any]]:
        return [{"seed": str(seed), "geometry": name} for seed, name in zip(seeds, names, strict=True)]

    a = census("pentagon", "pentagon", "pentagon", "hexagon")
    b = census("square", "hexagon", "pentagon", "pentagon", seeds=(2, 3, 1, 0))
    others = census("pentagon", "pentagon", "pentagon", "hexagon", seeds=(4, 5, 6, 7))
    (row,) = agreement_rows({"a": a, "b": b, "others": others})
    assert (row["first"], row["second"], row["count"], row["n"]) == ("a", "b", 3, 4)
    assert row["by_chance"] == 0.75 * 0.5 + 0.25 * 0.25  # pentagons, hexagons


def test_a_census_with_a_seed_twice_has_no_agreement() -> None:
    twice = [{"seed": "0", "geometry": "pentagon"}] * 2
    assert agreement_rows({"a": twice, "b": twice}) == []
