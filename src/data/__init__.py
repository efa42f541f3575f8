"""Lightning data modules: fresh examples at every step, a finite set of them, or the whole distribution."""

from src.data.endless import SparseFeatures
from src.data.features import Features
from src.data.finite import FiniteFeatures
from src.data.whole import SparsePopulation

__all__ = ["Features", "FiniteFeatures", "SparseFeatures", "SparsePopulation"]
