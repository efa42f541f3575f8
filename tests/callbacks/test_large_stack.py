"""What a run of many seeds records and shows of the whole stack."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from src.geometry.polygons import find_polygons
from src.model import ReLUOutputModel
from src.results.rates import rate, rates
from src.runs.folder import CHECKPOINT, EXEMPLARS, GALLERY, SHARES, SHARES_PICTURE
from src.runs.tables import read_rows
from tests.callbacks.charts import images, scalars
from tests.running import read_census, run_cli, run_of, state


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the seeds experiment, 30 instances, 120 steps, all its callbacks."""
    folder = tmp_path_factory.mktemp("logs")
    assert run_cli(folder, "--model.n_instances=30", config="configs/seeds.yaml") == 0
    return run_of(folder, "seeds")


def final_weights(run: Path) -> torch.Tensor:
    return state(run)["W"]


def test_shares_are_those_of_the_whole_stack_at_every_recorded_step(stack: Path) -> None:
    rows = read_rows(stack / SHARES)
    assert {int(row["step"]) for row in rows} == {0, 50, 100, 120}  # the starts of blocks, and the end
    for step, W in ((0, ReLUOutputModel(6, n_instances=30, init_std=0.378).W), (120, final_weights(stack))):
        counts = Counter(find_polygons(W).names)
        own = {row["geometry"]: row for row in rows if int(row["step"]) == step}
        assert {name: int(row["count"]) for name, row in own.items()} == {name: counts[name] for name in own}
        assert set(counts) <= set(own)
        for name, row in own.items():
            share = rate(counts[name], 30)
            assert (float(row["share"]), float(row["low"]), float(row["high"])) == (share.share, share.low, share.high)
            assert scalars(stack / name)["geometry_share"][step] == pytest.approx(share.share)
    assert images(stack, "shares")[-1] == (stack / SHARES_PICTURE).read_bytes()


@pytest.mark.parametrize(("tag", "file"), [("exemplars", EXEMPLARS), ("gallery", GALLERY)])
def test_a_stack_ends_with_exemplars_and_a_gallery(tag: str, file: str, stack: Path) -> None:
    (picture,) = images(stack, tag)
    assert picture == (stack / file).read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_a_large_stack_is_summarised_beside_the_few_that_are_followed(stack: Path) -> None:
    W = final_weights(stack)
    norms = W.flatten(1).norm(dim=1)
    expected = {
        "frobenius_norm/all": norms,
        "n_learned/all": find_polygons(W).n_directions.float(),
    }
    for chart, values in expected.items():
        for line, quantile in (("lowest_5_percent", 0.05), ("", 0.5), ("highest_5_percent", 0.95)):
            assert scalars(stack / line)[chart][120] == pytest.approx(values.quantile(quantile).item(), rel=1e-5)
    assert set(scalars(stack)["loss/all"]) == {50, 100, 120}  # ends of the blocks that began at a record
    assert set(scalars(stack)["gradient_norm/all"]) == {0, 50, 100, 120}
    of_all = scalars(stack)["gradient_norm/all"]
    lowest, highest = (scalars(stack / f"{end}_5_percent")["gradient_norm/all"] for end in ("lowest", "highest"))
    assert all(0 < lowest[step] < of_all[step] < highest[step] for step in of_all)
    charts = set(scalars(stack / "feature_0"))
    assert charts == {
        f"{name}/seed {i}" for name in ("feature_norm", "gradient_norm", "feature_loss") for i in range(4)
    }


def test_the_census_says_how_frequent_each_rows_geometry_is(stack: Path) -> None:
    rows = read_census(stack)
    shares = rates([row["geometry"] for row in rows])
    for row in rows:
        share = shares[row["geometry"]]
        assert int(row["geometry_count"]) == share.count
        found = tuple(float(row[f"geometry_share{end}"]) for end in ("", "_low", "_high"))
        assert found == (share.share, share.low, share.high)


@pytest.mark.slow
def test_the_shares_of_a_resumed_run_cover_all_of_it(tmp_path: Path) -> None:
    options = {"config": "configs/seeds.yaml"}
    assert run_cli(tmp_path, "--model.n_instances=5", max_steps=220, **options) == 0
    assert run_cli(tmp_path, "--model.n_instances=5", max_steps=130, **options) == 0
    checkpoint = run_of(tmp_path, "seeds", 1) / CHECKPOINT
    assert run_cli(tmp_path, "--model.n_instances=5", f"--ckpt_path={checkpoint}", max_steps=220, **options) == 0
    whole, resumed = (
        {(row["step"], row["geometry"]): row["count"] for row in read_rows(run_of(tmp_path, "seeds", k) / SHARES)}
        for k in (0, 2)
    )
    assert whole.items() <= resumed.items()
