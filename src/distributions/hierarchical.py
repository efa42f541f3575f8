"""Features that are active only when another is: children and their parent."""

import itertools

from src.distributions.blocks import Blocks
from src.distributions.values import Name
from src.errors import require

MOST_CHILDREN = 9  # so that a family is enumerated, in 2^children patterns


class Hierarchical(Blocks):
    """Families of neighbouring features: a parent, and children that may be active only when it is.

    Feature 0 is a parent, the next `n_children` are its children, then comes the next parent.

    Args:
        n_features: entries of an example, a multiple of 1 + `n_children`.
        p: the probability that a parent is active, in (0, 1].
        n_children: of each parent, from 1 to 9.
        child_probability: that a child is active when its parent is, in (0, 1]; each child on its own.
        values: of active features: `unit` uniform on [0, 1], `signed` uniform on [-1, 1], `binary` 1.
    """

    def __init__(
        self,
        n_features: int = 6,
        p: float = 0.1,
        n_children: int = 1,
        child_probability: float = 0.5,
        values: Name = "unit",
    ) -> None:
        require(0 < p <= 1, "data.distribution.p", p, "in (0, 1]")
        allowed = f"from 1 to {MOST_CHILDREN}"
        require(1 <= n_children <= MOST_CHILDREN, "data.distribution.n_children", n_children, allowed)
        q = child_probability
        require(0 < q <= 1, "data.distribution.child_probability", q, "in (0, 1]")
        patterns = {
            (0, *children): q**size * (1 - q) ** (n_children - size)
            for size in range(n_children + 1)
            for children in itertools.combinations(range(1, n_children + 1), size)
        }
        super().__init__(n_features, 1 + n_children, p, patterns, values)
        self.p, self.n_children, self.child_probability = p, n_children, child_probability
