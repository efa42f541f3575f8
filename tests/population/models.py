"""Random weights and biases in double precision."""

import torch
from torch import Tensor


def random_model(n_instances: int, n_features: int, n_hidden: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """W with entries of about 0.7 and b with entries of about 0.2, of either sign: float64."""
    generator = torch.Generator().manual_seed(seed)
    W = 0.7 * torch.randn(n_instances, n_hidden, n_features, generator=generator, dtype=torch.float64)
    return W, 0.2 * torch.randn(n_instances, n_features, generator=generator, dtype=torch.float64)
