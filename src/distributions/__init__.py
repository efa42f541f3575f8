"""The laws that examples follow: drawn from, and enumerated where that can be done. Nothing here knows a model."""

from src.distributions.anticorrelated import AnticorrelatedGroups, AnticorrelatedPairs
from src.distributions.blocks import Blocks
from src.distributions.correlated import CorrelatedGroups, CorrelatedPairs
from src.distributions.distribution import Distribution
from src.distributions.exactly import ExactlyK, OneAtATime
from src.distributions.examples import Chunk, Sample
from src.distributions.hierarchical import Hierarchical
from src.distributions.independent import Independent, PowerLaw
from src.distributions.product import Product
from src.distributions.revalued import Binary, Signed
from src.distributions.sparse import Sparse
from src.distributions.supports import Supports, SupportSizes
from src.distributions.values import Values

__all__ = [
    "AnticorrelatedGroups",
    "AnticorrelatedPairs",
    "Binary",
    "Blocks",
    "Chunk",
    "CorrelatedGroups",
    "CorrelatedPairs",
    "Distribution",
    "ExactlyK",
    "Hierarchical",
    "Independent",
    "OneAtATime",
    "PowerLaw",
    "Product",
    "Sample",
    "Signed",
    "Sparse",
    "SupportSizes",
    "Supports",
    "Values",
]
