import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.runs.folder import CENSUS, write_rows
from src.starts import Basin, PatchingArms, Start
from src.starts.patching import ARMS, Outcome, Patch, plan_patches
from src.variants import Leaky
from tests.running import fit

# Seeds 0 to 9: pentagons that leave out one feature or (as with seven features) two, hexagons, a square.
OUTCOMES = [
    (0, "pentagon", "4"),
    (1, "hexagon", ""),
    (2, "pentagon", "1"),
    (3, "square", "0 2"),
    (4, "hexagon", ""),
    (5, "pentagon", "1 3"),
    (6, "pentagon", "5"),
]
NEEDED = "it must be one with at least one hexagon, and one pentagon that leaves out one feature."
RECIPIENTS = {0: 4, 2: 1, 6: 5}


@pytest.fixture
def census(tmp_path: Path) -> str:
    rows = [{"seed": seed, "geometry": geometry, "unlearned": unlearned} for seed, geometry, unlearned in OUTCOMES]
    write_rows(tmp_path / CENSUS, rows)
    return str(tmp_path)


def basin(n_features: int = 6, n_hidden: int = 2, **arguments: Any) -> ReLUOutputModel:
    return ReLUOutputModel(n_features, n_hidden, start=Basin(**arguments))


def arms_of(census: str, n_features: int = 6, init_std: float | None = None, **arguments: Any) -> ReLUOutputModel:
    return ReLUOutputModel(n_features, init_std=init_std, start=PatchingArms(census, **arguments))


def patches_of(model: ReLUOutputModel) -> list[Patch]:
    assert isinstance(model.start, PatchingArms)
    return model.start.patches


def start(seed: int) -> torch.Tensor:
    return ReLUOutputModel(6, first_seed=seed).W.detach()[0]


# The basin


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


def test_any_model_starts_from_a_grid_or_from_arms(census: str) -> None:
    for start in (Basin(size=2), PatchingArms(census)):
        model = Leaky(slope=0.25, n_features=6, start=start)
        plain = ReLUOutputModel(n_features=6, start=start)
        assert torch.equal(model.W, plain.W)
        fit(model, max_steps=2)
        fit(plain, max_steps=2)
        assert not torch.equal(model.W, plain.W)


def test_a_start_that_chooses_its_seeds_leaves_none_to_choose() -> None:
    message = "model.n_instances is 3; it must be left out together with model.first_seed and model.seeds"
    with pytest.raises(ConfigError, match=re.escape(message)):
        ReLUOutputModel(6, n_instances=3, start=Basin(size=2))


def test_a_start_of_ones_own_says_what_differs() -> None:
    class Scaled(Start):
        """Every instance starts at twice the scale."""

        def initial_W(self, model: Any) -> torch.Tensor:  # noqa: N802
            return 2 * super().initial_W(model)

    model = ReLUOutputModel(6, n_instances=3, first_seed=4, start=Scaled())
    assert torch.equal(model.W, 2 * ReLUOutputModel(6, n_instances=3, first_seed=4).W)
    assert model.instance_names == ["seed 4", "seed 5", "seed 6"]


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


# The arms


def test_every_pentagon_with_one_feature_left_out_is_patched_in_every_arm(census: str) -> None:
    model = arms_of(census)
    assert [patch.arm for patch in patches_of(model)] == [arm for arm in ARMS for _ in RECIPIENTS]
    assert [(patch.seed, patch.column) for patch in patches_of(model)] == list(RECIPIENTS.items()) * len(ARMS)
    assert model.instance_columns["arm"][-1] == "norm"


CHANGES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "identity": lambda own, donor: own,
    "hexagon": lambda own, donor: donor,
    "random": lambda own, donor: donor,
    "direction": lambda own, donor: donor / donor.norm() * own.norm(),
    "norm": lambda own, donor: own / own.norm() * donor.norm(),
}


@pytest.mark.parametrize("arm", CHANGES)
def test_an_arm_changes_the_unlearned_column_and_nothing_else(arm: str, census: str) -> None:
    model = arms_of(census, arms=[arm])
    for W, patch in zip(model.W.detach(), patches_of(model), strict=True):
        others = [i for i in range(6) if i != patch.column]
        assert torch.equal(W[:, others], start(patch.seed)[:, others])
        own = start(patch.seed)[:, patch.column]
        donor = own if patch.donor is None else start(patch.donor)[:, patch.column]
        torch.testing.assert_close(W[:, patch.column], CHANGES[arm](own, donor))


