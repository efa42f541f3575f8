"""One seed many times over, one column starting at each point of a grid."""

import math
import re
from typing import Any

import pytest
import torch

from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.starts import Basin
from tests.running import fit
from tests.starts.unchanged import start


def basin(n_features: int = 6, n_hidden: int = 2, **arguments: Any) -> ReLUOutputModel:
    return ReLUOutputModel(n_features, n_hidden, start=Basin(**arguments))


def test_the_column_runs_over_the_grid_and_the_others_stay() -> None:
    model = basin(seed=3, column=2, size=4, reach=2.0)
    assert model.n_instances == 16
    assert model.seeds == [3] * 16
    others = [0, 1, 3, 4, 5]
    assert torch.equal(model.W.detach()[:, :, others], start(3)[:, others].expand(16, 2, 5))
    points = model.W.detach()[:, :, 2].reshape(4, 4, 2)
    centres = torch.tensor([-1.5, -0.5, 0.5, 1.5])
    assert torch.equal(points[..., 0], centres.expand(4, 4))  # along a row
    assert torch.equal(points[..., 1], centres.unsqueeze(1).expand(4, 4))  # rows from the bottom
    assert model.instance_columns["x"][1] == -0.5
    assert model.instance_names[1] == "seed 3, column 2 at (-0.50, -1.50)"


def test_an_instance_of_the_grid_trains_as_it_would_alone() -> None:
    grid = basin(column=1, size=5)
    alone = ReLUOutputModel(6)
    with torch.no_grad():
        alone.W[0] = grid.W[7]
    fit(grid, max_steps=20)
    fit(alone, max_steps=20)
    # Twenty steps of AdamW of 1e-3 each; the two sum a batch in another order.
    torch.testing.assert_close(grid.W[7], alone.W[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"column": 6}, "model.start.column is 6; it must be from 0 to 5, the features."),
        ({"column": -1}, "model.start.column is -1; it must be from 0 to 5, the features."),
        ({"size": 0}, "model.start.size is 0; it must be at least 1."),
        ({"reach": 0.0}, "model.start.reach is 0.0; it must be positive and finite."),
        ({"reach": math.inf}, "model.start.reach is inf; it must be positive and finite."),
        ({"seed": -1}, "model.start.seed is -1; it must be from 0 to 4294967295."),
        ({"n_hidden": 3}, "model.n_hidden is 3; it must be 2, a plane, for a basin map."),
    ],
)
def test_a_grid_that_cannot_be_made_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        basin(**{"size": 2, **arguments})
