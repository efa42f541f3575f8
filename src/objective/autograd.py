"""The loss and gradient of any toy model from its hooks, by autograd."""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Number
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.examples import Chunk, Sample, collapse_empty_rows
from src.distributions.supports import Enumerated
from src.objective.hook_surface import HookSurface
from src.population.losses import PopulationLosses
from src.population.quadrature import FIRST_TOLERANCE, TOLERANCE, integrate
from src.population.sample import PopulationLoss
from src.population.surface import Points, Surface

POINTWISE = ("activate", "target", "error")  # the hooks that make a model's loss, entry by entry,
FREE = ("encode", "decode", "forward", "feature_losses")  # and otherwise
HOOKS = (*POINTWISE, *FREE)
MAX_ENTRIES = 2**18  # of x' at a time when a whole distribution is evaluated: 1 MiB of float32, which stays in cache
SMALL = 32  # entries of a list that is searched for numbers
MIN_EXAMPLES = 32  # below this a part of a distribution costs more to start than to compute


class Autograd:
    """Computes a stack of toy models from its hooks.

    Args:
        model: a `ToyModel`.
        why: nothing faster computes it, for whoever runs it.
        terms: computes, at speed and differentiable, what the hooks other than `feature_losses` do.
    """

    def __init__(self, model: Any, why: str = "", terms: "Autograd | None" = None) -> None:
        self.model = model
        self.why = why
        self.terms = terms
        self.mixes_examples = False  # whether an example's loss depends on the others'

    @property
    def description(self) -> str:
        """How the model is computed, in a few words."""
        by = "autograd" if self.terms is None else f"{self.terms.description}, and autograd"
        return f"{by}: {self.why}" if self.why else by

    def surface(self, distribution: Enumerated) -> Surface:
        """The population loss as a function of the parameters, with its derivatives.

        Raises:
            ValueError: if they cannot be found, with the reason.
        """
        return HookSurface(self, distribution, Autograd(self.model))

    def points(self, surface: Surface) -> Points:
        """The model's parameters as points of its surface, on the CPU."""
        return surface.flatten(dict(self.model.named_parameters())).cpu()

    @property
    def has_threads(self) -> bool:
        """Whether training calls something that has threads of its own."""
        return self.terms is not None and self.terms.has_threads

    @property
    def is_stale(self) -> bool:
        """Whether the model has changed since this was made, in what it cannot see."""
        return self.terms is not None and self.terms.is_stale

    @property
    def text(self) -> str:
        """What has been written out of the model's hooks, if anything."""
        return self.terms.text if self.terms is not None else ""

    def feature_losses(self, x: Tensor, weights: Tensor | None = None) -> Float[Tensor, "instance feature"]:
        """The error of each feature: its mean over the batch, or its sum with `weights`; differentiable."""
        if self.terms is not None:
            return self.terms.feature_losses(x, weights)
        errors = self.model.error(self.model.target(x), self.model(x))
        return errors.mean(dim=-2) if weights is None else torch.einsum("b,ibf->if", weights, errors)

    def set_gradients(
        self,
        x: Float[Tensor, "*instance batch feature"],
        out: Float[Tensor, "instance feature"] | None = None,
        weights: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        """Set all parameters' `grad` to that of the loss on one batch; return the feature losses, in `out` if given.

        Of the empty examples that all instances share, one is computed, with the weight of all.
        """
        self.model.zero_grad()
        total = torch.zeros_like(self.model.b) if out is None else out.zero_()
        for share, part in self._parts(x, weights):
            feature_losses = share * self.model.feature_losses(*part)
            # Not `manual_backward`: its three rounds of hooks would cost a fifth of a small model's step.
            feature_losses.mean(dim=-1).sum().backward()
            total += feature_losses.detach()
        return total

    @torch.no_grad()
    def losses(
        self,
        x: Float[Tensor, "batch feature"],
        weights: Float[Tensor, " batch"] | None = None,
        instances: list[int] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        """The feature losses of these instances, or all, without a graph, in bounded memory; x may be sparse."""
        if instances is None:
            return self._losses(x, weights)
        if not self.treats_instances_alone:
            return self._losses(x, weights)[instances]
        with changed(self.model.parameters(), lambda own: own[instances]):
            return self._losses(x, weights)

    def _losses(self, x: Tensor, weights: Tensor | None) -> Tensor:
        losses = torch.zeros_like(self.model.b)
        for share, part in self._dense_parts(x, weights):
            losses += share * self.model.feature_losses(*part)
        return losses

    @functools.cached_property
    def treats_instances_alone(self) -> bool:
        """Whether nothing but the parameters has an instance axis: the first instance alone is what it is in the stack.

        If it has random numbers, its losses have at least the shape that one instance has.
        """
        x = torch.eye(self.model.n_features).to(self.model.W)
        first, again = (self.model.feature_losses(x)[:1] for _ in range(2))
        try:
            with changed(self.model.parameters(), lambda own: own[:1]):
                alone = self.model.feature_losses(x)
        except Exception:  # a user's hook, with shapes of its own
            return False
        return alone.shape == first.shape and (torch.allclose(alone, first) or not torch.equal(first, again))

    @torch.no_grad()
    def losses_over(self, population: Enumerated | Sample, instances: list[int] | None = None) -> PopulationLosses:
        """The loss over a whole distribution: integrated in float64, or with a standard error where it is a sample.

        Of some instances, or all.
        """
        W = self.model.W
        if not isinstance(population, Sample):
            numbers = (t for t in (*self.model.parameters(), *self.model.buffers()) if t.is_floating_point())
            with changed(numbers, Tensor.double):
                # Where examples disturb each other, or have random numbers, more of them do not make it more exact.
                tolerance = FIRST_TOLERANCE if self.mixes_examples else TOLERANCE
                return integrate(
                    lambda x, weights: self.losses(x.to(W), weights.to(W), instances), population, tolerance
                )
        count = len(W) if instances is None else len(instances)
        metric = PopulationLoss(count, self.model.n_features).to(W.device)
        for chunk in population.chunks:
            weights = chunk.weights.to(W)
            metric.update(self.losses(chunk.x.to(W), weights, instances), weights.sum())
        return metric.value()

    @torch.no_grad()
    def hidden_vectors(self, x: Float[Tensor, "batch feature"]) -> Float[Tensor, "instance hidden batch"]:
        """Where each example lies in the hidden space; x may be sparse."""
        parts = [part.x for _, part in self._dense_parts(x, None)]
        return torch.cat([self.model.encode(part).mT for part in parts], dim=-1)

    def _parts(self, x: Tensor, weights: Tensor | None) -> Iterable[tuple[Any, Any]]:
        if x.is_sparse:
            return self._dense_parts(x, weights)
        if x.dim() == 3 or self.mixes_examples or self.terms is not None:  # a kernel does that by itself
            return [(1, (x, weights))]
        return [(1, collapse_empty_rows(x, 1.0, weights))]

    def _dense_parts(self, x: Tensor, weights: Tensor | None) -> Iterator[tuple[Tensor, Chunk]]:
        """As many examples at a time as stay in cache: their share of the weights, and they with weights that sum to 1.

        So a term of a variant's loss that does not depend on the examples counts once, whatever the number of parts.
        """
        size = max(MIN_EXAMPLES, MAX_ENTRIES // self.model.b.numel())
        weights = self.model.b.new_full((x.shape[0],), 1 / x.shape[0]) if weights is None else weights
        for part in Chunk(x, weights).dense_parts(size):
            share = part.weights.sum()
            if share > 0:
                yield share, Chunk(part.x, part.weights / share)


KNOWN = {"seeds", "instance_names", "instance_columns", "began_with", "gradient_norms"}  # of every stack; no hook's


def constants_of(model: Any) -> list[Any]:
    """What is a constant where hooks are written out: the numbers that a model and its parts hold, and the tensors.

    Those of its own classes too, and those in small lists and dictionaries. What a hook has from elsewhere is not seen.
    """
    found: list[Any] = []

    def add(name: Any, value: Any) -> None:
        if isinstance(value, Number):
            found.append((name, value))
        elif isinstance(value, Tensor):
            found.append((name, id(value), value._version))
        elif isinstance(value, dict | list | tuple) and len(value) <= SMALL and name not in KNOWN:
            for key, own in value.items() if isinstance(value, dict) else enumerate(value):
                add(key, own)

    for kind in type(model).__mro__:
        if kind.__module__.startswith(("src.", "lightning.", "torch.")):
            break
        for name, value in vars(kind).items():
            add(name, value)
    for module in model.modules():
        for name, value in vars(module).items():
            if not name.startswith("_") or isinstance(value, Number):
                add(name, value)
    return found + [(name, id(tensor), tensor._version) for name, tensor in model.named_buffers()]


@contextmanager
def changed(tensors: Iterable[Tensor], change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Parameters or buffers with other values for a while, such as in double precision."""
    saved = [(own, own.data) for own in tensors]
    try:
        for own, data in saved:
            own.data = change(data)
        yield
    finally:
        for own, data in saved:
            own.data = data
