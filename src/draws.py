"""Drawing sparse examples: dense tensors for a few features, coordinates for many.

An example x has independent entries. Each is 0 with probability 1 - p and uniform on [0, 1] otherwise
(Elhage et al. 2022, "Toy Models of Superposition", section "Experiment setup"; p = `feature_probability`).
"""

import hashlib
import math

import torch
from jaxtyping import Float
from torch import Tensor

from src.population import Chunk

# What a random stream is for, which keeps the streams of one seed apart.
TRAINING, VALIDATION, INSTANCE, DONORS, COLUMNS, EXAMPLES = range(6)
N_SEEDS = 2**32  # what torch's CPU generator tells apart
ROWS_AT_ONCE = 1024  # sparse examples that are drawn together, fewer if that were more than
ENTRIES_AT_ONCE = 2**20  # active entries
SURPLUS = 6  # standard deviations by which the number of active entries drawn at once exceeds its mean


def generator_for(seed: int, purpose: int, instance_seed: int = 0) -> torch.Generator:
    """A CPU generator for one purpose, unrelated to that of another seed or purpose.

    torch's generator tells 2^32 seeds apart, so those of a run's instances are numbered from a hashed start: they never
    coincide.
    """
    digest = hashlib.sha256(repr((seed, purpose)).encode()).digest()
    return torch.Generator().manual_seed((int.from_bytes(digest[:4], "little") + instance_seed) % N_SEEDS)


def draw_sparse(shape: tuple[int, ...], feature_probability: float, generator: torch.Generator) -> Tensor:
    """Draw examples of the sparse feature distribution, one per row of the last axis.

    One uniform number u decides both things: given u < p, which has probability p, u / p is uniform on [0, 1).

    Returns: float32 [*shape].
    """
    x = torch.rand(shape, generator=generator, dtype=torch.float32).div_(-feature_probability)
    return torch.threshold_(x, -1, 0).abs_()  # in a fifth of the time of a comparison and a masked fill


def collapse_empty_rows(x: Float[Tensor, "batch feature"], weight: float) -> Chunk:
    """A sample of total weight `weight` with its all-zero rows merged into one that carries theirs.

    At p = 0.057 and n = 6 seven rows in ten are empty, and a model answers all of them alike.
    """
    active = x[(x != 0).any(dim=-1)]
    weights = torch.full((len(active) + 1,), weight / len(x), dtype=x.dtype)
    weights[-1] = weight * (len(x) - len(active)) / len(x)
    return Chunk(torch.cat([active, x.new_zeros(1, x.shape[-1])]), weights)


def draw_sparse_rows(n_rows: int, n_features: int, feature_probability: float, generator: torch.Generator) -> Tensor:
    """`draw_sparse` as coordinates, in memory and time of the active entries alone.

    Which entries are active follows from the gaps between them, which are geometric. Rows are drawn as many at a time
    as depends on n and p alone, so that the first rows of a longer draw are those of a shorter one.

    Returns: float32 sparse COO [row, feature], coalesced.
    """
    parts = []
    n_at_once = max(1, min(ROWS_AT_ONCE, int(ENTRIES_AT_ONCE / (n_features * feature_probability))))
    for first in range(0, n_rows, n_at_once):
        place = _active_places(n_at_once * n_features, feature_probability, generator)
        value = torch.rand(len(place), generator=generator, dtype=torch.float32)
        wanted = place < (n_rows - first) * n_features
        parts.append((place[wanted] + first * n_features, value[wanted]))
    place, value = (torch.cat(part) for part in zip(*parts, strict=True))
    indices = torch.stack([place // n_features, place % n_features])
    return sparse_rows(indices, value, (n_rows, n_features))


def _active_places(n_places: int, probability: float, generator: torch.Generator) -> Tensor:
    """The successes among independent trials, in order: int64."""
    places: list[Tensor] = []
    last = -1
    while last < n_places - 1:
        n_expected = (n_places - 1 - last) * probability
        n_gaps = math.ceil(n_expected + SURPLUS * math.sqrt(n_expected) + 1)
        survival = 1 - torch.rand(n_gaps, generator=generator, dtype=torch.float64)  # in (0, 1]
        gaps = (survival.log() / math.log1p(-probability)).floor() if probability < 1 else torch.zeros_like(survival)
        places.append(last + (gaps.clamp(max=n_places).long() + 1).cumsum(0))
        last = int(places[-1][-1])
    found = torch.cat(places)
    return found[found < n_places]


def sparse_rows(indices: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Coordinates in order as a sparse COO tensor, unchecked."""
    return torch.sparse_coo_tensor(indices, values, shape, is_coalesced=True, check_invariants=False)


def scaled_to_unit_length(x: Tensor) -> Tensor:
    """Sparse COO rows scaled to a Euclidean norm of 1; an empty row stays empty."""
    (row, _), value = x.indices(), x.values()
    square = torch.zeros(x.shape[0], dtype=torch.float64).index_add_(0, row, value.double().square())
    scaled = (value / square.sqrt()[row]).nan_to_num(0)  # a value may be exactly 0, alone in its row
    return sparse_rows(x.indices(), scaled.to(value.dtype), (x.shape[0], x.shape[1]))
