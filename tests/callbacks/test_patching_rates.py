"""What patched columns did, as tables, as a picture and in the terminal."""

from pathlib import Path

import pytest
import torch
from lightning import Trainer

from callbacks.patching_rates import PatchingRates
from src.model import ReLUOutputModel
from src.results.patching import ANOTHER, SAME
from src.runs.folder import PATCHING, PATCHING_DIFFERENCES, PATCHING_PICTURE
from src.runs.tables import read_rows, write_rows
from src.starts import PatchingArms
from src.starts.patching import ARMS
from tests.callbacks.charts import images
from tests.callbacks.endings import HEXAGON, PENTAGON_WITHOUT_1, PENTAGON_WITHOUT_4, SQUARE
from tests.running import read_census, run_cli, run_of


def census_of(folder: Path, *outcomes: str) -> Path:
    """A census of seeds 0, 1, ...: what each ended in; pentagons leave out feature 4."""
    rows = [
        {"seed": seed, "geometry": name, "unlearned": "4" if name == "pentagon" else ""}
        for seed, name in enumerate(outcomes)
    ]
    return write_rows(folder / "census.csv", rows)


@pytest.mark.slow
def test_a_patching_run_has_its_tables_and_its_picture(tmp_path: Path) -> None:
    census = census_of(tmp_path, "pentagon", "hexagon", "pentagon", "pentagon")
    assert run_cli(tmp_path, f"--model.start.census={census}", config="configs/patching_rates.yaml") == 0
    run = run_of(tmp_path, "patching_rates")
    assert [row["arm"] for row in read_census(run)] == [arm for arm in ARMS for _ in range(3)]
    assert [row["arm"] for row in read_rows(run / PATCHING)] == list(ARMS)  # all are irregular after 120 steps
    assert images(run, "patching") == [(run / PATCHING_PICTURE).read_bytes()]


def test_patching_rates_are_by_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    census = census_of(tmp_path, "pentagon", "hexagon", "pentagon", "pentagon", "pentagon")
    arms = ["identity", "hexagon", "random", "fresh"]
    model = ReLUOutputModel(n_features=6, start=PatchingArms(str(census), arms=arms))
    ends = {
        "identity": [PENTAGON_WITHOUT_4] * 4,
        "hexagon": [HEXAGON, HEXAGON, HEXAGON, PENTAGON_WITHOUT_1],
        "random": [HEXAGON, SQUARE, SQUARE, PENTAGON_WITHOUT_4],
        "fresh": [HEXAGON, HEXAGON, PENTAGON_WITHOUT_1, PENTAGON_WITHOUT_4],
    }
    model.W.data = torch.stack([W for arm in arms for W in ends[arm]])
    PatchingRates().on_train_end(Trainer(logger=False, default_root_dir=tmp_path), model)
    counts = {(row["arm"], row["outcome"]): int(row["count"]) for row in read_rows(tmp_path / PATCHING)}
    assert counts == {
        ("identity", SAME): 4,
        ("hexagon", "hexagon"): 3, ("hexagon", ANOTHER): 1,
        ("random", "hexagon"): 1, ("random", "square"): 2, ("random", SAME): 1,
        ("fresh", "hexagon"): 2, ("fresh", ANOTHER): 1, ("fresh", SAME): 1,
    }  # fmt: skip
    differences = {row["second"]: float(row["value"]) for row in read_rows(tmp_path / PATCHING_DIFFERENCES)}
    assert differences == {"random": 0.5, "fresh": 0.25}
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["fresh", "50.0%", "(15.0", "to", "85.0)", "25.0%", "25.0%", "0.0%"] in printed
    assert ["random", "25.0%", "(4.6", "to", "69.9)", "25.0%", "0.0%", "50.0%"] in printed
