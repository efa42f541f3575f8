"""What a sweep has found so far, by combination: its censuses are read once, row by row, and never held."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.results.geometries import geometry_rows
from src.runs.folder import CENSUS, CENSUS_PARQUET, RATES
from src.runs.tables import Joined, write_parquet, write_rows
from src.sweep.cells import Cell

OF_A_SHARD = ("geometry_count", "geometry_share", "geometry_share_low", "geometry_share_high")  # not of them together


class Merged:
    """The combinations of a sweep whose shards are all finished.

    Where nothing is to be run, a combination whose shards were removed is read from its `census.parquet`.

    Args:
        out: the sweep's folder.
        cells: all of the sweep's.
        parquet: whether each combination's rows are also written into one table.
        runs: whether cells are to be run.

    Attributes:
        due: the cells that were not finished at first.
        rows: `geometry_rows` of each finished combination, by its name, in the order of the cells.
    """

    def __init__(self, out: Path, cells: Sequence[Cell], parquet: bool = False, runs: bool = True) -> None:
        self.out, self.cells, self.parquet, self._runs = out, list(cells), parquet, runs
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.due = [cell for cell in cells if not cell.is_finished]
        self._shards: dict[str, list[Cell]] = {cell.name: [] for cell in cells}
        self._missing: dict[str, set[Path]] = {cell.name: set() for cell in cells}
        for cell in cells:
            self._shards[cell.name].append(cell)
        for cell in self.due:
            self._missing[cell.name].add(cell.folder)

    def add(self, cell: Cell) -> None:
        """A cell has come to its end; if it was the last of its combination, `rates.csv` is written anew."""
        if not cell.is_finished:
            cell.finish()
        self._missing[cell.name].discard(cell.folder)
        if not self._missing[cell.name]:
            self.write()

    def write(self) -> None:
        """Read what is finished and was not read yet, and write `rates.csv`."""
        for name in self._shards:
            if name not in self.rows and (census := self.census(name)) is not None:
                if self.parquet and not self._missing[name]:
                    write_parquet(self._table(name), census.paths, without=OF_A_SHARD)
                self.rows[name] = geometry_rows(census)
        self.rows = {name: self.rows[name] for name in self._shards if name in self.rows}
        merged = [{**self._shards[name][0].values, **row} for name, rows in self.rows.items() for row in rows]
        if merged:
            write_rows(self.out / RATES, merged)

    def census(self, name: str) -> Joined | None:
        """The rows of a combination, if it is finished."""
        if not self._missing[name]:
            return Joined(tuple(cell.folder / CENSUS for cell in self._shards[name]))
        was_removed = not any(cell.folder.exists() for cell in self._shards[name])
        return Joined((self._table(name),)) if not self._runs and was_removed and self._table(name).is_file() else None

    def finished(self) -> list[Cell]:
        """The cells of combinations of which every shard's folder is there and finished."""
        return [cell for cell in self.cells if not self._missing[cell.name]]

    def _table(self, name: str) -> Path:
        return self.out / name / CENSUS_PARQUET
