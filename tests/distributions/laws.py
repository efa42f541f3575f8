"""One of each law, small enough to be enumerated."""

from src.distributions import (
    AnticorrelatedGroups,
    AnticorrelatedPairs,
    Binary,
    CorrelatedGroups,
    CorrelatedPairs,
    Distribution,
    ExactlyK,
    Hierarchical,
    Independent,
    OneAtATime,
    PowerLaw,
    Product,
    Signed,
    Sparse,
)

LAWS: dict[str, Distribution] = {
    "sparse": Sparse(4, 0.3),
    "signed": Signed(4, 0.3),
    "binary": Binary(4, 0.3),
    "correlated pairs": CorrelatedPairs(4, 0.2),
    "correlated threes, signed": CorrelatedGroups(6, 0.2, 3, "signed"),
    "anticorrelated pairs": AnticorrelatedPairs(4, 0.3),
    "anticorrelated threes, binary": AnticorrelatedGroups(6, 0.2, 3, "binary"),
    "a parent and a child": Hierarchical(4, 0.4, 1, 0.3),
    "a parent and two children, signed": Hierarchical(6, 0.4, 2, 0.6, "signed"),
    "one at a time": OneAtATime(4),
    "two at a time": ExactlyK(5, 2),
    "two at a time, signed": ExactlyK(4, 2, "signed"),
    "a probability for each": Independent([0.6, 0.05, 0.3]),
    "a power law, binary": PowerLaw(4, 0.6, 1.5, "binary"),
    "a product": Product([CorrelatedPairs(2, 0.4), OneAtATime(2)]),
}
