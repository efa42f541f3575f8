"""A distribution for each instance of a stack."""

from collections.abc import Iterator, Sequence

from src.distributions.examples import Sample
from src.distributions.supports import Enumerated


class PerInstance:
    """Some distributions, and which of them is each instance's."""

    def __init__(self, populations: Sequence[Enumerated | Sample], which: Sequence[int]) -> None:
        self.populations = list(populations)
        self.which = list(which)

    def groups(self) -> Iterator[tuple[Enumerated | Sample, list[int]]]:
        """Each distribution that an instance has, with its instances."""
        for k, population in enumerate(self.populations):
            instances = [i for i, own in enumerate(self.which) if own == k]
            if instances:
                yield population, instances


Population = Enumerated | Sample | PerInstance  # what a loss can be taken over
