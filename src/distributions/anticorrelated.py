"""Features that are never active together."""

from src.distributions.blocks import Blocks
from src.distributions.supports import Set
from src.distributions.values import Name
from src.errors import require


class AnticorrelatedGroups(Blocks):
    """Neighbouring features in groups, at most one of a group active at a time (Elhage et al. 2022, "Toy Models of
    Superposition", section "Organization of correlated features").

    Args:
        n_features: entries of an example, a multiple of `group_size`.
        p: the probability that a feature is active, in (0, 1 / `group_size`].
        group_size: features of a group: the first so many, the next, and so on.
        values: of active features: `unit` uniform on [0, 1], `signed` uniform on [-1, 1], `binary` 1.
    """

    def __init__(self, n_features: int = 6, p: float = 0.057, group_size: int = 2, values: Name = "unit") -> None:
        require(group_size >= 1, "data.distribution.group_size", group_size, "at least 1")
        allowed = f"in (0, 1 / {group_size}], since one feature of {group_size} is active at a time"
        require(p > 0 and p * group_size <= 1, "data.distribution.p", p, allowed)
        each: dict[Set, float] = {(feature,): 1 / group_size for feature in range(group_size)}
        super().__init__(n_features, group_size, p * group_size, each, values)
        self.p, self.group_size = p, group_size


class AnticorrelatedPairs(AnticorrelatedGroups):
    """Features 0 and 1 are never active together, nor are 2 and 3, ...: `AnticorrelatedGroups` of two."""

    def __init__(self, n_features: int = 6, p: float = 0.057, values: Name = "unit") -> None:
        super().__init__(n_features, p, 2, values)
