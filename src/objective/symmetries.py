"""Which linear changes of a model's parameters its loss does not see, found by trying: rotations, scalings.

A change is a matrix on each axis of each parameter, such as dW = A W, dV = -V A. Those under which no loss of any
example changes at random parameters form a space, which is the null space of a matrix: a symmetry need not be declared.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from src.distributions.values import Values
from src.population.surface import ROTATION, SCALING

MORE_TRIED = 10  # random parameters than an axis has entries: each gives a matrix's row one equation, or more
N_EXAMPLES, SHARE_ACTIVE = 12, 0.7
MAX_AXIS = 16  # entries of an axis that is looked at
NOTHING = 1e-9  # of the largest singular value

Entry = tuple[str, int, int, int]  # of a matrix on an axis of a parameter: row i gets row j
Move = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@torch.inference_mode(False)
@torch.enable_grad()
def linear_symmetries(model: Any, values: Values, by_hooks: Any = None) -> dict[str, list[Move]]:
    """How parameters move, from those of a stack, under each symmetry: those that are rotations, and all others.

    Args:
        values: of examples at which the loss is looked at.
        by_hooks: an objective that computes the model from its hooks, whatever its numbers; by default its own.
    """
    axes = [
        (name, axis, own.shape[axis])
        for name, own in model.named_parameters()
        if own.requires_grad
        for axis in range(1, own.dim())
        if own.shape[axis] <= MAX_AXIS
    ]
    entries = [(name, axis, i, j) for name, axis, size in axes for i in range(size) for j in range(size)]
    if not entries:
        return {}
    drawn = [_random_parameters(model, seed) for seed in range(MORE_TRIED + max(size for *_, size in axes))]
    changes = torch.cat([_changes(model, axes, values, own, by_hooks) for own in drawn])  # [equation, entry]
    _, sizes, basis = torch.linalg.svd(changes, full_matrices=True)
    sizes = torch.cat([sizes, sizes.new_zeros(len(basis) - len(sizes))])
    null = _that_move(basis[sizes <= NOTHING * sizes.max()], entries, drawn)  # [symmetry, entry]
    transposed = torch.tensor([entries.index((name, axis, j, i)) for name, axis, i, j in entries])
    # Rotations are the symmetries whose matrices are antisymmetric.
    left, sizes, _ = torch.linalg.svd((null - null[:, transposed]) / 2, full_matrices=False)
    is_rotation = sizes > 1 - NOTHING
    kinds = {ROTATION: is_rotation, SCALING: ~is_rotation}
    return {kind: [_mover(own, entries) for own in left.mT[chosen] @ null] for kind, chosen in kinds.items()}


def _that_move(null: Tensor, entries: list[Entry], drawn: list[dict[str, Tensor]]) -> Tensor:
    """Without changes that cancel, such as one axis of W longer and the other shorter."""
    moved = [
        torch.cat([torch.cat([t.flatten() for t in _mover(own, entries)(named).values()]) for named in drawn])
        for own in null
    ]
    if not moved:
        return null
    left, sizes, _ = torch.linalg.svd(torch.stack(moved), full_matrices=False)
    return left.mT[sizes > NOTHING * max(1.0, float(sizes.max()))] @ null


def _random_parameters(model: Any, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(1, *own.shape[1:], generator=generator, dtype=torch.float64)
        for name, own in model.named_parameters()
    }


def _changes(
    model: Any, axes: list[tuple[str, int, int]], values: Values, named: dict[str, Tensor], by_hooks: Any
) -> Tensor:
    """How the losses of some examples change with each entry."""
    generator = torch.Generator().manual_seed(0)
    x = values.of(torch.rand(N_EXAMPLES, model.n_features, generator=generator, dtype=torch.float64))
    x = x * (torch.rand(x.shape, generator=generator) < SHARE_ACTIVE)
    before, model._objective = model.objective, by_hooks or model.objective
    try:
        return _slopes(model, axes, named, x)
    finally:
        model._objective = before


def _slopes(model: Any, axes: list[tuple[str, int, int]], named: dict[str, Tensor], x: Tensor) -> Tensor:
    """How each loss changes with each entry, [example and feature, entry]."""
    rows = list[Tensor]()
    with torch.inference_mode(False), torch.enable_grad():
        leaves = {name: own.clone().requires_grad_() for name, own in named.items()}
        losses = _losses(model, leaves, x)  # [example and feature]
        for loss in losses:
            found = torch.autograd.grad(loss, [*leaves.values()], retain_graph=True, allow_unused=True)
            by = dict(zip(leaves, found, strict=True))
            rows.append(torch.cat([_along(by[name], named[name], axis).flatten() for name, axis, _ in axes]))
    return torch.stack(rows)


def _along(gradient: Tensor | None, own: Tensor, axis: int) -> Tensor:
    """How the loss changes where row j of an axis is added to row i, [i, j]."""
    rows = own.movedim(axis, 0).flatten(1)
    return rows @ rows.mT * 0 if gradient is None else gradient.movedim(axis, 0).flatten(1) @ rows.mT


def _losses(model: Any, named: dict[str, Tensor], x: Tensor) -> Tensor:
    """Of each example and feature, of one instance with these parameters."""
    buffers = {name: own.double() for name, own in model.named_buffers() if own.is_floating_point()}
    one = _Errors(model)
    return torch.func.functional_call(one, {f"model.{k}": t for k, t in (named | buffers).items()}, (x,)).flatten()


class _Errors(torch.nn.Module):
    """A model's losses, example by example, as what a module returns when it is called."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.model.feature_losses(row.unsqueeze(0)) for row in x])


def _mover(generator: Tensor, entries: list[Entry]) -> Move:
    def move(found: dict[str, Tensor]) -> dict[str, Tensor]:
        moved = {name: torch.zeros_like(own) for name, own in found.items()}
        for weight, (name, axis, i, j) in zip(generator.tolist(), entries, strict=True):
            moved[name].select(axis, i).add_(found[name].select(axis, j), alpha=weight)
        return moved

    return move
