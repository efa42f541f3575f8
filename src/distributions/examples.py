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


def without_empty_rows(
    x: Float[Tensor, "batch feature"], weights: Float[Tensor, " batch"] | None
) -> tuple[Float[Tensor, "row feature"], Float[Tensor, " row"]]:
    """The same examples with those that are all zero merged into one, the last, that carries their weight."""
    weights = x.new_full((len(x),), 1 / len(x)) if weights is None else weights.to(x)
    is_active = (x != 0).any(dim=-1)
    active = is_active.nonzero().squeeze(1)
    of_empty = weights.sum() - weights[active].sum() if len(active) < len(x) else weights.new_zeros(())
    return torch.cat([x[active], x.new_zeros(1, x.shape[-1])]), torch.cat([weights[active], of_empty.view(1)])


def collapse_empty_rows(x: Float[Tensor, "batch feature"], weight: float) -> Chunk:
    """A sample of total weight `weight` with its all-zero rows merged into one that carries theirs.

    At p = 0.057 and n = 6 seven rows in ten are empty, and a model answers all of them alike.
    """
    active = x[(x != 0).any(dim=-1)]
    weights = torch.full((len(active) + 1,), weight / len(x), dtype=x.dtype)
    weights[-1] = weight * (len(x) - len(active)) / len(x)
    return Chunk(torch.cat([active, x.new_zeros(1, x.shape[-1])]), weights)


def sparse_rows(indices: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Coordinates in order as a sparse COO tensor, unchecked."""
    return torch.sparse_coo_tensor(indices, values, shape, is_coalesced=True, check_invariants=False)


def scaled_to_unit_length(x: Tensor) -> Tensor:
    """Sparse COO rows scaled to a Euclidean norm of 1; an empty row stays empty."""
    (row, _), value = x.indices(), x.values()
    square = torch.zeros(x.shape[0], dtype=torch.float64).index_add_(0, row, value.double().square())
    scaled = (value / square.sqrt()[row]).nan_to_num(0)  # a value may be exactly 0, alone in its row
    return sparse_rows(x.indices(), scaled.to(value.dtype), (x.shape[0], x.shape[1]))
