"""What each seed ended in, from wherever a census lies."""

import sys
from pathlib import Path

import pytest

from src.errors import ConfigError
from src.results.outcomes import read_seed_outcomes
from src.runs.folder import CENSUS, CENSUS_PARQUET
from src.runs.tables import write_parquet, write_rows


def census(folder: Path, seeds: list[int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_rows(folder / CENSUS, [{"seed": seed, "geometry": f"of {seed}"} for seed in seeds])


def read(path: Path) -> tuple[list[int], list[str]]:
    found = read_seed_outcomes(path, "--census")
    return found.seeds.tolist(), found.geometries.tolist()


def test_a_run_its_file_and_a_cell_of_a_sweep_are_read_in_the_order_of_seeds(tmp_path: Path) -> None:
    file = census(tmp_path / "run", [5, 3])
    assert read(file) == read(tmp_path / "run") == ([3, 5], ["of 3", "of 5"])
    census(tmp_path / "cell" / "seed_2_to_3", [2, 3])
    census(tmp_path / "cell" / "seed_0_to_1", [0, 1])
    assert read(tmp_path / "cell")[0] == [0, 1, 2, 3]


def test_parquet_says_the_same(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install -e '.[parquet]'")
    file = census(tmp_path / "run", [7, 4])
    write_parquet(tmp_path / "cell.parquet", [file])
    assert read(tmp_path / "cell.parquet") == read(file)
    (tmp_path / "cell.parquet").rename(tmp_path / CENSUS_PARQUET)
    assert read(tmp_path) == read(file)


def test_that_parquet_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / CENSUS_PARQUET).write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match="pyarrow is missing"):
        read(tmp_path)


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_no_census_and_a_seed_twice_are_refused(tmp_path: Path, seeds: list[int]) -> None:
    if seeds:
        census(tmp_path, seeds)
    with pytest.raises(ConfigError, match=r"--census is .*; it must be a"):
        read(tmp_path)
