"""The laws that examples follow: drawn from, and enumerated where that can be done. Nothing here knows a model."""

from src.distributions.distribution import Distribution
from src.distributions.examples import Chunk, Sample
from src.distributions.signed import Signed
from src.distributions.sparse import Sparse
from src.distributions.supports import SupportSizes

__all__ = ["Chunk", "Distribution", "Sample", "Signed", "Sparse", "SupportSizes"]
