"""What every instance of a small sweep ended in, as polygons in one picture: such as the post's Figure 14."""

import itertools
from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from src.figures.polygons import polygon_figure
from src.runs.folder import CENSUS, TRAJECTORY, read_trajectory
from src.runs.tables import rows_of
from src.sweep.cells import Cell

N_PANELS = 16  # in one picture


def polygons_of(cells: Sequence[Cell]) -> Figure | None:
    """A panel an instance; in a grid of two settings a column a value of the first, a row a value of the second.

    None where there is nothing to draw in one picture: more than 16 instances, instances that were not recorded, or
    models of another number of features or of hidden dimensions.
    """
    panels: list[tuple[str, Tensor]] = []
    step = 0
    for cell in in_rows(cells):
        names = [row["name"] for row in itertools.islice(rows_of(cell.folder / CENSUS), N_PANELS + 1)]
        if len(panels) + len(names) > N_PANELS or not (cell.folder / TRAJECTORY).is_file():
            return None
        recorded = read_trajectory(cell.folder)
        W, step = recorded.get("columns", recorded["W"])[-1], max(step, int(recorded["steps"][-1]))
        if len(W) != len(names) or (panels and W.shape[1:] != panels[0][1].shape):
            return None
        settings = [value for key, value in cell.labels.items() if key not in ("first_seed", "seeds")]  # in the names
        panels += [(", ".join([*settings, name]), own) for name, own in zip(names, W, strict=True)]
    is_grid = len(cells[0].labels) == 2 and len(panels) == len(cells)
    firsts, seconds = ({own[k] for own in map(_two, cells)} for k in (0, 1)) if is_grid else (set(), set())
    n_columns = len(firsts) if is_grid and len(firsts) * len(seconds) == len(cells) else None
    W = torch.stack([own for _, own in panels])
    return polygon_figure(W, [name for name, _ in panels], step, n_columns=n_columns)


def in_rows(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of a grid of two settings ordered by the second one's value, then the first one's."""
    if len(cells[0].labels) != 2:
        return list(cells)
    firsts, seconds = (list(dict.fromkeys(values)) for values in zip(*map(_two, cells), strict=True))
    return sorted(cells, key=lambda cell: (seconds.index(_two(cell)[1]), firsts.index(_two(cell)[0])))


def _two(cell: Cell) -> tuple[str, str]:
    first, second = cell.labels.values()
    return first, second
