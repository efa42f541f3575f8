"""Regular polygons and solids of a model as critical points: the table in the terminal."""

from collections.abc import Sequence

from rich.table import Table

from src.predictions.formulas import plain_table
from src.theory.best_regular import RegularPoint

MOST = 14  # rows: those that are best somewhere come first


def regular_table(points: Sequence[RegularPoint], title: str) -> Table:
    """Each configuration's loss at each p, over that of a model without features; the best in bold, minima marked."""
    probabilities = sorted({point.p for point in points})
    table = plain_table(
        f"{title}: configurations with best norms and biases, all else dead; loss x 3 / p",
        "",
        *(f"p = {p:.4g}" for p in probabilities),
    )
    by_name: dict[str, dict[float, RegularPoint]] = {}
    for point in points:
        by_name.setdefault(point.name, {})[point.p] = point
    best = {}
    for p in probabilities:
        best[p] = min((point for point in points if point.p == p), key=lambda point: point.loss).name
    ranked = sorted(by_name, key=lambda name: min(_rank(point, points) for point in by_name[name].values()))
    for name in ranked[:MOST]:
        table.add_row(name, *(_cell(by_name[name].get(p), best[p] == name) for p in probabilities))
    left_out = len(ranked) - MOST
    more = f" {left_out} more are in the file." if left_out > 0 else ""
    table.caption = f"* a minimum, ~ flat in a direction, ? undecided, x moves away; no mark: a saddle.{more}"
    return table


def _rank(point: RegularPoint, points: Sequence[RegularPoint]) -> int:
    return sum(other.p == point.p and other.loss < point.loss for other in points)


def _cell(point: RegularPoint | None, is_best: bool) -> str:
    if point is None:
        return ""
    mark = {"minimum": "*", "degenerate": "~", "undecided": "?", "not stationary": "x"}.get(point.verdict, " ")
    words = f"{3 * point.loss / point.p:.5f}{mark}"
    return f"[bold green]{words}[/]" if is_best else words
