"""The angle between the columns of two features that the data tie together."""

import torch
from jaxtyping import Float
from torch import Tensor

from callbacks.metric import Metric
from src.errors import require
from src.geometry.polygons import STUB_NORM
from src.model import ToyModel


class PairAngles(Metric):
    """The angle between two columns in degrees, from 0, side by side, to 180, antipodal; NaN where one is a stub.

    Args:
        pairs: which features; by default (0, 1), (2, 3), and so on, the pairs of `CorrelatedPairs`,
            `AnticorrelatedPairs` and `Hierarchical`.
        n_records, instances, name: see `Metric`.

    Raises:
        ConfigError: if a pair is not two features of the model.
    """

    def __init__(
        self,
        pairs: list[list[int]] | None = None,
        n_records: int | None = None,
        instances: list[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(n_records, instances, name)
        self.pairs = pairs

    def measure(self, model: ToyModel) -> Float[Tensor, "instance pair"]:
        n = model.n_features
        pairs = [[i, i + 1] for i in range(0, n - 1, 2)] if self.pairs is None else self.pairs
        are_there = all(len(pair) == 2 and all(0 <= i < n for i in pair) for pair in pairs)
        allowed = f"pairs of features, numbered from 0 to {n - 1}"
        require(len(pairs) > 0 and are_there, "PairAngles.pairs", pairs, allowed)
        first, second = (model.columns.detach().double()[:, :, own] for own in zip(*pairs, strict=True))
        norms = first.norm(dim=1), second.norm(dim=1)
        cosine = (first * second).sum(dim=1) / (norms[0] * norms[1])
        are_long = (norms[0] >= STUB_NORM) & (norms[1] >= STUB_NORM)
        return torch.where(are_long, cosine.clamp(-1, 1).arccos().rad2deg(), torch.nan)
