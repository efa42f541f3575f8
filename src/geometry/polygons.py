"""From the columns of W to named polygons and solids, for a stack of instances at once.

A column of W is where a feature points in the hidden space. Columns are sorted into three roles:

    stub      shorter than `STUB_NORM`: the model hardly represents the feature
    overlap   long, but within `OVERLAP_ANGLE` of a longer column (or of a chain of them)
    learned   the longest column of its direction

In the plane, of two hidden dimensions, the learned columns, one per direction, form a regular k-gon about the origin if
their distance from the nearest one is small. In other spaces they form other shapes: `src.geometry.solids`. Everything
here is unchanged by rotations, reflections and permutations of columns.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from src.geometry.roles import (
    MAX_COMPARED,
    OVERLAP_ANGLE,
    STUB_NORM,
    cosines,
    learned_columns,
    longest_of_each,
    norms_and_stubs,
)
from src.geometry.shapes import NAMES
from src.geometry.solids import REGULAR_WITHIN, nearest_shapes

__all__ = [
    "DIVERGED",
    "IRREGULAR",
    "NAMES",
    "OVERLAP_ANGLE",
    "REGULAR_WITHIN",
    "STUB_NORM",
    "Polygons",
    "angles_to_learned",
    "count_directions",
    "find_polygons",
    "longest",
]

IRREGULAR, DIVERGED = "irregular", "diverged"


@dataclass(frozen=True)
class Polygons:
    """What the columns of each instance's W form.

    Attributes:
        learned, overlap, stub: the role of each column; exactly one holds.
        n_directions: how many distinct directions there are; as many as learned columns.
        residual: distance of the learned columns from the nearest regular polygon centred on the origin, or outside
            the plane from the nearest shape, as a share of their Frobenius norm; NaN where nothing is learned.
        diverged: the instances that diverged while they trained, which their names say.
        shapes: outside the plane the nearest shape of each instance, however far.
    """

    learned: Bool[Tensor, "instance feature"]
    overlap: Bool[Tensor, "instance feature"]
    stub: Bool[Tensor, "instance feature"]
    n_directions: Int[Tensor, " instance"]
    residual: Float[Tensor, " instance"]
    diverged: Collection[int] = ()
    shapes: Sequence[str] | None = None

    @property
    def unlearned(self) -> list[list[int]]:
        """The features that each instance leaves out."""
        return [[i for i, is_learned in enumerate(row) if not is_learned] for row in self.learned.tolist()]

    @property
    def names(self) -> list[str]:
        """What each instance forms, `irregular` or `diverged`.

        In the plane a regular polygon, `digon` to `octagon` and `9-gon` on; in other spaces one of the shapes that
        `src.geometry.solids` names.
        """
        k_each, residuals = self.n_directions.tolist(), self.residual.tolist()
        if self.shapes is None:
            shapes = [NAMES.get(k, f"{k}-gon") if k >= 2 else IRREGULAR for k in k_each]
        else:
            shapes = list(self.shapes)
        names = [
            shape if residual <= REGULAR_WITHIN else IRREGULAR
            for shape, residual in zip(shapes, residuals, strict=True)
        ]
        return [DIVERGED if i in self.diverged else name for i, name in enumerate(names)]


def angles_to_learned(
    W: Float[Tensor, "instance hidden feature"], polygons: Polygons
) -> Float[Tensor, "instance feature"]:
    """Angle, in radians from 0 to pi, of each column from the nearest learned column; NaN where nothing is learned.

    Outside the plane it is NaN too for a column of length 0.
    """
    if W.shape[1] == 2:
        angle = torch.atan2(W[:, 1], W[:, 0]).detach().double()
        apart = (angle.unsqueeze(2) - angle.unsqueeze(1)).abs()  # [instance, feature, learned]
        apart = torch.minimum(apart, 2 * math.pi - apart)
    else:
        apart = cosines(W.detach().double()).clamp(-1, 1).acos()
    apart = apart.masked_fill(~polygons.learned.unsqueeze(1), math.inf)
    nearest = apart.amin(dim=2)
    return nearest.masked_fill(nearest.isinf(), math.nan)


def find_polygons(W: Float[Tensor, "instance hidden feature"]) -> Polygons:
    """Sort every column into its role and measure how far the learned ones are from a regular polygon or another shape.

    Outside the plane, columns of more than 512 features are not compared: every long one counts as learned, and the
    residual is NaN, so that the name is `irregular`.
    """
    W = W.detach().double()
    norm, stub = norms_and_stubs(W)
    if W.shape[1] != 2:
        return _find_shapes(W, stub)

    angle, order = _by_angle(W, stub)
    direction, n_directions = _number_directions(angle, (~stub).sum(dim=1))
    learned_in_order = longest_of_each(norm.gather(1, order), direction, ~stub.gather(1, order))
    learned = torch.zeros_like(stub).scatter(1, order, learned_in_order)

    z = torch.complex(W[:, 0], W[:, 1]).gather(1, order)
    residual = _distance_from_regular(torch.where(learned_in_order, z, 0), direction, n_directions)
    return Polygons(learned, ~stub & ~learned, stub, n_directions, residual)


def _find_shapes(W: Float[Tensor, "instance hidden feature"], stub: Bool[Tensor, "instance feature"]) -> Polygons:
    learned = learned_columns(W)
    n_directions = learned.sum(dim=1)
    if W.shape[2] > MAX_COMPARED:
        shapes, residual = [IRREGULAR] * len(W), torch.full((len(W),), math.nan, dtype=W.dtype, device=W.device)
    else:
        shapes, residual = nearest_shapes(W, learned)
    return Polygons(learned, ~stub & ~learned, stub, n_directions, residual.to(W.device), shapes=shapes)


def count_directions(W: Float[Tensor, "instance hidden feature"]) -> Int[Tensor, " instance"]:
    """`n_directions` of `find_polygons`, in the plane in W's own precision, and without all else."""
    W = W.detach()
    if W.shape[1] != 2:
        return learned_columns(W.double()).sum(dim=1)
    stub = norms_and_stubs(W)[1]
    return _number_directions(_by_angle(W, stub)[0], (~stub).sum(dim=1))[1]


