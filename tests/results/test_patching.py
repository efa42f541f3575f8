"""Outcomes of patched columns, arm by arm, and the verdict on a hexagon donor."""

import pytest
import torch

from src.geometry.polygons import Polygons
from src.results.patching import ANOTHER, SAME, by_arm, verdicts
from src.starts.patching import Patch


def test_outcomes_of_an_arm_tell_which_feature_a_pentagon_leaves_out() -> None:
    patches = [Patch(arm, seed, 1, None) for arm in ("identity", "fresh") for seed in (0, 1)]
    learned = torch.ones(4, 6, dtype=torch.bool)
    learned[0, 1] = learned[1, 1] = learned[2, 3] = False
    none = torch.zeros_like(learned)
    polygons = Polygons(learned, none, ~learned, learned.sum(dim=1), torch.zeros(4, dtype=torch.float64))
    assert by_arm(patches, polygons) == {"identity": [SAME, SAME], "fresh": [ANOTHER, "hexagon"]}


@pytest.mark.parametrize(
    ("gained", "lost", "words"),
    [
        (20, 0, "does better than"),
        (0, 20, "does worse than"),
        (3, 3, "is not shown to differ from"),
        (7, 1, "is not shown to differ from"),  # p = 0.07
    ],
)
def test_the_verdict_is_plain(gained: int, lost: int, words: str) -> None:
    hexagon = ["hexagon"] * gained + [SAME] * (lost + 60)
    control = [SAME] * gained + ["hexagon"] * lost + [SAME] * 60
    (sentence,) = verdicts({"hexagon": hexagon, "random": control})
    assert sentence.startswith(f"A hexagon donor {words} the control 'random': ")


def test_each_control_has_a_verdict_of_its_own_and_two_must_show_more_than_one() -> None:
    hexagon = ["hexagon"] * 6 + [SAME] * 60
    outcomes = {"hexagon": hexagon, "random": [SAME] * 66, "fresh": list(hexagon)}
    both = verdicts(outcomes)  # p = 0.031 against random: enough for one comparison, not for one of two
    assert [sentence.split(":")[0] for sentence in both] == [
        "A hexagon donor is not shown to differ from the control 'random'",
        "A hexagon donor is not shown to differ from the control 'fresh'",
    ]
    assert "+9.1 points" in both[0]
    assert "+0.0 points" in both[1]
    del outcomes["fresh"]
    assert verdicts(outcomes)[0].startswith("A hexagon donor does better than the control 'random'")


def test_without_identity_there_is_no_verdict() -> None:
    assert verdicts({"identity": [SAME] * 3}) == ["identity: 3 of 3 outcomes are as in the census."]
    outcomes = {"identity": [SAME, ANOTHER, SAME], "hexagon": ["hexagon"] * 3, "random": [SAME] * 3}
    kept, refusal = verdicts(outcomes)
    assert kept == "identity: 2 of 3 outcomes are as in the census."
    assert refusal.startswith("No verdict: ")
