"""Examples with weights, dense or sparse, and a distribution as a fixed sample of them."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Chunk(NamedTuple):
    """Examples and their weights, which sum to 1 over all chunks of a distribution."""

    x: Float[Tensor, "batch feature"]
    weights: Float[Tensor, " batch"]

    def dense_parts(self, size: int) -> Iterator["Chunk"]:
        """So many examples at a time, dense also where x is sparse."""
        if not self.x.is_sparse:
            yield from map(Chunk, self.x.split(size), self.weights.split(size))  # type: ignore[no-untyped-call]
            return
        for rows in torch.arange(len(self.weights), device=self.x.device).split(size):  # type: ignore[no-untyped-call]
            yield Chunk(self.x.index_select(0, rows).to_dense(), self.weights[rows])


class Sample:
    """A distribution by a fixed sample, in equal independent chunks: for what cannot be enumerated."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self.chunks = chunks


def collapse_empty_rows(
    x: Float[Tensor, "batch feature"], weight: float, weights: Float[Tensor, " batch"] | None = None
) -> Chunk:
    """Examples of total weight `weight`, or with `weights`; all-zero rows are merged into one that carries theirs.

    At p = 0.057 and n = 6 seven rows in ten are empty, and a model answers all of them alike.
    """
    is_active = (x != 0).any(dim=-1)
    active = x[is_active]
    if weights is None:
        collapsed = x.new_full((len(active) + 1,), weight / len(x))
        collapsed[-1] = weight * (len(x) - len(active)) / len(x)
    else:
        collapsed = torch.cat([weights[is_active], weights[~is_active].sum().unsqueeze(0)])
    return Chunk(torch.cat([active, x.new_zeros(1, x.shape[-1])]), collapsed)


def sparse_rows(indices: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Coordinates in order as a sparse COO tensor, unchecked."""
    return torch.sparse_coo_tensor(indices, values, shape, is_coalesced=True, check_invariants=False)


def scaled_to_unit_length(x: Tensor) -> Tensor:
    """Sparse COO rows scaled to a Euclidean norm of 1; an empty row stays empty."""
    (row, _), value = x.indices(), x.values()
    square = torch.zeros(x.shape[0], dtype=torch.float64).index_add_(0, row, value.double().square())
    scaled = (value / square.sqrt()[row]).nan_to_num(0)  # a value may be exactly 0, alone in its row
    return sparse_rows(x.indices(), scaled.to(value.dtype), (x.shape[0], x.shape[1]))
