"""Whether examples look like a distribution: which features are active together, and their values."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.examples import Chunk, Sample
from src.distributions.supports import MAX_FEATURES, Enumerated
from src.errors import ConfigError
from src.population.quadrature import summary

LOG_ALPHA = math.log(1e9)  # examples of the very distribution are refused less than once in so many times
FIRST = 64  # features that are looked at: the pairs of more are many
MAX_ENTRIES = 2**20  # that are looked at
MAX_VALUES = 1000  # active entries, of which more than
FEW_VALUES = 3  # are different, unless the law is discrete: then an example may come again without being repeated


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
        are_independent: else an example that is there several times counts once, if its values are not discrete.

    Looked at are, for each feature, how often it is active, its mean and mean square; for each two, how often both are,
    and the means of their product and of its square; and up to ten features how often each set of them is active.
    """
    n_features = min(examples[0].shape[1], FIRST)
    chunk = summary(population)
    expected, variance, powers = _moments(Chunk(_dense(chunk.x, n_features), chunk.weights))
    of_sample = float(chunk.weights[chunk.weights > 0].min()) if isinstance(population, Sample) else 0.0
    log = LOG_ALPHA + math.log(2 * len(expected) * len(examples))
    for given in examples:
        x = _dense(given, n_features, max(1, MAX_ENTRIES // (len(examples) * n_features)))
        if not len(x):
            continue
        found, _, _ = _moments(Chunk(x, torch.full((len(x),), 1 / len(x))))
        largest, share = max(1.0, float(x.abs().max())), of_sample + 1 / (len(x) if are_independent else _n_distinct(x))
        allowed = (2 * variance * log * share).sqrt() + 4 / 3 * largest**powers * log * share
        for k in ((found - expected).abs() > allowed).nonzero().flatten().tolist():
            name, value = f"{_names(n_features)[k]} in {what}", f"{float(found[k]):.4g}"
            raise ConfigError(f"{name} is {value}; it must be about {float(expected[k]):.4g}, as in {whose}.")


def _dense(x: Tensor, n_features: int, n_rows: int | None = None) -> Tensor:
    """The first features of the first examples."""
    if x.is_sparse:
        x = x.index_select(1, torch.arange(n_features, device=x.device)).to_dense()
    return x[:n_rows, :n_features].double().cpu()


def _n_distinct(x: Tensor) -> float:
    """How many examples there are, if one that is there several times is one; empty ones are in proportion."""
    active = x[(x != 0).any(dim=1)]
    values = active[active != 0][:MAX_VALUES]
    if not len(active) or torch.unique(values).numel() <= FEW_VALUES:
        return float(len(x))
    mixed = active @ torch.rand(x.shape[1], 1, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    return len(x) * torch.unique(mixed).numel() / len(active)


def _names(n_features: int) -> list[str]:
    """What each moment is, in order."""
    alone = ("how often feature {} is active", "the mean of feature {}", "the mean square of feature {}")
    both = (
        "how often features {} and {} are both active",
        "the mean product of features {} and {}",
        "the mean square of the product of features {} and {}",
    )
    pairs = torch.triu_indices(n_features, n_features, offset=1).mT.tolist()
    sets = range(2**n_features if n_features <= MAX_FEATURES else 0)
    members = [[i for i in range(n_features) if k >> i & 1] for k in sets]
    return [
        *(text.format(i) for text in alone for i in range(n_features)),
        *(text.format(*pair) for text in both for pair in pairs),
        *(f"how often exactly the features {own} are active" for own in members),
    ]


def _moments(chunk: Chunk) -> tuple[Tensor, Tensor, Tensor]:
    """Means over examples whose weights sum to 1, the variance of one example's, and of which power each mean is."""
    x, weights = chunk.x, chunk.weights.double()
    is_active, square = (x != 0).double(), x.square()
    fourth = square.square()
    n = x.shape[1]
    upper = tuple(torch.triu_indices(n, n, offset=1))
    together, product, of_squares, of_fourths = (
        (own.mT @ (weights.unsqueeze(1) * own))[upper] for own in (is_active, x, square, fourth)
    )
    means = [weights @ is_active, weights @ x, weights @ square, together, product, of_squares]
    squares = [weights @ is_active, weights @ square, weights @ fourth, together, of_squares, of_fourths]
    if n <= MAX_FEATURES:
        which = (is_active.long() * 2 ** torch.arange(n)).sum(dim=1)
        shares = torch.zeros(2**n, dtype=torch.float64).index_add_(0, which, weights)
        means, squares = [*means, shares], [*squares, shares]
    powers = torch.cat([torch.full_like(own, power) for own, power in zip(means, (0, 1, 2, 0, 2, 4, 0), strict=False)])
    return torch.cat(means), torch.cat(squares) - torch.cat(means).square(), powers
