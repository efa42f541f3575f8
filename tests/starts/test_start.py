"""Any model starts as its start says, which may choose the seeds."""

import re
from typing import Any

import pytest
import torch

from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.starts import Basin, PatchingArms, Start
from src.variants import Leaky
from tests.running import fit


def test_any_model_starts_from_a_grid_or_from_arms(census: str) -> None:
    for start in (Basin(size=2), PatchingArms(census)):
        model = Leaky(slope=0.2, n_features=6, start=start)
        plain = ReLUOutputModel(n_features=6, start=start)
        assert torch.equal(model.W, plain.W)
        fit(model, max_steps=2)
        fit(plain, max_steps=2)
        assert not torch.equal(model.W, plain.W)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_instances": 3}, "model.n_instances is 3; it must be left at 1, since the instances are those of"),
        ({"first_seed": 11}, "model.first_seed is 11; it must be left at 0, since the instances are those of"),
        ({"seeds": [5, 7]}, "model.seeds is [5, 7]; it must be left at None, since the instances are those of"),
    ],
)
def test_a_start_that_chooses_its_seeds_leaves_none_to_choose(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{message} model.start, Basin")):
        ReLUOutputModel(6, start=Basin(size=2), **given)


def test_a_start_of_ones_own_says_what_differs() -> None:
    class Scaled(Start):
        """Every instance starts at twice the scale."""

        def initial_W(self, model: Any) -> torch.Tensor:  # noqa: N802
            return 2 * super().initial_W(model)

    model = ReLUOutputModel(6, n_instances=3, first_seed=4, start=Scaled())
    assert torch.equal(model.W, 2 * ReLUOutputModel(6, n_instances=3, first_seed=4).W)
    assert model.instance_names == ["seed 4", "seed 5", "seed 6"]
