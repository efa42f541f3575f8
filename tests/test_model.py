"""What a model starts from, and which arguments it refuses."""

import re
from typing import Any

import pytest
import torch

from src.errors import ConfigError
from src.model import ReLUOutputModel, ToyModel


def test_a_seed_starts_from_the_same_weights_alone_and_in_company() -> None:
    stack = ReLUOutputModel(n_features=6, n_instances=10, first_seed=3)
    alone = ReLUOutputModel(n_features=6, first_seed=7)
    assert torch.equal(stack.W[4], alone.W[0])
    assert not torch.equal(stack.W[3], stack.W[4])


def test_listed_seeds_start_from_the_weights_of_those_seeds() -> None:
    listed = ReLUOutputModel(n_features=6, seeds=[5, 2, 5])
    assert listed.n_instances == 3
    assert torch.equal(listed.W[0], listed.W[2])
    assert torch.equal(listed.W[1], ReLUOutputModel(n_features=6, first_seed=2).W[0])


def test_the_default_scale_is_xaviers_for_the_matrix() -> None:
    W = ReLUOutputModel(n_features=6, n_instances=2000).W
    # 24,000 normal numbers: their standard deviation is known to 0.5 %, four times that is allowed
    assert W.std().item() == pytest.approx(0.5, rel=0.02)


def test_a_model_without_an_activation_says_so() -> None:
    with pytest.raises(NotImplementedError, match="ToyModel must define activate"):
        ToyModel(n_features=6)(torch.rand(1, 6))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_features": 0}, "model.n_features is 0; it must be at least 1."),
        ({"n_hidden": 0}, "model.n_hidden is 0; it must be at least 1."),
        ({"n_instances": 0}, "model.n_instances is 0; it must be at least 1."),
        ({"first_seed": -1}, "model.first_seed is -1; it must be from 0 to 4294967295."),
        ({"init_std": 0.0}, "model.init_std is 0.0; it must be positive, or null for Xavier's."),
        ({"seeds": []}, "model.seeds is []; it must be a list of numbers from 0 to 4294967295."),
        ({"seeds": [1, -4]}, "model.seeds is [1, -4]; it must be a list of numbers from 0 to 4294967295."),
        ({"seeds": [1, 4], "n_instances": 3}, "model.n_instances is 3; it must be 2, as model.seeds."),
    ],
)
def test_a_bad_argument_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        ReLUOutputModel(**{"n_features": 6, **arguments})
