"""What a law of examples is: something to draw from and, where that can be done, to enumerate."""

from abc import ABC, abstractmethod
from inspect import signature

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.supports import Enumerated


class Distribution(ABC):
    """A law that examples x follow, each entry in [0, 1], or in [-1, 1] where the law has signs.

    A law of one's own sets `n_features` and defines `draw`. One whose sets of active features can be enumerated defines
    `supports` too: then the loss over it is exact, and otherwise a fixed sample's. Its text, `str(law)`, says
    what it is made from, by default the numbers and texts among its arguments that it keeps under their own names: a
    run is not resumed under another.
    """

    n_features: int

    def __str__(self) -> str:
        kept = {name: getattr(self, name, None) for name in signature(type(self)).parameters}
        plain = (bool, int, float, str, list, tuple)
        texts = [f"{name} {value}" for name, value in kept.items() if isinstance(value, plain)]
        return ", ".join([type(self).__name__, *texts])

    @abstractmethod
    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Float[Tensor, "*shape feature"]:
        """Examples, as many as `shape` says, in float32."""

    def draw_sparse(self, n_rows: int, generator: torch.Generator) -> Tensor:
        """The same as sparse COO [row, feature], coalesced: for many features of which few are active."""
        return self.draw((n_rows,), generator).to_sparse().coalesce()

    @property
    def n_active(self) -> float:
        """How many features are active on average: how large sparse examples are."""
        return float(self.n_features)

    @property
    def supports(self) -> Enumerated | None:
        """The law by its sets of active features and their probabilities; None where they cannot be enumerated."""
        return None
