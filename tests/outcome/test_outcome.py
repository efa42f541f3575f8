"""What foretells a seed's geometry."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchmetrics.functional import auroc

from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.outcome import GEOMETRIES, load
from src.outcome.fitting import fit_network, fit_readable
from src.outcome.invariants import DIPOLE, NAMES, invariants
from src.outcome.predictors import INIT_STD, Network, Predictors, Readable
from src.outcome.scores import area_under_curve, calibration
from src.outcome.views import N_VIEWS, views


def drawn(n: int = 64, seed: int = 0) -> torch.Tensor:
    return INIT_STD * torch.randn(n, 2, 6, generator=torch.Generator().manual_seed(seed))


def seen_otherwise(W: torch.Tensor) -> list[torch.Tensor]:
    """Turned by 90 degrees, mirrored, and with the features in another order."""
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    mirror = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    return [quarter @ W, mirror @ W, W[:, :, torch.tensor([3, 0, 5, 1, 2, 4])]]


def test_invariants_do_not_change_with_the_view_or_the_scale() -> None:
    W = drawn()
    own = invariants(W)
    assert own.shape == (64, len(NAMES))
    for other in seen_otherwise(W):
        torch.testing.assert_close(invariants(other), own, atol=1e-5, rtol=0)
    twice = invariants(2 * W)
    torch.testing.assert_close(twice[:, :-1], own[:, :-1], atol=1e-6, rtol=0)
    torch.testing.assert_close(twice[:, -1], own[:, -1] + math.log(2))


def test_views_are_the_same_eight_for_all_that_adam_cannot_tell_apart() -> None:
    W = drawn()

    def as_sets(of: torch.Tensor) -> list[set[tuple[float, ...]]]:
        rounded = (views(of, INIT_STD).double() * 1e3).round().transpose(0, 1)
        return [{tuple(row) for row in own.tolist()} for own in rounded]

    own = as_sets(W)
    assert all(len(each) == N_VIEWS for each in own)
    for other in seen_otherwise(W):
        same = [a == b for a, b in zip(as_sets(other), own, strict=True)]
        assert np.mean(same) > 0.9  # but for a number that is rounded the other way


def test_probabilities_are_some_and_do_not_change_with_the_view() -> None:
    W, predictors = drawn(), load()
    for predictor in (predictors.readable, predictors.network):
        own = predictor.probabilities(W)
        assert own.shape == (64, len(GEOMETRIES))
        torch.testing.assert_close(own.sum(dim=1), torch.ones(64))
        for other in seen_otherwise(W):
            torch.testing.assert_close(predictor.probabilities(other), own, atol=1e-4, rtol=0)


def test_a_star_is_likelier_a_hexagon_than_most() -> None:
    predictors, W = load(), drawn(1000)
    angle = torch.arange(6) * (math.pi / 3) + 0.3
    star = 0.4 * torch.stack([angle.cos(), angle.sin()]).unsqueeze(0)
    for predictor in (predictors.readable, predictors.network):
        most = predictor.probabilities(W)[:, 1].quantile(0.95)
        assert float(predictor.probabilities(star)[0, 1]) > float(most)


def test_the_area_is_torchmetrics_and_its_interval_covers_it() -> None:
    generator = torch.Generator().manual_seed(1)
    inside = 0
    for _ in range(200):  # scores of two normal laws, one apart: the area is Phi(1 / sqrt 2)
        is_one = torch.rand(300, generator=generator) < 0.3
        scores = torch.randn(300, generator=generator) + is_one
        own = area_under_curve(scores, is_one)
        inside += own.low <= 0.5 * (1 + math.erf(0.5)) <= own.high
    assert 180 <= inside <= 199
    rounded = scores.round()  # with ties
    assert area_under_curve(rounded, is_one).value == pytest.approx(float(auroc(rounded.sigmoid(), is_one, "binary")))
    assert math.isnan(area_under_curve(scores, torch.zeros(300, dtype=torch.bool)).value)


def test_bins_say_what_was_foretold_and_what_came_true() -> None:
    probabilities = torch.tensor([0.1, 0.9, 0.2, 0.8])
    bins = calibration(probabilities, torch.tensor([False, True, True, True]), n_bins=2)
    assert [tuple(own) for own in bins] == [(pytest.approx(0.15), 1, 2), (pytest.approx(0.85), 2, 2)]


def test_both_learn_a_rule_and_are_read_back(tmp_path: Path) -> None:
    W = drawn(6000)
    outcomes = (invariants(W)[:, DIPOLE] < 0.5).long()  # hexagons, or else pentagons
    parts = W[:4000], outcomes[:4000]
    readable = fit_readable(*parts)
    network = fit_network(*parts, (W[4000:5000], outcomes[4000:5000]), n_epochs=40)
    Predictors(readable, network, (0, 4999)).save(tmp_path / "own.safetensors")
    again = load(tmp_path / "own.safetensors")
    assert again.fitted == (0, 4999)
    for predictor, least in ((again.readable, 0.99), (again.network, 0.8)):
        area = area_under_curve(predictor.probabilities(W[5000:])[:, 1], outcomes[5000:] == 1)
        assert area.low > least
    torch.testing.assert_close(again.readable.probabilities(W), readable.probabilities(W))


def test_a_file_of_other_geometries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    own = {f"readable.{name}": value for name, value in Readable().state_dict().items()}
    own |= {f"network.{name}": value for name, value in Network().state_dict().items()}
    for about in ({"geometries": '["a"]', "invariants": "[]", "fitted": "[0, 1]"}, {"fitted": "5"}):
        save_file(own, path, about)
        with pytest.raises(ConfigError, match=r"it must be a file that `python -m src\.predictions outcome_fit` has"):
            load(path)


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 20])
def test_what_is_no_predictor_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    message = f"--predictors is {path}; it must be a file that `python -m src.predictions outcome_fit` has written."
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        load(path)


def test_predictors_start_from_any_width() -> None:
    assert Network(8).probabilities(drawn(3)).shape == (3, 4)
    assert Readable().probabilities(drawn(3)).shape == (3, 4)


@pytest.mark.slow
def test_the_shipped_ones_foretell_seeds_that_nobody_has_seen() -> None:
    from src.data import SparseFeatures  # noqa: PLC0415
    from src.geometry import find_polygons  # noqa: PLC0415
    from tests.running import fit  # noqa: PLC0415

    model = ReLUOutputModel(6, n_instances=2048, first_seed=2_000_000, init_std=INIT_STD)
    W = model.W.detach().clone()
    fit(model, max_steps=10_000, data=SparseFeatures(n_features=6, feature_probability=0.057))
    is_hexagon = torch.tensor([name == "hexagon" for name in find_polygons(model.columns).names])
    predictors = load()
    assert area_under_curve(-invariants(W)[:, DIPOLE], is_hexagon).value > 0.72
    assert area_under_curve(predictors.network.probabilities(W)[:, 1], is_hexagon).value > 0.86
