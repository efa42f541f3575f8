"""Every pentagon of a census starts with one column changed, in every arm of an experiment."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.runs.folder import CENSUS
from src.runs.tables import write_rows
from src.starts import PatchingArms
from src.starts.patching import ARMS, Outcome, Patch, plan_patches
from tests.starts.unchanged import start

NEEDED = "it must be one with at least one hexagon, and one pentagon that leaves out one feature."
RECIPIENTS = {0: 4, 2: 1, 6: 5}


def arms_of(census: str, n_features: int = 6, init_std: float | None = None, **arguments: Any) -> ReLUOutputModel:
    return ReLUOutputModel(n_features, init_std=init_std, start=PatchingArms(census, **arguments))


def patches_of(model: ReLUOutputModel) -> list[Patch]:
    assert isinstance(model.start, PatchingArms)
    return model.start.patches


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
