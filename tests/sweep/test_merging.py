"""Censuses of any length are merged row by row, from CSV or from Parquet."""

import csv
import shutil
import tracemalloc
from pathlib import Path

import pytest

from src.results.geometries import geometry_rows
from src.runs.folder import CENSUS, CENSUS_PARQUET, RATES
from src.runs.tables import Joined, read_rows, rows_of, write_parquet, write_rows
from src.sweep import __main__ as sweep
from src.sweep.cells import Cell
from src.sweep.merging import OF_A_SHARD, Merged
from tests.sweep.sweeping import BASE, Engine, run


def long_census(path: Path, n: int, first_seed: int = 0) -> Path:
    """Rows as a fit writes them, of hexagons and of pentagons with a stub."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        columns = ("seed", "geometry", "loss", "frobenius_norm", "n_learned", "unlearned_norm", "unlearned_angle")
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for seed in range(first_seed, first_seed + n):
            odd = seed * 79 % 101
            kind = ("hexagon", 6, "", "") if odd < 5 else ("pentagon", 5, f"{odd / 200:.4f}", f"{odd / 5:.2f}")
            values = (seed, kind[0], 0.004 + odd * 1e-7, 2.5 + odd * 1e-5, *kind[1:])
            writer.writerow(dict(zip(columns, values, strict=True)))
    return path


def merged(folder: Path, n_shards: int, n: int) -> Merged:
    """A sweep whose shards are finished."""
    cells = []
    for k in range(n_shards):
        cell = Cell("seeds", {}, {}, [], folder / "seeds" / f"shard_{k}", {})
        long_census(cell.folder / CENSUS, n, first_seed=k * n)
        cell.finish()
        cells.append(cell)
    return Merged(folder, cells)


def test_a_merge_of_ten_times_as_many_rows_needs_no_more_memory(tmp_path: Path) -> None:
    peaks = []
    merged(tmp_path / "warm", 1, 100).write()
    for n_shards in (2, 20):
        sweeping = merged(tmp_path / str(n_shards), n_shards, 500)
        tracemalloc.start()
        sweeping.write()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert sum(row["count"] for row in sweeping.rows["seeds"]) == 500 * n_shards
    assert peaks[1] < 1.5 * peaks[0]


def test_each_census_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeping = merged(tmp_path, 3, 10)
    sweeping.write()
    shutil.rmtree(tmp_path / "seeds")
    sweeping.write()
    assert read_rows(tmp_path / RATES)[0]["n"] == "30"


def test_parquet_has_the_rows_of_the_csv_and_its_numbers_to_the_last_digit(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    one = [{"seed": 3, "geometry": "pentagon", "loss": 0.1 + 0.2, "unlearned": "4", "diverged_at": ""}]
    other = [{"seed": 2**40, "geometry": "a, b", "loss": float("nan"), "unlearned": "1 3", "own": 'said "no"'}]
    parts = [write_rows(tmp_path / f"{k}.csv", rows) for k, rows in enumerate((one, other))]
    write_parquet(tmp_path / "all.parquet", parts)
    empty = dict.fromkeys(("seed", "geometry", "loss", "unlearned", "diverged_at", "own"), "")
    assert read_rows(tmp_path / "all.parquet") == [empty | row for part in parts for row in rows_of(part)]
    import pyarrow.parquet  # noqa: PLC0415

    kinds = {field.name: str(field.type) for field in pyarrow.parquet.read_schema(tmp_path / "all.parquet")}
    assert (kinds["seed"], kinds["loss"], kinds["unlearned"]) == ("int64", "double", "string")


def test_rates_come_from_either(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    parts = (long_census(tmp_path / "a.csv", 300), long_census(tmp_path / "b.csv", 200, first_seed=300))
    write_parquet(tmp_path / "both.parquet", parts)
    assert geometry_rows(Joined((tmp_path / "both.parquet",))) == geometry_rows(Joined(parts))


def test_an_old_table_is_no_result_of_a_sweep_that_runs(tmp_path: Path) -> None:
    cell = Cell("seeds", {}, {}, [], tmp_path / "seeds" / "all", {})
    cell.folder.parent.mkdir(parents=True)
    (tmp_path / "seeds" / CENSUS_PARQUET).touch()
    assert Merged(tmp_path, [cell]).census("seeds") is None
    assert Merged(tmp_path, [cell], runs=False).census("seeds") is not None
    long_census(cell.folder / CENSUS, 3)  # a run that was cut off
    assert Merged(tmp_path, [cell], runs=False).census("seeds") is None


@pytest.mark.slow
def test_a_sweep_whose_shards_were_removed_is_reported_from_its_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    assert run(tmp_path, "--shards=2", "--parquet") == 0
    rates, out = (tmp_path / RATES).read_bytes(), capsys.readouterr().out
    cell = tmp_path / "seeds"
    rows = [row for shard in ("seed_0_to_1", "seed_2_to_4") for row in read_rows(cell / shard / CENSUS)]
    kept = [{name: value for name, value in row.items() if name not in OF_A_SHARD} for row in rows]
    assert read_rows(cell / CENSUS_PARQUET) == kept
    for shard in ("seed_0_to_1", "seed_2_to_4"):
        shutil.rmtree(cell / shard)
    (tmp_path / RATES).unlink()
    assert sweep.main([*BASE, f"--out={tmp_path}", "--shards=2", "--merge"]) == 0
    assert (tmp_path / RATES).read_bytes() == rates
    assert capsys.readouterr().out.split("merged table")[0] in out


def test_merge_says_what_is_missing_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine()
    assert run(tmp_path, "--grid=data.n_features=[4,5]", "--merge", engine=engine) == 1
    assert capsys.readouterr() == ("", "error: 2 of 2 cells are not finished.\n")
    assert engine.ran == []
