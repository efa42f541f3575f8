"""Pentagons of a census with one column drawn anew."""

import re
from typing import Any

import pytest
import torch

from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.starts import FreshColumn
from tests.starts.unchanged import start

SEEDS, UNLEARNED = [0, 2, 6], [4, 1, 5]


def angle_between(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0).clamp(-1, 1).arccos())


@pytest.mark.parametrize("which", ["unlearned", "learned", "nearest", "farthest"])
def test_one_column_alone_is_new_and_the_same_whichever_it_replaces(census: str, which: str) -> None:
    model = ReLUOutputModel(6, start=FreshColumn(census, which))
    usual = ReLUOutputModel(6, start=FreshColumn(census)).W.detach()
    assert model.seeds == SEEDS
    assert model.instance_columns["left_out"] == UNLEARNED
    for i, (seed, unlearned) in enumerate(zip(SEEDS, UNLEARNED, strict=True)):
        own, before = model.W.detach()[i], start(seed)
        (column,) = [k for k in range(6) if not torch.equal(own[:, k], before[:, k])]
        assert torch.equal(own[:, column], usual[i, :, unlearned])
        assert (column == unlearned) == (which == "unlearned")
        angles = {k: angle_between(before[:, k], before[:, unlearned]) for k in range(6) if k != unlearned}
        if which in ("nearest", "farthest"):
            assert column == (min if which == "nearest" else max)(angles, key=angles.__getitem__)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"which": "all"}, "model.start.which is all; it must be one of unlearned, learned, nearest, farthest."),
        ({"draw_seed": -1}, "model.start.draw_seed is -1; it must be from 0 to 4294967295."),
        ({"max_recipients": 0}, "model.start.max_recipients is 0; it must be at least 1, or null for all."),
    ],
)
def test_bad_arguments_are_refused(census: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        FreshColumn(census, **arguments)


def test_a_census_of_larger_models_is_refused(census: str) -> None:
    with pytest.raises(ConfigError, match="of models with 5 features, as configured"):
        ReLUOutputModel(5, start=FreshColumn(census))
