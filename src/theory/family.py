"""The population losses of one model: a surface for each law of examples and each number of dimensions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.supports import Enumerated, SupportSizes
from src.population.surface import Points, PointwiseSurface, Surface

Shapes = Mapping[str, tuple[int, ...]]


class Family(ABC):
    """A model of any size.

    Attributes:
        name: what it is called in titles.
        n_features, n_hidden: the size that is asked about; surfaces may be of smaller ones.
        is_posts: whether it is the post's, x' = ReLU(W^T W x + b) with the squared error.
    """

    name: str
    n_features: int
    n_hidden: int
    is_posts: bool

    @abstractmethod
    def shapes(self, n_features: int, n_hidden: int) -> Shapes:
        """Of the parameters of one instance, by name: W, and b and V where it has them."""

    @abstractmethod
    def surface(self, distribution: Enumerated, points: Points | None = None, n_hidden: int | None = None) -> Surface:
        """The loss over a distribution, of as many features as that has.

        Args:
            points: such as will be asked for, by which a rule of integration is chosen.
            n_hidden: another number of dimensions.
        """


class ReLUFamily(Family):
    """The post's model."""

    name, is_posts = "ReLU", True

    def __init__(self, n_features: int, n_hidden: int = 2) -> None:
        self.n_features, self.n_hidden = n_features, n_hidden

    def shapes(self, n_features: int, n_hidden: int) -> Shapes:
        return {"W": (n_hidden, n_features), "b": (n_features,)}

    def surface(self, distribution: Enumerated, points: Points | None = None, n_hidden: int | None = None) -> Surface:
        return PointwiseSurface(self.shapes(distribution.n_features, n_hidden or self.n_hidden), distribution)


def independent(family: Family, p: float, points: Points | None = None) -> Surface:
    """The loss where each feature is active with probability p, on its own."""
    return family.surface(SupportSizes.independent(family.n_features, p), points)


def as_points(
    shapes: Shapes, W: Float[Tensor, "point hidden feature"], b: Float[Tensor, "point feature"]
) -> Float[Tensor, "point parameter"]:
    """Stacks of W and b as rows of parameters; V is W, and a b that is no parameter is left out."""
    own = {"W": W, "b": b, "V": W}
    return torch.cat([own[name].flatten(1) for name in shapes], dim=1)


def columns_of(points: Float[Tensor, "point parameter"], n_hidden: int, n_features: int) -> Tensor:
    """W, [point, hidden, feature], which comes first in a row of parameters."""
    return points[:, : n_hidden * n_features].reshape(len(points), n_hidden, n_features)