def test_a_fresh_column_is_new_and_has_the_initial_spread(tmp_path: Path) -> None:
    rows = [{"seed": seed, "geometry": "pentagon", "unlearned": "0"} for seed in range(500)]
    write_rows(tmp_path / CENSUS, [*rows, {"seed": 500, "geometry": "hexagon", "unlearned": ""}])
    model = arms_of(str(tmp_path), arms=["fresh"], init_std=0.378)
    fresh = model.W.detach()[:, :, 0]
    assert len(fresh.unique(dim=0)) == 500
    assert fresh.std().item() == pytest.approx(0.378, rel=0.1)  # of 1,000 numbers: 0.022 standard error
    assert not any(torch.equal(a, start(seed)[:, 0]) for seed, a in enumerate(fresh))


def test_donors_come_from_the_right_seeds_and_are_shared_between_arms(census: str) -> None:
    patches = patches_of(arms_of(census))
    donors = {arm: [patch.donor for patch in patches if patch.arm == arm] for arm in ARMS}
    assert set(donors["hexagon"]) <= {1, 4}
    assert donors["direction"] == donors["norm"] == donors["hexagon"]
    assert donors["identity"] == donors["fresh"] == [None] * 3
    for donor, recipient in zip(donors["random"], RECIPIENTS, strict=True):
        assert donor in {0, 1, 2, 3, 4, 5, 6} - {recipient}


def test_random_donors_are_drawn_from_all_seeds_alike() -> None:
    outcomes = [Outcome(seed, "pentagon", [0]) for seed in range(9)] + [Outcome(9, "hexagon", [])]
    draws = []
    for seed in range(300):
        draws += [patch.donor for patch in plan_patches(outcomes, ["random"], 1, draw_seed=seed)]
    counts = [draws.count(seed) for seed in range(10)]
    assert counts[0] == 0  # not the recipient itself
    assert min(counts[1:]) > 10  # each of nine is expected 33 times


def test_the_same_draw_seed_draws_the_same(census: str) -> None:
    first, again, other = (arms_of(census, draw_seed=seed).W.detach() for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_leaving_out_arms_or_recipients_does_not_change_the_rest(census: str) -> None:
    whole = arms_of(census)
    some = arms_of(census, arms=["fresh", "norm"])
    two = arms_of(census, max_recipients=2)
    starts = {(patch.arm, patch.seed): W for patch, W in zip(patches_of(whole), whole.W.detach(), strict=True)}
    assert {patch.seed for patch in patches_of(two)} == {0, 2}
    for model in (some, two):
        assert set(patches_of(model)) <= set(patches_of(whole))
        for patch, W in zip(patches_of(model), model.W.detach(), strict=True):
            assert torch.equal(W, starts[patch.arm, patch.seed])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"census": "nowhere"}, "model.start.census is nowhere; it must be the run folder of a finished census"),
        (
            {"arms": ["identity", "best"]},
            "model.start.arms is ['identity', 'best']; it must be some of identity, hexagon",
        ),
        ({"arms": []}, "model.start.arms is []; it must be some of"),
        ({"draw_seed": -1}, "model.start.draw_seed is -1"),
        ({"max_recipients": 0}, "model.start.max_recipients is 0; it must be at least 1, or null for all."),
        ({"n_features": 5}, "it must be of models with 5 features, as configured."),
    ],
)
def test_arms_that_cannot_be_made_are_refused(arguments: dict[str, Any], message: str, census: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        arms_of(**{"census": census, **arguments})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [(0, "pentagon", "4")],
            NEEDED,
        ),
        ([(0, "hexagon", ""), (1, "pentagon", "4 5")], NEEDED),
        ([(0, "pentagon", "4"), (0, "hexagon", "")], "it must be of seeds from 0 to 4294967295, each once."),
        ([(-1, "pentagon", "4"), (0, "hexagon", "")], "it must be of seeds from 0 to 4294967295, each once."),
        ([(0, "pentagon", "-1"), (1, "hexagon", "")], "it must be of models with 6 features, as configured."),
    ],
)
def test_a_census_that_cannot_be_used_is_refused(
    rows: list[tuple[int, str, str]], message: str, tmp_path: Path
) -> None:
    names = ("seed", "geometry", "unlearned")
    write_rows(tmp_path / CENSUS, [dict(zip(names, row, strict=True)) for row in rows])
    with pytest.raises(ConfigError, match=re.escape(f"model.start.census is {tmp_path}; {message}")):
        arms_of(str(tmp_path))


def test_arms_that_need_no_hexagon_do_without(tmp_path: Path) -> None:
    rows = [{"seed": seed, "geometry": "pentagon", "unlearned": "4"} for seed in (0, 1)]
    write_rows(tmp_path / CENSUS, rows)
    model = arms_of(str(tmp_path), arms=["random", "fresh"])
    assert [patch.donor for patch in patches_of(model)] == [1, 0, None, None]


def test_a_file_that_is_no_census_is_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "other.csv", [{"a": 1}])
    with pytest.raises(ConfigError, match=r"it must be a census\.csv as callbacks\.census writes it"):
        arms_of(str(path))
