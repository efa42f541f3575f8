"""The polygon as text: columns of W drawn with braille characters, two dots wide and four high each."""

import torch
from jaxtyping import Float
from rich.text import Text
from torch import Tensor

from src.figures.palette import feature_color
from src.geometry.polygons import find_polygons, longest

COLUMNS, ROWS = 24, 11  # characters; 48 x 44 dots are about square on screen
DOT_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # by position in a braille cell: [x][y]
BLANK = 0x2800
MAX_SPOKES = 64
OUTLINE_STYLE = "bright_black"


class _Canvas:
    """Dots in the square [-1, 1] x [-1, 1], y up; a cell takes the style of the last line through it."""

    def __init__(self) -> None:
        self.bits = [[0] * COLUMNS for _ in range(ROWS)]
        self.styles = [[""] * COLUMNS for _ in range(ROWS)]

    def line(self, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
        n_dots = 4 * ROWS * 2
        for k in range(n_dots + 1):
            x, y = (a + (b - a) * k / n_dots for a, b in zip(start, end, strict=True))
            column = min(int((x + 1) / 2 * 2 * COLUMNS), 2 * COLUMNS - 1)
            row = min(int((1 - y) / 2 * 4 * ROWS), 4 * ROWS - 1)
            self.bits[row // 4][column // 2] |= DOT_BITS[column % 2][row % 4]
            self.styles[row // 4][column // 2] = style

    def text(self) -> Text:
        text = Text()
        for bits, styles in zip(self.bits, self.styles, strict=True):
            for bit, style in zip(bits, styles, strict=True):
                text.append(chr(BLANK + bit), style)
            text.append("\n")
        return text


def polygon_text(W: Float[Tensor, "2 feature"]) -> Text:
    """One instance's columns as coloured spokes, the learned ones joined; it fills its square.

    Of very many columns the longest are drawn.
    """
    W = W.detach().float().cpu().nan_to_num(0, 0, 0)
    numbers = longest(W, MAX_SPOKES)
    W = W[:, numbers]
    tips = [(x, y) for x, y in (W / W.norm(dim=0).max().clamp(min=1e-12)).T.tolist()]
    learned = find_polygons(W.unsqueeze(0)).learned[0]
    corners = [i for i in torch.atan2(W[1], W[0]).argsort().tolist() if learned[i]]
    canvas = _Canvas()
    for i, j in zip(corners, corners[1:] + corners[:1], strict=True):
        canvas.line(tips[i], tips[j], OUTLINE_STYLE)
    for i, tip in zip(numbers.tolist(), tips, strict=True):
        canvas.line((0.0, 0.0), tip, feature_color(i))
    return canvas.text()
