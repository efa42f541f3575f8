"""The census of a few seeds, from which the arms of a patching experiment are planned."""

from pathlib import Path

import pytest

from src.runs.folder import CENSUS
from src.runs.tables import write_rows

# Seeds 0 to 9: pentagons that leave out one feature or (as with seven features) two, hexagons, a square.
OUTCOMES = [
    (0, "pentagon", "4"),
    (1, "hexagon", ""),
    (2, "pentagon", "1"),
    (3, "square", "0 2"),
    (4, "hexagon", ""),
    (5, "pentagon", "1 3"),
    (6, "pentagon", "5"),
]


@pytest.fixture
def census(tmp_path: Path) -> str:
    rows = [{"seed": seed, "geometry": geometry, "unlearned": unlearned} for seed, geometry, unlearned in OUTCOMES]
    write_rows(tmp_path / CENSUS, rows)
    return str(tmp_path)
