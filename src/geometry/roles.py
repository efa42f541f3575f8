"""Which columns of W are stubs, which share a direction, and which of those is learned.

Columns within `OVERLAP_ANGLE` of each other, or joined by a chain of such columns, are one direction, and the longest
of them is learned. This holds in any number of hidden dimensions. In the plane directions have an order, round the
origin, and `src.geometry.polygons` makes use of it.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Half the length at which a lone feature is reconstructed: a shorter column returns less than a quarter of its feature.
STUB_NORM = 0.5
# A third of the angle between neighbours in an octagon.
OVERLAP_ANGLE = math.pi / 12
MAX_COMPARED = 512  # outside the plane every column is compared with every other one; of more, no directions are merged
PAIRS_AT_ONCE = 2**22


def norms_and_stubs(
    W: Float[Tensor, "instance hidden feature"],
) -> tuple[Float[Tensor, "instance feature"], Bool[Tensor, "instance feature"]]:
    """The columns' norms, and which of them are shorter than `STUB_NORM` or not a number."""
    norm = W.square().sum(dim=1).sqrt()  # `norm` over an axis that is not the last is many times slower
    return norm, ~(norm >= STUB_NORM)  # written so that NaN is a stub


def learned_columns(W: Float[Tensor, "instance hidden feature"]) -> Bool[Tensor, "instance feature"]:
    """The longest column of each direction, the first of equally long ones; with over 512 columns, every long one."""
    norm, stub = norms_and_stubs(W)
    if W.shape[2] > MAX_COMPARED:
        return ~stub
    direction = joined(W, ~stub, lambda cosine: cosine >= math.cos(OVERLAP_ANGLE))
    return longest_of_each(norm, direction, ~stub)


def cosines(W: Float[Tensor, "instance hidden feature"]) -> Float[Tensor, "instance feature feature"]:
    """The cosine of the angle between every two columns; NaN with a column of length 0 or infinity."""
    unit = W / norms_and_stubs(W)[0].unsqueeze(1)
    return unit.mT @ unit


def joined(
    W: Float[Tensor, "instance hidden feature"],
    among: Bool[Tensor, "instance feature"],
    is_joint: Callable[[Tensor], Tensor],
) -> Int[Tensor, "instance feature"]:
    """Number the sets of columns that are joined, directly or by a chain, each by its first column.

    Args:
        among: the columns that can be joined; any other is a set of its own.
        is_joint: from the cosines between columns to which pairs are joined.
    """
    n = W.shape[2]
    itself = torch.eye(n, dtype=torch.bool, device=W.device)
    step = max(1, PAIRS_AT_ONCE // max(1, n * n))
    numbers = [torch.empty(0, n, dtype=torch.int64, device=W.device)]
    for first in range(0, len(W), step):
        part, allowed = W[first : first + step], among[first : first + step]
        pairs = is_joint(cosines(part)) & allowed.unsqueeze(1) & allowed.unsqueeze(2)
        numbers.append(_first_reached(pairs | itself))
    return torch.cat(numbers)


def _first_reached(pairs: Bool[Tensor, "instance feature feature"]) -> Int[Tensor, "instance feature"]:
    """The lowest number that a chain of pairs leads to, by passing the lowest one on until nothing changes."""
    n = pairs.shape[1]
    number = torch.arange(n, device=pairs.device).expand(pairs.shape[:2])
    while True:
        lowest = number.unsqueeze(1).masked_fill(~pairs, n).amin(dim=2)
        lowest = lowest.gather(1, lowest)  # two steps in one
        if torch.equal(lowest, number):
            return number
        number = lowest


def longest_of_each(
    norm: Float[Tensor, "instance feature"],
    direction: Int[Tensor, "instance feature"],
    is_long: Bool[Tensor, "instance feature"],
) -> Bool[Tensor, "instance feature"]:
    """The longest column of each direction, the first of several equally long ones."""
    norm = norm.masked_fill(~is_long, -1.0)
    longest = torch.zeros_like(norm).scatter_reduce(1, direction, norm, "amax", include_self=True)
    candidate = is_long & (norm == longest.gather(1, direction))
    position = torch.arange(norm.shape[1], device=norm.device).expand_as(direction)
    position = position.masked_fill(~candidate, norm.shape[1])
    first = torch.full_like(direction, norm.shape[1]).scatter_reduce(1, direction, position, "amin")
    return candidate & (position == first.gather(1, direction))
