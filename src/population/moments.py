"""Whether examples look like a distribution: how often features are active, alone and in pairs, and their values."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.examples import Chunk, Sample
from src.distributions.supports import Enumerated
from src.errors import require
from src.population.quadrature import summary

LOG_ALPHA = math.log(1e9)  # examples of the very distribution are refused less than once in so many times
MAX_FEATURES = 64  # that are looked at, the first ones: their pairs are many
MAX_ENTRIES = 2**24


def refuse_others(
    examples: Sequence[Float[Tensor, "batch feature"]],
    population: Enumerated | Sample,
    what: str,
    whose: str,
    are_independent: bool = True,
) -> None:
    """Raise a `ConfigError` if examples have other moments than the distribution, by Bernstein's inequality.

    Args:
        examples: dense or sparse ones, each tensor on its own.
        what: the examples are, and
        whose: the distribution is, for the message.
        are_independent: else an example that is there several times counts once.
    """
    n_features = min(examples[0].shape[1], MAX_FEATURES)
    chunk = summary(population)
    expected, variance = _moments(Chunk(_dense(chunk.x, n_features), chunk.weights))
    of_sample = float(chunk.weights[chunk.weights > 0].min()) if isinstance(population, Sample) else 0.0
    log = LOG_ALPHA + math.log(2 * len(expected) * len(examples))
    for given in examples:
        x = _dense(given, n_features, max(1, MAX_ENTRIES // (len(examples) * n_features)))
        if not len(x):
            continue
        found, _ = _moments(Chunk(x, torch.full((len(x),), 1 / len(x))))
        largest, share = max(1.0, float(x.abs().max())), of_sample + 1 / (len(x) if are_independent else _n_distinct(x))
        allowed = (2 * variance * log * share).sqrt() + 4 / 3 * largest**2 * log * share
        k = int(((found - expected).abs() / allowed).argmax())
        is_alike = bool((found[k] - expected[k]).abs() <= allowed[k])
        name, value = f"{_names(n_features)[k]} in {what}", f"{float(found[k]):.4g}"
        require(is_alike, name, value, f"about {float(expected[k]):.4g}, as in {whose}")


def _dense(x: Tensor, n_features: int, n_rows: int | None = None) -> Tensor:
    """The first features of the first examples."""
    if x.is_sparse:
        x = x.index_select(1, torch.arange(n_features, device=x.device)).to_dense()
    return x[:n_rows, :n_features].double().cpu()


def _n_distinct(x: Tensor) -> float:
    """How many examples there are, if one that is there several times is one; empty ones are in proportion."""
    active = x[(x != 0).any(dim=1)]
    mixed = active @ torch.rand(x.shape[1], 1, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    return len(x) * torch.unique(mixed).numel() / len(active) if len(active) else float(len(x))


def _names(n_features: int) -> list[str]:
    """What each moment is, in order."""
    first, second = torch.triu_indices(n_features, n_features, offset=1).tolist()
    return [
        *(f"how often feature {i} is active" for i in range(n_features)),
        *(f"the mean of feature {i}" for i in range(n_features)),
        *(f"the mean square of feature {i}" for i in range(n_features)),
        *(f"how often features {i} and {j} are both active" for i, j in zip(first, second, strict=True)),
    ]


def _moments(chunk: Chunk) -> tuple[Tensor, Tensor]:
    """Means over examples whose weights sum to 1, and a bound for the variance of one example's."""
    x, weights = chunk.x, chunk.weights.double()
    is_active = (x != 0).double()
    together = is_active.mT @ (weights.unsqueeze(1) * is_active)
    pairs = together[tuple(torch.triu_indices(len(together), len(together), offset=1))]
    alone, mean, square = weights @ is_active, weights @ x, weights @ x.square()
    fourth = weights @ x.square().square()
    means, squares = torch.cat([alone, mean, square, pairs]), torch.cat([alone, square, fourth, pairs])
    return means, squares - means.square()