def longest(W: Float[Tensor, "hidden feature"], count: int) -> Int[Tensor, " chosen"]:
    """The numbers of the longest columns, so many at most, in order."""
    return W.norm(dim=0).topk(min(count, W.shape[1])).indices.sort().values


def _by_angle(
    W: Float[Tensor, "instance 2 feature"], stub: Bool[Tensor, "instance feature"]
) -> tuple[Float[Tensor, "instance feature"], Int[Tensor, "instance feature"]]:
    """The columns' angles, the long ones in order and then infinity for each stub; and which columns they are."""
    y, x = W[:, 1].contiguous(), W[:, 0].contiguous()  # strided, `atan2` takes nine times as long
    return torch.atan2(y, x).masked_fill(stub, math.inf).sort(dim=1)


def _number_directions(
    angle: Float[Tensor, "instance feature"], n_long: Int[Tensor, " instance"]
) -> tuple[Int[Tensor, "instance feature"], Int[Tensor, " instance"]]:
    """Number the distinct directions among the first `n_long` sorted angles of each instance, counter-clockwise.

    A direction ends where the next angle is more than `OVERLAP_ANGLE` away.
    """
    position = torch.arange(angle.shape[1], device=angle.device).expand_as(angle)
    is_last = position == (n_long - 1).unsqueeze(1)
    following = torch.where(is_last, angle[:, :1] + 2 * math.pi, angle.roll(-1, dims=1))
    ends = (following - angle > OVERLAP_ANGLE) & (position < n_long.unsqueeze(1))
    n_directions = torch.maximum(ends.sum(dim=1), (n_long > 0).long())
    direction = (ends.cumsum(dim=1) - ends.long()) % n_directions.clamp(min=1).unsqueeze(1)
    return direction, n_directions


def _distance_from_regular(
    z: Tensor, direction: Int[Tensor, "instance feature"], n_directions: Int[Tensor, " instance"]
) -> Float[Tensor, " instance"]:
    """Relative distance of points z_j, in directions j = 0 .. k-1, from the nearest regular k-gon a exp(2 pi i j / k).

    The best a is the mean of z_j exp(-2 pi i j / k): one Fourier coefficient. Entries where z is 0 are no points.
    """
    k = n_directions.clamp(min=1).unsqueeze(1)
    angle = 2 * math.pi * direction.double() / k
    turn = torch.polar(torch.ones_like(angle), angle)
    a = (z * turn.conj()).sum(dim=1, keepdim=True) / k
    left = torch.where(z == 0, 0, z - a * turn)
    return left.abs().square().sum(dim=1).sqrt() / z.abs().square().sum(dim=1).sqrt()
