"""What a seed starts from when nothing is changed."""

import torch

from src.model import ReLUOutputModel


def start(seed: int) -> torch.Tensor:
    return ReLUOutputModel(6, first_seed=seed).W.detach()[0]
