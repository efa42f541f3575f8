"""The post's formulas and polygons in closed form, as tables and figures."""

from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from src.figures.elements import write_figure
from src.figures.theory import loss_change_figure
from src.runs.folder import CRITICAL_POINTS, LOSS_CHANGE, LOSS_CHANGE_PICTURE
from src.runs.tables import write_rows
from src.theory.critical_points import (
    MAX_VERTICES,
    CriticalPoint,
    best_critical_point,
    best_norm_and_bias,
    polygon_cost,
)
from src.theory.post import best_continuous_number, loss_change, represented_loss

POST_NUMBERS = range(2, 9)  # F in the post's table
FEATURE_NUMBERS = range(4, 11)  # n for which polygons are compared


def theory(out: Path, console: Console) -> None:
    """Equations 1 to 4 for whole F, and the critical points of the loss with one active feature at a time."""
    rows = [
        {
            "F": F,
            "represented_loss": represented_loss(F, 1.0),
            "loss_change": loss_change(F),
            "loss_change_as_printed": loss_change(F, as_printed=True),
        }
        for F in POST_NUMBERS
    ]
    table = plain_table("Unit norm, no bias: the post's equations 3 and 4, over p", "F", "L_F", "ΔL", "ΔL as printed")
    least = min(POST_NUMBERS, key=loss_change)
    for row in rows:
        values = (f"{row[name]:.4f}" for name in ("represented_loss", "loss_change", "loss_change_as_printed"))
        table.add_row(str(row["F"]), *values, style="bold green" if row["F"] == least else "")
    console.print(table)
    continuous = best_continuous_number()
    console.print(
        f"least at F = {least}; of all real F at {continuous:.4f}, where ΔL = {loss_change(continuous):.4f}\n"
    )
    write_rows(out / LOSS_CHANGE, rows)

    polygons = plain_table(
        "Norm and bias solved for, one feature at a time; costs and savings over p / 3",
        "k",
        "norm",
        "bias",
        "h_k",
        "saved per vertex",
        "saved",
    )
    for k in range(2, MAX_VERTICES + 1):
        (norm, bias), cost = best_norm_and_bias(k), polygon_cost(k)
        saved = f"{1 - cost / k:.1%}", f"{k - cost:.4f}"
        polygons.add_row(str(k), f"{norm:.5f}", f"{bias:.5f}", f"{cost:.5f}", *saved)
    console.print(polygons)

    names = [f"k = {k}" for k in range(4, MAX_VERTICES + 1)]
    losses = plain_table("Loss of the k-gon, all others dead with the better bias, summed over features", "n", *names)
    points = []
    for n in FEATURE_NUMBERS:
        own = [CriticalPoint(k, n, n - k) for k in range(4, min(n, MAX_VERTICES) + 1)]
        best = best_critical_point(n)
        cells = [f"[bold green]{p.loss:.5f}[/]" if p == best else f"{p.loss:.5f}" for p in own]
        losses.add_row(str(n), *cells)
        points += [
            {"n_features": n, "point": p.name, "loss": p.loss, "stability": p.stability, "is_best": p == best}
            for p in own
        ]
    console.print(losses)
    write_rows(out / CRITICAL_POINTS, points)
    write_figure(out / LOSS_CHANGE_PICTURE, loss_change_figure())
    console.print(f"tables and picture: {out}", soft_wrap=True)


def plain_table(title: str, *headings: str) -> Table:
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="left" if k == 0 else "right")
    return table
