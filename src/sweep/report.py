"""What a sweep has found so far: one table, one picture, and what is printed of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from src.figures.elements import write_figure
from src.figures.metrics import metric_figure
from src.figures.rates import rate_grid_figure, rates_figure
from src.figures.regimes import regimes_figure
from src.results.agreement import agreement_rows
from src.results.geometries import geometry_table
from src.results.metrics import metric_row, metrics_of, summary_text
from src.results.rates import Rate, rate
from src.results.regimes import Regime, order_of, read_regime, regime_rows, regime_table
from src.runs.folder import AGREEMENT, METRICS, POLYGONS, RATES, RATES_PICTURE, REGIMES, REGIMES_PICTURE, STORED
from src.runs.tables import write_rows
from src.sweep.cells import Cell, shortened
from src.sweep.merging import Merged
from src.sweep.polygons import polygons_of

SIZE = "data.n_examples"  # a sweep over it is drawn as data regimes
N_PAIRS = 10  # of cells up to which their agreement is printed; the file has all


def report(merged: Merged, console: Console) -> None:
    """Merge, draw and print what is finished."""
    merged.write()
    out, cells = merged.out, merged.cells
    if not merged.rows:
        return
    write_figure(out / RATES_PICTURE, _picture(cells, merged.rows))
    pictures = [out / RATES_PICTURE]
    finished = merged.finished()
    polygons = polygons_of(finished) if finished else None
    if polygons is not None:
        write_figure(out / POLYGONS, polygons)
        pictures.append(out / POLYGONS)
    elif finished:
        for suffix in (".png", ".svg"):
            (out / POLYGONS).with_suffix(suffix).unlink(missing_ok=True)
    agreement = agreement_of(cells, {name: merged.census(name) for name in merged.rows})
    if agreement:
        write_rows(out / AGREEMENT, agreement)
    else:
        (out / AGREEMENT).unlink(missing_ok=True)
    regimes = regimes_of(finished)
    for others, own in regimes.items():
        report_regimes(out, others, own, console)
    if not regimes:
        console.print(geometry_table(merged.rows))
        print_agreement(agreement, console)
    pictures += report_metrics(merged, console)
    drawn = ", ".join(str(path.with_suffix(".svg")) for path in pictures)
    console.print(f"merged table: {out / RATES}   pictures: {drawn}", markup=False, soft_wrap=True)


def report_metrics(merged: Merged, console: Console) -> list[Path]:
    """What callbacks have measured of every instance: a table of all cells, and a picture for each metric."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for cell in merged.rows:
        for name, values in metrics_of(merged.census(cell) or ()).items():
            found.setdefault(name, {})[cell] = values
    settings = {cell.name: cell.values for cell in merged.cells}
    rows = []
    for name, cells in found.items():
        for cell, values in cells.items():
            rows.append({**settings[cell], "metric": name, **metric_row(values)})
            line = summary_text(f"{cell}, {name}", values)
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if rows:
        write_rows(merged.out / METRICS, rows)
    pictures = {merged.out / f"metric_{name}.png": metric_figure(name, cells) for name, cells in found.items()}
    for path, figure in pictures.items():
        write_figure(path, figure)
    return list(pictures)


def agreement_of(cells: Sequence[Cell], censuses: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`agreement_rows` of the cells between which a seed is the same initialisation."""
    alike: dict[str, dict[str, Any]] = {}
    for cell in cells:
        if cell.name in censuses:
            alike.setdefault(cell.initialisation, {})[cell.name] = censuses[cell.name]
    return [row for group in alike.values() if len(group) > 1 for row in agreement_rows(group)]


def print_agreement(agreement: Sequence[Mapping[str, Any]], console: Console) -> None:
    for row in agreement if len(agreement) <= N_PAIRS else []:
        both = f"{row['first']} and {row['second']}"
        share = rate(row["count"], row["n"])
        sentence = f"The same geometry from the same seed, {both}: {share}; by chance {row['by_chance']:.1%}."
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def regimes_of(cells: Sequence[Cell]) -> dict[str, list[Regime]]:
    """What finite training sets of each size led to, for each combination of the other settings, by its name."""
    groups: dict[str, list[Regime]] = {}
    for name in dict.fromkeys(cell.name for cell in cells):
        own = [cell for cell in cells if cell.name == name]
        if SIZE in own[0].values and all((cell.folder / STORED).is_file() for cell in own):
            labels = zip(own[0].values, own[0].labels.items(), strict=True)
            others = shortened(", ".join(f"{short}={label}" for key, (short, label) in labels if key != SIZE))
            n_examples = own[0].config["data"]["init_args"]["n_examples"]
            groups.setdefault(others, []).append(read_regime(n_examples, [cell.folder for cell in own]))
    return groups


def report_regimes(out: Path, others: str, regimes: Sequence[Regime], console: Console) -> None:
    """Over the sizes of a finite training set: a table and a figure."""
    regimes = sorted(regimes, key=lambda regime: order_of(regime.n_examples))
    table, picture = (out / f"{others} {name}".strip() for name in (REGIMES, REGIMES_PICTURE))
    rows = regime_rows(regimes)
    write_rows(table, rows)
    write_figure(picture, regimes_figure(regimes, others))
    console.print(regime_table(rows))
    console.print(f"regimes: {table}   picture: {picture}", markup=False, soft_wrap=True)


def _picture(cells: Sequence[Cell], merged: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Over the two settings of a grid of two, or cell by cell."""
    outcomes = {name: {row["geometry"]: rate(row["count"], row["n"]) for row in rows} for name, rows in merged.items()}
    if len(cells[0].labels) != 2:
        return rates_figure(outcomes)
    points: dict[tuple[str, str], Mapping[str, Rate]] = {}
    for cell in cells:
        column, row = cell.labels.values()
        if cell.name in outcomes:
            points[column, row] = outcomes[cell.name]
    first, second = cells[0].labels
    return rate_grid_figure(points, (first, second))
