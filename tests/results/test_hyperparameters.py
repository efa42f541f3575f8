"""A run as a row of HPARAMS."""

import pytest
import torch

from src.model import ReLUOutputModel
from src.results.hyperparameters import outcome_of, seeds_text, settings_of


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ([11], "11"),
        (list(range(1024)), "0 to 1023"),
        ([0, 11, 0], "0, 11, 0"),
        ([5, 3, 1, 9, 7, 2], "5, 3, 1, 9 and 2 more"),
    ],
)
def test_seeds_are_told_in_short(seeds: list[int], text: str) -> None:
    assert seeds_text(seeds) == text


def test_the_settings_that_matter_most_come_first_and_none_is_empty() -> None:
    model = ReLUOutputModel(6, n_instances=2)
    data = {"feature_probability": 0.1, "batch_size": 64, "seed": 3, "n_examples": None}
    settings = settings_of(model, torch.optim.SGD(model.parameters(), lr=0.3), data, 100)
    assert list(settings)[:5] == ["optimizer", "lr", "n_features", "p", "seeds"]
    assert [settings[name] for name in ("optimizer", "lr", "p", "seeds")] == ["SGD", 0.3, 0.1, "0 to 1"]
    assert settings["data_seed"] == 3
    assert "n_examples" not in settings


def test_settings_of_a_users_own_kind_are_told_as_text() -> None:
    model = ReLUOutputModel(6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    del optimizer.defaults["lr"]
    settings = settings_of(model, optimizer, {"feature_probability": [0.05] * 6}, 100)
    assert "lr" not in settings
    assert settings["p"] == "[0.05, 0.05, 0.05, 0.05, 0.05, 0.05]"


def test_the_outcome_is_shares_and_the_lowest_loss() -> None:
    names = ["pentagon", "pentagon", "hexagon", "heptagon"]
    outcome = outcome_of([{"geometry": name, "loss": 0.1 * k} for k, name in enumerate(names, 1)])
    assert outcome == pytest.approx(
        {
            "outcome/hexagon": 0.25,
            "outcome/pentagon": 0.5,
            "outcome/square": 0,
            "outcome/others": 0.25,
            "outcome/lowest_loss": 0.1,
        }
    )
