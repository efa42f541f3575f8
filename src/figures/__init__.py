"""Figures as functions of arrays: `draw_*(axes, arrays)` and whole figures. No training, no files, one palette."""

from src.figures.elements import png
from src.figures.gallery import gallery_figure
from src.figures.polygons import polygon_figure

__all__ = ["gallery_figure", "png", "polygon_figure"]
