"""What active features are: uniform between two numbers, or always one."""

from typing import Literal, NamedTuple

from torch import Tensor

from src.errors import require


class Values(NamedTuple):
    """Uniform from `low` to `high`, or `high` where they are equal."""

    low: float
    high: float

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    @property
    def thrice_mean_square(self) -> float:
        """Which is 1 of both uniform ones."""
        return self.low**2 + self.low * self.high + self.high**2

    @property
    def has_both_signs(self) -> bool:
        return self.low < 0 < self.high

    @property
    def width(self) -> float:
        return self.high - self.low

    def of(self, uniform: Tensor) -> Tensor:
        """From numbers that are uniform on [0, 1)."""
        return uniform if self == UNIT else self.low + self.width * uniform


UNIT, SIGNED, BINARY = Values(0.0, 1.0), Values(-1.0, 1.0), Values(1.0, 1.0)
Name = Literal["unit", "signed", "binary"]
NAMED: dict[str, Values] = {"unit": UNIT, "signed": SIGNED, "binary": BINARY}


def values_named(name: str) -> Values:
    """ConfigError: there are no such values."""
    require(name in NAMED, "data.distribution.values", name, "unit, signed or binary")
    return NAMED[name]
