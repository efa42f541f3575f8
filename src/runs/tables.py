"""Tables: as CSV, and large ones as Parquet (`pip install -e '.[parquet]'`). Whoever reads one reads either."""

import csv
import io
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import ConfigError
from src.runs.folder import named, write_whole

PARQUET = ".parquet"
# The columns of a census that are numbers, one to a cell. In Parquet others are text: "3", or "3 5", or nothing.
WHOLE = ("instance", "seed", "diverged_at", "n_learned", "n_overlap", "geometry_count")
REAL = (
    *("residual", "frobenius_norm", "loss", "loss_error", "smallest_feature_loss", "largest_feature_loss"),
    *("geometry_share", "geometry_share_low", "geometry_share_high", "training_loss"),
)
ROWS_AT_ONCE = 16384


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a table whole, as CSV; the first row's keys are the columns."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())
    return path


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(rows_of(path))


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table one by one, of which few are in memory; from Parquet with the text that the CSV has."""
    if path.suffix == PARQUET:
        parquet = pyarrow().parquet.ParquetFile(path)
        for batch in parquet.iter_batches(ROWS_AT_ONCE):
            for row in batch.to_pylist():
                yield {name: "" if value is None else str(value) for name, value in row.items()}
    else:
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


@dataclass(frozen=True)
class Joined:
    """The rows of several tables, one table after the other, read anew each time that they are gone through."""

    paths: tuple[Path, ...]

    def __iter__(self) -> Iterator[dict[str, str]]:
        return itertools.chain.from_iterable(map(rows_of, self.paths))


def write_parquet(path: Path, parts: Iterable[Path], without: Collection[str] = ()) -> None:
    """Join CSV tables into one Parquet table, written whole; a group of rows for each, and one in memory at a time.

    A column that only some of them have is empty in the others. `WHOLE` and `REAL` columns become numbers.

    Args:
        without: columns to leave out.

    Raises:
        ConfigError: if pyarrow is not installed.
    """
    arrow = pyarrow()
    parts = list(parts)
    columns: dict[str, None] = {}
    for part in parts:
        with part.open(newline="") as file:
            columns.update(dict.fromkeys(name for name in next(csv.reader(file), []) if name not in without))
    kinds = {**dict.fromkeys(WHOLE, arrow.int64()), **dict.fromkeys(REAL, arrow.float64())}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in columns])
    options = arrow.csv.ConvertOptions(
        column_types=schema, include_columns=list(columns), include_missing_columns=True, null_values=[""]
    )
    unfinished = path.with_name(path.name + ".part")
    try:
        with named(path), arrow.parquet.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            for part in parts:
                writer.write_table(arrow.csv.read_csv(part, convert_options=options))
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def pyarrow() -> Any:
    """The library.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        import pyarrow.csv  # noqa: PLC0415 - an extra, and half a second
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise ConfigError("pyarrow is missing, which Parquet tables need: pip install -e '.[parquet]'.") from None
    return pyarrow
