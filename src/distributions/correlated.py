"""Features that are active together."""

from src.distributions.blocks import Blocks
from src.distributions.values import Name
from src.errors import require


class CorrelatedGroups(Blocks):
    """Neighbouring features in groups, all of a group active together or none (Elhage et al. 2022, "Toy Models of
    Superposition", section "Organization of correlated features"). Values are independent.

    Args:
        n_features: entries of an example, a multiple of `group_size`.
        p: the probability that a feature is active, in (0, 1].
        group_size: features of a group: the first so many, the next, and so on.
        values: of active features: `unit` uniform on [0, 1], `signed` uniform on [-1, 1], `binary` 1.
    """

    def __init__(self, n_features: int = 6, p: float = 0.057, group_size: int = 2, values: Name = "unit") -> None:
        require(group_size >= 1, "data.distribution.group_size", group_size, "at least 1")
        require(0 < p <= 1, "data.distribution.p", p, "in (0, 1]")
        super().__init__(n_features, group_size, p, {tuple(range(group_size)): 1.0}, values)
        self.p, self.group_size = p, group_size


class CorrelatedPairs(CorrelatedGroups):
    """Features 0 and 1 are active together or not at all, and so are 2 and 3, ...: `CorrelatedGroups` of two."""

    def __init__(self, n_features: int = 6, p: float = 0.057, values: Name = "unit") -> None:
        super().__init__(n_features, p, 2, values)
