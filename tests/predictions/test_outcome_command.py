"""The commands that foretell a seed's geometry, and that say how a star grows."""

import re
from pathlib import Path

import pytest

from src.outcome import GEOMETRIES
from src.predictions import __main__ as predictions
from src.runs.folder import CALIBRATION, CALIBRATION_PICTURE, CENSUS, GROWTH, GROWTH_PICTURE, PREDICTORS
from src.runs.tables import read_rows, write_rows
from tests.running import run_cli, run_of


def census(folder: Path, first_seed: int = 2_000_000, n: int = 40) -> Path:
    rows = [{"seed": first_seed + k, "geometry": "hexagon" if k % 10 == 0 else "pentagon"} for k in range(n)]
    folder.mkdir(exist_ok=True)
    write_rows(folder / CENSUS, rows)
    return folder


def test_any_range_of_seeds_gets_its_probabilities(tmp_path: Path) -> None:
    for name, more in (("best", []), ("readable", ["--readable"])):
        out = tmp_path / "new" / f"{name}.csv"
        arguments = ["outcome", "--first_seed", "11", "--n_instances", "4096", "--out", str(out)]
        assert predictions.main([*arguments, "--folder", str(tmp_path / "unused"), *more]) == 0
        assert not (tmp_path / "unused").exists()
        rows = read_rows(out)
        assert [*rows[0]] == ["seed", *GEOMETRIES]
        assert [int(row["seed"]) for row in rows] == [*range(11, 4107)]
        assert all(abs(sum(float(row[name]) for name in GEOMETRIES) - 1) < 1e-4 for row in rows)
        assert 0.03 < sum(float(row["hexagon"]) for row in rows) / 4096 < 0.08


def test_predictors_are_scored_on_a_census_that_they_have_not_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = census(tmp_path / "one"), census(tmp_path / "two")
    arguments = ["outcome", "--census", str(run), "--ceiling", str(other / CENSUS), "--folder", str(tmp_path / "out")]
    assert predictions.main(arguments) == 0
    words = capsys.readouterr().out
    assert "40 seeds that were not fitted to" in words
    assert re.search(r"on another stream +1.0000", words)
    bins = read_rows(tmp_path / "out" / CALIBRATION)
    assert {row["predictor"] for row in bins} == {"readable", "best"}
    assert sum(int(row["n"]) for row in bins) == 80
    assert (tmp_path / "out" / CALIBRATION_PICTURE).is_file()


def test_predictors_are_fitted_to_a_census(tmp_path: Path) -> None:
    run, out = census(tmp_path / "run", n=1000), tmp_path / "fit"
    assert predictions.main(["outcome_fit", "--census", str(run), "--out", str(out), "--epochs", "1"]) == 0
    again = ["outcome", "--n_instances", "5", "--out", str(tmp_path / "5.csv"), "--folder", str(tmp_path)]
    assert predictions.main([*again, "--predictors", str(out / PREDICTORS)]) == 0
    assert len(read_rows(tmp_path / "5.csv")) == 5


@pytest.mark.slow
def test_a_star_grows_and_thresholds_foretell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = [
        "--data.n_features=4",
        "--model.start.n_amplitudes=3",
        "--model.start.n_turns=1",
    ]
    assert run_cli(tmp_path, *few, config="configs/why/threshold.yaml", max_steps=300) == 0
    run = run_of(tmp_path, "threshold")
    arguments = ["growth", "--n_features", "4", "--p", "0.2", "--radius", "0.8", "--thresholds", str(run)]
    assert predictions.main([*arguments, "--out", str(tmp_path / "growth")]) == 0
    words = capsys.readouterr().out
    assert "100.0% squares" in words
    rows = read_rows(tmp_path / "growth" / GROWTH)
    assert [*rows[0]] == ["p", "time", "radius", "bias", "gain_1", "gain_2"]
    assert float(rows[0]["radius"]) == 0.8
    assert (tmp_path / "growth" / GROWTH_PICTURE).is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["outcome"], "--out is None; it must be a CSV file, unless there is a --census."),
        (["outcome", "--n_instances", "0"], "--n_instances is 0; it must be from 1 to 10,000,000."),
        (["outcome", "--first_seed", "-1"], "--first_seed is -1; it must be from 0 to 4294963200."),
        (["outcome", "--ceiling", "x"], "--census is None; it must be given, where --ceiling is."),
        (["outcome", "--census", "x"], "--census is x; it must be a run folder with a census.csv, such a file"),
        (["outcome_fit", "--census", "x", "--epochs", "0"], "--epochs is 0; it must be at least 1."),
        (["growth", "--n_features", "2"], "--n_features is 2; it must be from 3 to 9."),
        (["growth", "--p", "0"], "--p is [0.0]; it must be between 0 and 1, each."),
        (["growth", "--radius", "1.5"], "--radius is 1.5; it must be from 0.01 to below 1."),
        (["growth", "--model", "Untied"], "--model is Untied; it must be a model whose parameters are W and b alone."),
    ],
)
def test_bad_arguments_end_in_a_sentence(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    own = "--folder" if arguments[0] == "outcome" else "--out"
    assert predictions.main([*arguments, own, str(tmp_path / "new")]) == 2
    assert sentence in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
