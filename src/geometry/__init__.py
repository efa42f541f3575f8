"""From the columns of W to names: polygons, solids, and how much of the hidden space a feature has to itself."""

from src.geometry.dimensionality import dimensionality
from src.geometry.polygons import Polygons, find_polygons

__all__ = ["Polygons", "dimensionality", "find_polygons"]
